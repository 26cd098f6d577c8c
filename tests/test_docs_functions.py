"""The page about numpy's functions says what the tables hold now."""

import numpy as np
import pytest

from docs import functions
from tinygrad_rnn.core.tensor import DIFFERENTIABLE


@pytest.mark.skipif(not hasattr(np, "matvec"), reason="this release of numpy has fewer functions than the page")
def test_the_committed_page_is_what_the_generator_gives() -> None:
    assert functions.PAGE.read_text(encoding="utf-8") == functions.page(), "run: python -m docs.functions"


def test_every_function_stands_under_a_heading() -> None:
    known = {module for modules in functions.HEADINGS for module in modules}
    assert {functions._module(ours) for ours in DIFFERENTIABLE.values()} <= known
