"""A history as a picture, laid out forward in layers: an SVG that opens anywhere, without Graphviz.

fast-sugiyama places the nodes (Sugiyama's algorithm, in Rust, with no dependencies of its own); what is drawn
at the places is written here.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from minigan.engine.show import history
from minigan.engine.tensor import Tensor
from minigan.errors import UnavailableError

__all__ = ["Places", "history_as_picture", "place"]

LETTER, HEIGHT, ROW, GAP, MARGIN = (
    6.7,
    34,
    48,
    40,
    12,
)  # pixels: of text, a box, two rows, two layers, the edge
WIDEST = 34  # letters of a label
_STYLE = """
svg{background:#fff;color:#1a1a1a}
.box{fill:#fff;stroke:#555}.variable .box{fill:#cfe3f7}.constant .box{fill:#e8e8e8}
.last .box{stroke-width:2.5}
.edge{fill:none;stroke:#666;stroke-width:1.1}.tip{fill:#666}text{fill:currentColor;text-anchor:middle}
.type{fill-opacity:.7;font-size:10px}
@media (prefers-color-scheme:dark){svg{background:#1b1d1f;color:#e8e8e8}.box{fill:#26292c;stroke:#9aa}
.variable .box{fill:#173a5a}.constant .box{fill:#3a3d40}.edge{stroke:#9aa}.tip{fill:#9aa}}
"""


class Places(NamedTuple):
    """Where the nodes of a graph go, and on which way an edge comes from one to the other.

    nodes   {node: (layer, row)}: whole numbers from 0 on, and places across in units of a row
    routes  for each edge the places that it passes, its own two nodes first and last
    """

    nodes: dict[int, tuple[int, float]]
    routes: list[list[tuple[int, float]]]


def place(edges: Sequence[tuple[int, int]], nodes: Iterable[int] = ()) -> Places:
    """Lay a directed graph without cycles out in layers, every edge from a lower one to a higher.

    edges  pairs of numbers of nodes from 0 on, without gaps;  nodes  those that may have no edge

    Raises:  UnavailableError – where fast-sugiyama is not installed
    """
    try:
        from fast_sugiyama import from_edges
    except ImportError:
        raise UnavailableError(
            "a picture of a graph is laid out by fast-sugiyama; install it with: pip install 'minigan[graph]'"
        ) from None
    found: dict[int, tuple[float, float]] = {}
    links: dict[int, list[int]] = {}
    low, unique = 0.0, list(dict.fromkeys(edges))
    made = from_edges(unique, vertex_spacing=1, dummy_vertices=True, check_layout=False) if unique else []
    own = {node for edge in unique for node in edge}
    hidden = max(own, default=0) + 1  # numbers of bends, which begin anew in every part
    for positions, _, _, passed in made:
        if not positions:
            continue
        renamed = {node: node if node in own else hidden + k for k, (node, _) in enumerate(positions)}
        hidden += len(positions)
        least = min(x for _, (x, _) in positions)
        found |= {renamed[node]: (y, low + x - least) for node, (x, y) in positions}
        low += max(x for _, (x, _) in positions) - least + 1
        for a, b in passed or ():
            links.setdefault(renamed[a], []).append(renamed[b])
    layers = {y: k for k, y in enumerate(sorted({y for y, _ in found.values()}))}
    forward = not unique or found[unique[0][0]][0] < found[unique[0][1]][0]
    at = {node: (layers[y] if forward else len(layers) - 1 - layers[y], x) for node, (y, x) in found.items()}
    for node in nodes:
        if node not in at:
            at[node], low = (0, low), low + 1
    routes = [_route(edge, links, own, at) for edge in edges]
    return Places({node: spot for node, spot in at.items() if node in own or node in nodes}, routes)


def _route(
    edge: tuple[int, int], links: dict[int, list[int]], own: set[int], at: dict[int, tuple[int, float]]
) -> list[tuple[int, float]]:
    """The bends between two nodes: each has one way on."""
    start, end = edge
    for first in links.get(start, ()):
        way = [start, first]
        while way[-1] not in own and links.get(way[-1]):
            way.append(links[way[-1]][0])
        if way[-1] == end:
            return [at[node] for node in way]
    return [at[start], at[end]]


def history_as_picture(y: Tensor, names: Mapping[str, Tensor] | None = None) -> str:
    """A tensor's history as SVG: parameters and data on the left, what was made of them to the right.

    names  {"x": tensor}: what to call the tensors that have a name

    Raises:  UnavailableError – where fast-sugiyama is not installed
    """
    tensors = history(y)
    number = {t: k for k, t in enumerate(tensors)}
    edges = [
        (number[x], k) for t, k in number.items() if t.call for x in t.call.inputs if isinstance(x, Tensor)
    ]
    places = place(edges, range(len(tensors)))
    called = {id(t.memory): name for name, t in (names or {}).items()}
    titles = [_title(t, called) for t in tensors]
    types = [f"{t.dtype}[{', '.join(map(str, t.shape))}]" for t in tensors]
    wide = [LETTER * max(len(a), len(b)) + 14 for a, b in zip(titles, types, strict=True)]
    columns = [0.0] * (1 + max(layer for layer, _ in places.nodes.values()))
    for k, (layer, _) in places.nodes.items():
        columns[layer] = max(columns[layer], wide[k])
    starts = [MARGIN + sum(columns[:k]) + GAP * k for k in range(len(columns))]
    middles = [start + width / 2 for start, width in zip(starts, columns, strict=True)]
    height = 2 * MARGIN + HEIGHT + ROW * max(row for _, row in places.nodes.values())
    width = starts[-1] + columns[-1] + MARGIN

    def down(row: float) -> float:
        return MARGIN + HEIGHT / 2 + ROW * row

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="ui-monospace,Menlo,Consolas,monospace" '
        f'font-size="11"><title>history of a tensor</title><style>{_STYLE}</style>'
    ]
    for (a, b), route in zip(edges, places.routes, strict=True):
        points = [(middles[layer], down(row)) for layer, row in route]
        points[0] = (middles[route[0][0]] + wide[a] / 2, points[0][1])
        points[-1] = (middles[route[-1][0]] - wide[b] / 2 - 5, points[-1][1])
        tip = f"M{points[-1][0] + 5:.1f} {points[-1][1]:.1f}l-6 -3v6z"
        parts.append(f'<path class="edge" d="{_curve(points)}"/><path class="tip" d="{tip}"/>')
    for k, t in enumerate(tensors):
        (layer, row), kind = places.nodes[k], "constant" if t.call is None else str(t.call.primitive)
        x, middle, left = middles[layer], down(row), middles[layer] - wide[k] / 2
        kind = (kind if kind in ("constant", "variable") else "made") + " last" * (t is y)
        parts.append(
            f'<g class="{kind}"><rect class="box" rx="4" x="{left:.1f}" y="{middle - HEIGHT / 2:.1f}" '
            f'width="{wide[k]:.1f}" height="{HEIGHT}"/>'
            f'<text x="{x:.1f}" y="{middle - 2:.1f}">{escape(titles[k])}</text>'
            f'<text class="type" x="{x:.1f}" y="{middle + 11:.1f}">{escape(types[k])}</text></g>'
        )
    return "".join([*parts, "</svg>\n"])


def _title(t: Tensor, called: dict[int, str]) -> str:
    """A name, or the operation with what it takes besides tensors."""
    if (name := called.get(id(t.memory))) is not None and (t.call is None or not t.call.inputs):
        return name if len(name) <= WIDEST else f"{name[: WIDEST - 1]}…"
    if t.call is None:
        return "constant"
    more = [format(x, ".4g") for x in t.call.inputs if not isinstance(x, Tensor)]
    more += [f"{key}={value}" for key, value in t.call.params.items()]
    text = " ".join([str(t.call.primitive), *more])
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _curve(points: list[tuple[float, float]]) -> str:
    """Through the points, level at each."""
    text = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        middle = (x0 + x1) / 2
        text += f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return text
