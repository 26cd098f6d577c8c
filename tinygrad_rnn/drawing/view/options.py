"""Which picture of what: the one door of this room, where arguments are understood and options are checked.

The whole graph becomes a picture in `assemble`; here it is decided whether it is shown folded (`circuit`), with its
middle left out (`elision`), as a grid or as a tree (`places`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...core.errors import GraphError, kind_of
from ...core.graph import Graph
from ...core.tensor import Tensor
from ..layout.column_positions import as_grid_or_tree, in_a_row
from ..picture import Picture
from ..plain import picture_of_data
from .assemble import assemble
from .circuit import fold_picture
from .elision import leave_out
from .label_text import clean

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
    found = _asked(source)
    if isinstance(found, Mapping):
        picture = picture_of_data(found)
    elif folded:
        graph, given = graph_and_inputs(found, folded=True)
        picture = fold_picture(graph, level, values, only, given, _steps_beside(folded, steps))
    else:
        graph, given = graph_and_inputs(found)
        picture = assemble(graph, level, values, only, given)[0]
        if not as_grid_or_tree(picture):
            _leave_out_steps(picture, level, steps)
            in_a_row(picture)
    picture.direction, picture.backward = direction, backward
    picture.title = picture.title if title is None else clean(title, 120)
    return picture


def _asked(source: Any) -> Any:
    """What an object says about itself: `__picture__()` gives plain data (see `plain`) or something else to draw."""
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
    found = source if hasattr(source, "nodes") else getattr(source, "graph", None)
    if not hasattr(found, "nodes"):
        advice = "; call it on data first, and draw what comes out" if hasattr(source, "parameters") else ""
        raise GraphError(f"draw takes a Graph, a Tensor, a model or its run, not {kind_of(source)}{advice}")
    inputs = getattr(source, "inputs", None)
    given = inputs.values() if isinstance(inputs, Mapping) else ()
    fixed = getattr(getattr(getattr(source, "model", None), "document", None), "fixed", ())
    return found, frozenset(x.id for x in given if isinstance(x, Tensor) and x.name not in fixed)  # type: ignore[return-value]


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
