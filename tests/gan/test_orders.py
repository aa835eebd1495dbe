"""The table of playing orders: lookups and refusals; what they compute is in test_game.py."""

import pytest

from minigan.gan.orders import ORDERS, Consensus, Order, order


def test_each_order_is_called_by_its_name():
    assert all(
        row is order(name) and row.name == name and isinstance(row, Order) for name, row in ORDERS.items()
    )
    assert order(ORDERS["alternating"]) is ORDERS["alternating"]
    assert {name for name, row in ORDERS.items() if row.several_steps} == {"alternating"}


def test_every_order_has_its_formula_and_source():
    for row in (*ORDERS.values(), Consensus(0.3)):
        assert "←" in row.__doc__ and "Source:  " in row.__doc__, row


def test_consensus_is_an_order_of_simultaneous_rounds():
    found = order("simultaneous", 0.3)
    assert isinstance(found, Consensus) and found.consensus == 0.3 and repr(found) == "Consensus(0.3)"
    assert order("simultaneous", 0.0) is ORDERS["simultaneous"] and not order("simultaneous").consensus
    for name in ("alternating", "extragradient", Consensus(0.1)):
        with pytest.raises(ValueError, match="use it with order='simultaneous'"):
            order(name, 0.5)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_consensus_that_is_no_weight_is_refused(weight):
    with pytest.raises(ValueError, match=f"consensus is a weight, a finite number ≥ 0; received {weight}"):
        order("simultaneous", weight)
