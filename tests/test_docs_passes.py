"""The page about the passes says what the compiler does now."""

import pytest

from docs import passes

MADE = dict(passes.plans())


def test_the_committed_page_is_what_the_generator_gives() -> None:
    assert passes.PAGE.read_text() == passes.page(), "run: python -m docs.passes"


@pytest.mark.parametrize(("file", "after"), [(passes.BEFORE, "features_first"), (passes.AFTER, "planned")])
def test_the_committed_pictures_are_what_the_generator_gives(file, after) -> None:
    assert file.read_bytes() == passes.picture(MADE[after]), "run: python -m docs.passes"


def test_every_pass_has_a_row_that_says_what_it_is_for() -> None:
    assert list(MADE) == list(passes.NAMES)


def test_passes_take_lines_out_of_the_loops() -> None:
    lines = {name: sum(len(loop.body) for loop in passes.loops(plan)) for name, plan in MADE.items()}
    names = [name for name in lines if name != "sigmoids_as_tanh"]  # which adds some, for `merge_products` to gain from
    assert [lines[name] for name in names] == sorted((lines[name] for name in names), reverse=True)
    assert lines["planned"] < lines["simplify"] / 2
