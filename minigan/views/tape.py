"""The tape of a step as data: each call of a loss, its values, its rule; the backward pass rule by rule.

Nothing is drawn here: ``tape_view.py`` does that.
"""

import ast
import inspect
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from minigan.engine import primitives
from minigan.engine.primitives import sum_to
from minigan.engine.show import history
from minigan.engine.tensor import Tensor, constant, is_tracked, taping
from minigan.nn.network import Network
from minigan.training.draws import SHARED
from minigan.training.experiment import Experiment

FUNCTIONS = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "negative", "exp", "log",
             "sqrt", "square", "tanh", "absolute", "sign", "step", "relu", "leaky_relu", "elu", "sigmoid",
             "softplus")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Value:
    """A value of the tape: what made it, of what, and where the rule stands.

    call      as a program would print it
    inputs    numbers of the nodes it was made of, or the number itself
    rules     for each input the text of its derivative, "" where there is none
    line      of primitives.py where the rules stand, 0 for what no primitive made
    """

    name: str
    primitive: str
    call: str
    value: np.ndarray
    inputs: tuple[int | float, ...] = ()
    params: tuple[tuple[str, Any], ...] = ()
    rules: tuple[str, ...] = ()
    line: int = 0
    parameter: bool = False


@dataclass(frozen=True, eq=False)
class Back:
    """One rule that ran in the backward pass.

    node, input  whose rule, and of which of its inputs
    into         the node whose cotangent it adds to
    added        what it gave, summed to that node's shape
    cotangent    of that node afterwards
    g            the cotangent of ``node`` when the rule ran
    """

    node: int
    input: int
    into: int
    added: np.ndarray
    cotangent: np.ndarray
    g: np.ndarray


@dataclass(frozen=True, eq=False)
class Tape:
    """The calls of one loss, oldest first, and its backward pass.

    edges  (from, to), between nodes
    """

    player: str
    step: int
    nodes: tuple[Value, ...]
    edges: tuple[tuple[int, int], ...]
    back: tuple[Back, ...]

    def cotangents(self, done: int) -> dict[int, np.ndarray]:
        """Those that are there after so many rules; of the loss itself it is 1."""
        last = len(self.nodes) - 1
        found = {last: np.ones_like(self.nodes[last].value)}
        for one in self.back[:done]:
            found[one.into] = one.cotangent
        return found


def tape_of(experiment: Experiment, player: str) -> Tape:
    """The tape of the loss of D or of G in the round that is next, on its first batch.

    Raises:  ValueError – for another player
    """
    e, game = experiment, experiment.game
    if player not in ("D", "G"):
        raise ValueError(f"a tape is that of D or of G; received {player!r}")
    block, k = divmod(e.step, e.block_length)
    drawn = {name: constant(e.backend.array(a)[k]) for name, a in e.draw(block, e.block_length).items()}
    drawn = {name: t for name, t in drawn.items() if name not in SHARED}
    names: dict[int, str] = {}
    label = drawn["label"][0] if "label" in drawn else None
    real, noise, mix = drawn["real"][0], drawn.get("noise_x"), drawn.get("mix")
    if noise is not None:
        real = real + noise[0]
    if player == "D":
        z = drawn["latent_d"][0]
        fake = constant(game.make(z, drawn["noise_d"][0] if "noise_d" in drawn else None, label))
        names |= {id(real.memory): "x", id(fake.memory): "G(z)"}
        loss = game.discriminator_loss(real, fake, None if mix is None else mix[0], label=label)
        network: Network = game.discriminator
    else:
        z = drawn["latent_g"][0]
        names |= {id(z.memory): "z", id(real.memory): "x"}
        loss = game.generator_loss(
            z, real, drawn["noise_g"][0] if "noise_g" in drawn else None, None if mix is None else mix[0],
            label=label,
        )  # fmt: skip
        network = game.generator
    names |= {} if label is None else {id(label.memory): "k"}
    for letter, owner in (("G", game.generator), ("D", game.discriminator)):
        names |= {id(view.memory): f"{letter}.{name}" for name, view in owner.parameters.views.items()}
    return _tape(loss, network, names, player, e.step)


def _tape(loss: Tensor, network: Network, names: Mapping[int, str], player: str, step: int) -> Tape:
    tensors = history(loss)
    number = {t: k for k, t in enumerate(tensors)}
    asked = set(network.parameters)
    nodes, edges = [], []
    for k, t in enumerate(tensors):
        name, call = names.get(id(t.memory), f"%{k}"), t.call
        made = call is not None and bool(call.inputs)
        inputs: tuple[int | float, ...] = ()
        rules: tuple[str, ...] = ()
        line, text, kind = 0, name, "constant" if call is None else str(call.primitive)
        params: tuple[tuple[str, Any], ...] = ()
        if made and call is not None:
            inputs = tuple(number[x] if type(x) is Tensor else float(x) for x in call.inputs)  # type: ignore[arg-type]
            edges += [(number[x], k) for x in dict.fromkeys(call.inputs) if type(x) is Tensor]
            rules, line = rules_of(call.primitive.name)
            params = tuple(call.params.items())
            shown = [
                names.get(id(x.memory), f"%{number[x]}") if type(x) is Tensor else f"{x:g}"
                for x in call.inputs
            ]
            text = f"{kind}({', '.join([*shown, *(f'{key}={value}' for key, value in params)])})"
        value = np.asarray(t.numpy())
        nodes.append(Value(name, kind, text, value, inputs, params, rules, line, t in asked))
    back = _backwards(loss, tensors, number, asked)
    return Tape(player, step, tuple(nodes), tuple(dict.fromkeys(edges)), tuple(back))


