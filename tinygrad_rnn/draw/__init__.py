"""Draw a graph as a textbook would: time from left to right, inputs below, states in the middle, losses above.

`draw` gives a graphviz object, `write` a file. This room reads graphs and changes nothing in them. Inside, data flows
one way: `levels` and `columns` choose, `view` makes a `Picture`, `layout` places it, `dot` and `svg` write it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dot import Drawing


def draw(
    graph: Any,
    level: str = "op",
    direction: str = "LR",
    values: bool = False,
    backward: bool = False,
    title: str | None = None,
    steps: int | str | None = None,
    only: Collection[str] | None = None,
) -> Drawing:
    """Draw an unfolded graph; the result is a `graphviz.Digraph` (`.source`, `.render()`, shown by notebooks as it is).

    graph: a `Graph`, a Tensor (everything it depends on), several Tensors, or anything with `.graph`. level: `"op"`
    shows every operation, `"named"` the named quantities as in the Deep Learning book's figure 10.3 (documents 000 and
    004, section 2.1), each matrix a letter on its arrow. direction: `"LR"` (time to the right) or `"TB"` (time
    downwards). values: add shapes, and small values or ranges. backward: add the gradient's way as red broken lines.
    steps: the most steps to draw before the middle is left out (level `"named"`: 12 unless said), or `"all"`. only: at
    level `"named"`, keep just these names. Raises `GraphError` for anything else.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.tensor(0.5, name="W")
    >>> with tg.step(0):
    ...     h = tg.tensor(1.0, name="h")
    >>> for t in tg.steps(1, 4):
    ...     h = tg.name("h", np.tanh(W * h))
    >>> picture = tg.draw(h, level="named")
    >>> "cluster" in picture.source and "⁽³⁾" in picture.source
    True
    """
    from .dot import to_digraph
    from .layout import lay_out
    from .view import view

    return to_digraph(lay_out(view(graph, level, direction, values, backward, title, steps, only)))


def write(graph: Any, path: str | Path, **options: Any) -> Path:
    """Draw into a file whose suffix says the format; `options` are those of `draw`. Returns the path.

    `.svg` (with graphviz's `dot` program when there is one, otherwise by this package alone), `.dot` or `.gv` (text),
    `.pdf` and `.png` (need `dot`). The file appears whole or not at all. Raises `GraphError`, before anything is
    written, for another suffix or when `dot` is needed and missing.

    >>> import tempfile, tinygrad_rnn as tg
    >>> from tinygrad_rnn.draw import write
    >>> x = tg.tensor(3.0, name="x")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(x * x, folder + "/square.svg").name
    'square.svg'
    """
    from .files import write_picture

    return write_picture(graph, Path(path), options)


__all__ = ["draw", "write"]
