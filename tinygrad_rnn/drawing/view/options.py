"""Which picture of what: the one entry of this package, where arguments are understood and options are checked.

The whole graph becomes a picture in `assemble`; here it is decided whether it is shown folded, or with its middle left
out (`circuit`), as a grid or as a tree (`columns`). An object that describes itself by `__picture__()` gives data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...core.errors import GraphError, kind_of
from ...core.graph import Graph
from ...core.tensor import Tensor
from ..layout.columns import as_grid_or_tree, in_a_row
from ..picture import Column, Edge, Picture, PictureNode
from ..styles import ROLES
from .assemble import assemble
from .circuit import fold_picture, leave_out
from .label_text import clean, joined, symbol, words

ROLE = "operation"
#: roles whose text is no symbol
UPRIGHT = ("operation", "product", "constant")
#: of a text or a line of small print
LONGEST = 60


def picture_of_data(data: Mapping[str, Any]) -> Picture:
    """The picture that plain data describe; raises `GraphError` for what is unknown or missing."""
    nodes: list[PictureNode] = []
    number: dict[Any, int] = {}
    groups: dict[Any, int] = {}
    for entry in data.get("nodes", ()):
        role = entry.get("role", ROLE) if isinstance(entry, Mapping) else None
        if role not in ROLES or "id" not in entry or entry["id"] in number:
            raise GraphError(
                f"__picture__: node {entry!r} needs an id of its own, and a role out of {', '.join(sorted(ROLES))}"
            )
        number[entry["id"]] = len(nodes)
        group = groups.setdefault(entry.get("group"), len(groups))
        said = str(entry.get("text", entry["id"]))
        text = words(clean(said, LONGEST)) if role in UPRIGHT else symbol(said)
        lines = tuple(clean(str(line), LONGEST) for line in entry.get("lines", ()))
        named = role not in UPRIGHT
        nodes.append(PictureNode(text, role, group, len(nodes), lines=lines, tooltip=clean(said, 120), named=named))
    edges = []
    for start, end, *more in data.get("edges", ()):
        if start not in number or end not in number:
            raise GraphError(f"__picture__: an edge joins {start!r} and {end!r}, which are not both among the nodes")
        letter, delay = [*more, None, 0][:2] if len(more) < 2 else more
        letters = [letter] if isinstance(letter, str) else letter or ()
        label = joined([symbol(str(name)) for name in letters]) if letters else None
        edges.append(Edge(number[start], number[end], label, delay=int(delay or 0)))
    plain = set(groups) <= {None}
    columns = [
        Column("plain" if plain else "step" if g is not None else "between", k, clean(str(g or ""), 60))
        for g, k in groups.items()
    ]
    picture = Picture(nodes, edges, columns or [Column("plain", 0)], [], "op", "LR", title=_title(data))
    in_a_row(picture)
    return picture


def _title(data: Mapping[str, Any]) -> str | None:
    return clean(str(data["title"]), 120) if data.get("title") else None


LEVELS = ("op", "named")
DIRECTIONS = ("LR", "TB")
FOLDED = (False, True, "both")
#: more steps than this are not all drawn at level "named"
MOST_STEPS = 12
#: steps of a model that has not been run yet
FEW_STEPS = 4


def view(
    source: Any,
    level: str = "op",
    direction: str = "LR",
    values: bool = False,
    backward: bool = False,
    title: str | None = None,
    steps: int | str | None = None,
    only: Collection[str] | None = None,
    folded: bool | str = False,
) -> Picture:
    """The picture of a Graph, a Tensor or anything with `.graph`; the arguments are those of `tg.draw`."""
    for name, value, known in (
        ("level", level, LEVELS),
        ("direction", direction, DIRECTIONS),
        ("folded", folded, FOLDED),
    ):
        if value not in known:
            raise GraphError(f"draw: {name}={value!r} is not known; choose from {', '.join(map(repr, known))}")
    described = _asked(source)
    if isinstance(described, Mapping):
        picture = picture_of_data(described)
    elif folded:
        graph, untimed = graph_and_inputs(described, folded=True)
        picture = fold_picture(graph, level, values, only, untimed, _steps_beside(folded, steps))
    else:
        graph, untimed = graph_and_inputs(described)
        picture = assemble(graph, level, values, only, untimed)[0]
        if not as_grid_or_tree(picture):
            _leave_out_steps(picture, level, steps)
            in_a_row(picture)
    picture.direction, picture.backward = direction, backward
    picture.title = picture.title if title is None else clean(title, 120)
    return picture


def _asked(source: Any) -> Any:
    """What an object says about itself: `__picture__()` gives data (`picture_of_data`) or something else to draw."""
    says = getattr(type(source), "__picture__", None)
    return source if says is None else says(source)


def graph_and_inputs(source: Any, folded: bool = False) -> tuple[Graph, frozenset[int]]:
    """The graph meant by a Graph, a Tensor, several Tensors, an object with `.graph`, or a model to be unrolled.

    And the ids of the inputs among its leaves, where the object says which they are, as a model's run does.
    """
    if isinstance(source, Tensor) or (isinstance(source, list | tuple) and source):
        return Graph(source), frozenset()
    if hasattr(source, "unroll"):
        source = source.unroll(3 * source.longest_delay + 5 if folded else FEW_STEPS)
    graph = source if hasattr(source, "nodes") else getattr(source, "graph", None)
    if not hasattr(graph, "nodes"):
        advice = "; call it on data first, and draw what comes out" if hasattr(source, "parameters") else ""
        raise GraphError(f"draw takes a Graph, a Tensor, a model or its run, not {kind_of(source)}{advice}")
    inputs = getattr(source, "inputs", None)
    leaves = inputs.values() if isinstance(inputs, Mapping) else ()
    fixed = getattr(getattr(getattr(source, "model", None), "document", None), "fixed", ())
    return graph, frozenset(x.id for x in leaves if isinstance(x, Tensor) and x.name not in fixed)  # type: ignore[return-value]


def _steps_beside(folded: bool | str, steps: int | str | None) -> int | None:
    """How many steps stand beside a circuit: 0 for none, None for as many as its longest delay needs."""
    if steps is None:
        return None if folded == "both" else 0
    if folded != "both":
        raise GraphError(f"draw: steps={steps!r}, but a circuit has no steps; take it out, or say folded='both'")
    if not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise GraphError(f"draw: steps={steps!r}; from 1 to {MOST_STEPS} steps stand beside a circuit")
    return steps


def _leave_out_steps(picture: Picture, level: str, steps: int | str | None) -> None:
    if steps == "all" or (steps is None and level == "op"):
        return
    most = MOST_STEPS if steps is None else steps
    if not isinstance(most, int) or most < 6:
        raise GraphError(f"draw: steps={steps!r}; give the largest number of steps to draw (6 or more) or 'all'")
    leave_out(picture, most)