def _backwards(
    loss: Tensor, tensors: Sequence[Tensor], number: Mapping[Tensor, int], asked: set[Tensor]
) -> list[Back]:
    """What ``grad`` does, rule by rule, with all that it adds kept."""
    way = set(asked)
    made = []
    for t in tensors:
        if (
            t.call is not None
            and t.call.inputs
            and not way.isdisjoint(x for x in t.call.inputs if type(x) is Tensor)
        ):
            way.add(t)
            made.append(t)
    cotangent = {loss: constant(np.ones_like(loss.numpy()))}
    done: list[Back] = []

    def run() -> None:
        taping.set(False)
        for t in reversed(made):
            if t not in cotangent:
                continue
            call: Any = t.call
            for k, x in enumerate(call.inputs):
                if type(x) is Tensor and x in way and call.primitive.vjps[k] is not None:
                    g = cotangent[t]
                    added = call.primitive.vjps[k](g, t, *call.inputs, **call.params)
                    if added.shape != x.shape:
                        added = sum_to(added, x.shape)
                    cotangent[x] = cotangent[x] + added if x in cotangent else added
                    done.append(Back(number[t], k, number[x], added.numpy(), cotangent[x].numpy(), g.numpy()))

    if is_tracked(loss):
        copy_context().run(run)
    return done


@lru_cache
def rules_of(name: str) -> tuple[tuple[str, ...], int]:
    """The texts of the derivatives of a primitive, and the line of primitives.py where they stand."""
    source = inspect.getsource(primitives)
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            call = node.value
            first = call.args[0] if call.args else None
            if isinstance(first, ast.Constant) and first.value == name:
                rest = call.args[1:] if getattr(call.func, "id", "") == "Elementwise" else call.args[2:]
                texts = [
                    (ast.get_source_segment(source, rule.body) or "") if isinstance(rule, ast.Lambda) else ""
                    for rule in rest
                ]
                return tuple(texts), node.lineno
    return (), 0


def evaluated(tape: Tape, back: Back, at: int = 0) -> str:
    """A rule with the numbers of one element in it, and what it comes to: "0.5 * square(0.3) = 0.045".

    at  which element of the node, counted through

    Rules that move numbers about have their shapes instead.
    """
    node = tape.nodes[back.node]
    if back.input >= len(node.rules) or not node.rules[back.input]:
        return "no derivative"
    rule = node.rules[back.input]
    names = ast.parse(rule, mode="eval")
    arguments = _arguments(tape, node, back)
    same = node.primitive in FUNCTIONS
    numbers, shapes = {}, {}
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            spread = np.broadcast_to(value, node.value.shape) if same else value
            shapes[name] = "×".join(map(str, value.shape))
            if same and spread.size:
                numbers[name] = float(spread.reshape(-1)[at % spread.size])
        else:
            numbers[name] = float(value)
    if not same:
        return f"{rule}, where " + ", ".join(f"{name} is {shape}" for name, shape in shapes.items())

    class Fill(ast.NodeTransformer):
        def visit_Name(self, found: ast.Name) -> Any:
            if found.id in numbers:
                return ast.Name(f"{numbers[found.id]:.4g}", found.ctx)
            return found

    text = ast.unparse(Fill().visit(names))
    g = np.broadcast_to(back.g, node.value.shape)
    result = _rule_result(node, back, numbers)
    return f"{text} = {result:.4g}" if g.size and result is not None else text


def _arguments(tape: Tape, node: Value, back: Back) -> dict[str, Any]:
    """What the rule's names stand for."""
    given: dict[str, Any] = {"g": back.g, "y": node.value}
    letters = ("x",) if len(node.inputs) == 1 else ("a", "b")
    if node.primitive in ("power",):
        letters = ("x", "n")
    for letter, one in zip(letters, node.inputs, strict=False):
        given[letter] = tape.nodes[one].value if isinstance(one, int) else one
    for name, value in node.params:
        if isinstance(value, (int, float)):
            given[name] = value
    return given


def _rule_result(node: Value, back: Back, numbers: Mapping[str, float]) -> float | None:
    """What the rule gives of these numbers, by the rule itself."""
    primitive = primitives.PRIMITIVES.get(node.primitive)
    if primitive is None or primitive.vjps[back.input] is None:
        return None
    tensors = [constant([[numbers[name]]], "float64") for name in ("g", "y")]
    letters = [name for name in ("x", "a", "b", "n") if name in numbers]
    inputs: list[Any] = []
    for name, one in zip(letters, node.inputs, strict=False):
        inputs.append(constant([[numbers[name]]], "float64") if isinstance(one, int) else one)
    params = dict(node.params)
    rule: Any = primitive.vjps[back.input]
    return float(rule(*tensors, *inputs, **params).item())
