"""Rows through a network outside training: what its layers say, whatever way they are computed."""

import numpy as np
import pytest

from minigan import backend
from minigan.engine.tensor import constant
from minigan.nn.layers import ACTIVATIONS
from minigan.nn.network import mlp
from minigan.training.sampler import apply


@pytest.mark.rows("dtype", ["float32", "float64"])
@pytest.mark.rows("sizes", [(1, 1), (1, 8, 1), (1, 8, 8, 1), (3, 8, 2), (1, 8, 2), (1, 1, 1, 1)])
@pytest.mark.rows("rows", [1, 50, 192])
def test_rows_are_what_the_layers_make_of_them(dtype, sizes, rows):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((rows, sizes[0]))
    kept = x.copy()
    for activation in ACTIVATIONS:
        network = mlp(sizes, rngs=rng, activation=activation, dtype=dtype)
        network.parameters.load({
            key: rng.standard_normal(array.shape).astype(dtype)
            for key, array in network.parameters.arrays().items()
        })  # fmt: skip
        direct = network(constant(x.astype(dtype))).numpy()
        # bitwise with OpenBLAS; another BLAS may round the product with a transposed matrix otherwise
        tolerance = 50 * np.finfo(dtype).eps
        found = apply(network, x, dtype, backend.numpy_backend)
        assert found.dtype == "float64" and found.shape == direct.shape
        np.testing.assert_allclose(found, direct, rtol=tolerance, atol=tolerance)
        stacked = apply(network, np.stack([x, x]), dtype, backend.numpy_backend)
        np.testing.assert_allclose(stacked[1], direct, rtol=tolerance, atol=tolerance)
    assert (x == kept).all()
