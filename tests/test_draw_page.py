"""The pictures of docs/draw.md are those that are drawn today; `python -m tests.test_draw_page` draws them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import graphical_model, heatmap
from tinygrad_rnn.drawing.writers.svg import to_svg
from tinygrad_rnn.models import resolve

from .test_draw_svg import placed
from .test_draw_view import grid, tree

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def _norms() -> str:
    norms = np.array([[0.5 ** (t - k) if k <= t else np.nan for k in range(12)] for t in range(12)])
    return str(heatmap(norms, title="How far a gradient reaches", axes=("loss step", "state step"), log=True))


def _model(name: str, folded: bool | str) -> str:
    return to_svg(placed(tg.load(resolve(name)), level="named", folded=folded))


PICTURES: dict[str, Callable[[], str]] = {
    "vanilla-both": lambda: _model("vanilla", "both"),
    "lstm-circuit": lambda: _model("lstm", True),
    "grid": lambda: to_svg(placed(grid(), level="named", only=("x", "h"))),
    "tree": lambda: to_svg(placed(tree(), level="named")),
    "model-full": lambda: to_svg(graphical_model(5).placed),
    "model-state": lambda: to_svg(graphical_model(5, states=True).placed),
    "heatmap": _norms,
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_of_the_page_is_what_is_drawn_today(name: str) -> None:
    assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == PICTURES[name](), "python -m tests.test_draw_page"


if __name__ == "__main__":
    for name, drawn in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(drawn(), encoding="utf-8")
