"""The picture as plain data: what is drawn, before anybody decides where or in which format.

`view` fills these records from a graph; `layout` reads them and adds positions; the writers read both. Nothing here
computes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .view.label_text import Text


@dataclass(slots=True)
class Stub:
    """One use of a parameter or constant: a small tag beside the operation, on the side where the formula has it."""

    text: Text
    role: str
    side: int  # -1 before the operation, +1 after it


@dataclass(slots=True)
class PictureNode:
    """Something with a place in the picture. `slot` is the same for the same quantity in every step."""

    text: Text
    role: str
    column: int
    slot: int
    operation: str = ""  # small print below a name
    lines: tuple[str, ...] = ()  # shape and values
    stubs: list[Stub] = field(default_factory=list)
    tooltip: str = ""
    named: bool = True
    leaf: bool = False
    untimed: bool = False  # an input outside of time


@dataclass(slots=True)
class Edge:
    """An arrow between two nodes, by their positions in `Picture.nodes`; `parallel` numbers those between the same two.

    `delay` is for circuits: the head takes the tail of so many steps before (after, if negative).
    """

    tail: int
    head: int
    label: Text | None = None
    differentiable: bool = True
    parallel: int = 0
    delay: int = 0


@dataclass(slots=True)
class Column:
    """One place on the time axis, or one cell of a grid or tree.

    `kind` is `step` (with a frame), `boundary` (initial states only), `before`, `between`, `after` (no time step),
    `gap` (steps left out), `circuit` (the step that stands for all), `unfold` (the arrow to the right-hand side) or
    `plain` (a graph without time). Columns of one time `axis` are laid out alike. Cells of one `rank` share their place
    on that axis, those of one `band` their height; `children` are the cells below one of a tree.
    """

    kind: str
    axis: int
    title: str = ""
    index: tuple[int, ...] = ()
    rank: int = 0
    band: int = 0
    children: tuple[int, ...] = ()


@dataclass(slots=True)
class Shared:
    """A parameter: one entry of the legend, however often it is used."""

    text: Text
    role: str
    detail: str


@dataclass(slots=True)
class Picture:
    """Everything the writers need except positions."""

    nodes: list[PictureNode]
    edges: list[Edge]
    columns: list[Column]
    shared: list[Shared]
    level: str
    direction: str
    backward: bool = False
    title: str | None = None
    note: Text | None = None
