"""Draw a graph as a textbook would: time from left to right, inputs below, states in the middle, losses above.

`draw` gives a graphviz object, `write` a file. This package reads graphs and changes nothing in them. Inside, data
flows one way: `view` makes a `Picture` (`assemble` of the whole graph, `circuit` of its recurrence), `layout` places
it, `writers` write it. `heat` and `graphical` draw what is no graph of tensors.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .heat import HeatMap
    from .writers.dot import Drawing


def draw(
    graph: Any,
    level: str = "op",
    direction: str = "LR",
    values: bool = False,
    backward: bool = False,
    title: str | None = None,
    steps: int | str | None = None,
    only: Collection[str] | None = None,
    folded: bool | str = False,
) -> Drawing:
    """Draw a graph; the result is a `graphviz.Digraph` (`.source`, `.render()`, shown by notebooks as it is).

    graph: a `Graph`, a Tensor (everything it depends on), several Tensors, anything with `.graph`, a model of equations
    (unrolled over a few steps), or an object that describes itself by `__picture__()` (docs/draw.md). level: `"op"`
    shows every operation, `"named"` the named quantities as in the Deep Learning book's figure 10.3 (documents 000 and
    004, section 2.1), each matrix a letter on its arrow. direction: `"LR"` (time to the right) or `"TB"` (time
    downwards). values: add shapes, and small values or ranges. backward: add the gradient's way as red broken lines.
    steps: the most steps to draw before the middle is left out (level `"named"`: 12 unless said), or `"all"`; beside a
    circuit, how many. only: at level `"named"`, keep just these names. folded: True for the circuit, where a black
    square delays by one step (figures 10.2 and 10.3; documents 000 and 004, section 1), `"both"` for the unfolded steps
    beside it. Raises `GraphError` for anything else, and `FoldError` where the steps are not one step repeated.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.tensor(0.5, name="W")
    >>> with tg.step(0):
    ...     h = tg.tensor(1.0, name="h")
    >>> for t in tg.steps(1, 4):
    ...     h = tg.name("h", np.tanh(W * h))
    >>> picture = tg.draw(h, level="named")
    >>> "cluster" in picture.source and "⁽³⁾" in picture.source
    True
    >>> tg.draw(h, level="named", folded=True).source.count("->")
    1
    """
    from .layout.placement import lay_out
    from .view.options import view
    from .writers.dot import to_digraph

    return to_digraph(lay_out(view(graph, level, direction, values, backward, title, steps, only, folded)))


def write(graph: Any, path: str | Path, **options: Any) -> Path:
    """Draw into a file whose suffix says the format; `options` are those of `draw`. Returns the path.

    `.svg` (with graphviz's `dot` program when there is one, otherwise by this package alone), `.dot` or `.gv` (text),
    `.pdf` and `.png` (need `dot`). The file appears whole or not at all. Raises `GraphError`, before anything is
    written, for another suffix or when `dot` is needed and missing.

    >>> import tempfile, tinygrad_rnn as tg
    >>> from tinygrad_rnn import write
    >>> x = tg.tensor(3.0, name="x")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(x * x, folder + "/square.svg").name
    'square.svg'
    """
    from .writers.picture_files import write_picture

    return write_picture(graph, Path(path), options)


def graphical_model(T: int = 5, states: bool = False, title: str | None = None) -> Drawing:
    """What depends on what in a sequence y[1..T] without inputs (documents 000 and 004, section 2.5.1).

    Every value upon all before it; or, with `states`, through a state s[t], which needs the same three arrows at every
    step. T is from 2 to 12, else `GraphError`. The result is drawn and written as that of `draw` is.

    >>> from tinygrad_rnn import graphical_model
    >>> graphical_model(5).source.count("->"), graphical_model(5, states=True).source.count("->")
    (15, 16)
    """
    from .graphical import graphical_layout
    from .writers.dot import to_digraph

    return to_digraph(graphical_layout(T, states, title))


def heatmap(
    matrix: Any,
    rows: Sequence[Any] | None = None,
    columns: Sequence[Any] | None = None,
    title: str | None = None,
    axes: tuple[str, str] | None = None,
    log: bool = False,
) -> HeatMap:
    """A matrix as coloured cells with a legend, as SVG (`str()` of it; notebooks show it; `write` takes it).

    matrix: (m, n), array or Tensor. rows, columns: a label for each, numbers from 1 if None. axes: what rows and
    columns are. log: colour by logarithm, for norms over decades; what is not positive is hatched then, nan always.
    Raises `ShapeError` for anything but a matrix, for more than 1000 rows or columns, and for labels that do not fit.

    >>> from tinygrad_rnn import heatmap
    >>> str(heatmap([[0.1, 0.9], [0.8, 0.2]], rows=["le", "chat"], columns=["the", "cat"])).count("<rect")
    38
    """
    from .heat import heat_map

    return heat_map(matrix, rows, columns, title, axes, log)


__all__ = ["draw", "graphical_model", "heatmap", "write"]
