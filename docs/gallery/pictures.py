"""The picture of a system: its circuit, and beside it the graph unfolded in time, as the book prints them."""

from __future__ import annotations

from typing import NamedTuple

import tinygrad_rnn as tg
from tinygrad_rnn.drawing.layout.placement import lay_out
from tinygrad_rnn.drawing.view.options import view
from tinygrad_rnn.drawing.writers.svg import to_svg

from .systems import System


class Picture(NamedTuple):
    """A drawing as SVG text, and its width in points."""

    svg: str
    width: float


def picture(system: System) -> Picture:
    """Circuit and unfolded graph; the unfolded graph alone where no single step is repeated: a tree, an image."""
    try:
        layout = lay_out(view(system.model, level="named", folded="both"))
    except tg.FoldError:
        layout = lay_out(view(system.model.unroll(system.steps), level="named"))
    return Picture(to_svg(layout), layout.width)
