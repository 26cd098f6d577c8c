"""A sample of the soak's random loops with a fixed seed: compiled values and gradients are those of eager code."""

import pytest

from benchmarks.soak import loops, scripts
from benchmarks.soak.judging import Tally

SEED = 23
#: seeds kept out while what they found is open
OPEN: set[int] = set()


@pytest.mark.parametrize("block", range(4))
def test_compiled_random_loops_equal_eager(block):
    tally = Tally()
    for number in range(8 * block, 8 * block + 8):
        if number not in OPEN:
            loops.compare(f"{SEED}-{number}", tally, "numpy")
    assert not tally.findings, "\n".join(map(str, tally.findings))


def test_a_wrong_compiled_number_is_found(monkeypatch):
    """A compiled function whose first gradient is one part in a thousand off."""
    compiled = loops.tg.compile

    def off(function, **options):
        made = compiled(function, **options)

        def call(*args):
            value, grads = made(*args)
            call.forms = made.forms
            return value * 1.001, grads

        return call

    monkeypatch.setattr(loops.tg, "compile", off)
    tally = Tally()
    loops.compare("right-0", tally, "numpy")
    assert len(tally.findings) == 1


def test_a_loop_is_made_again_from_its_seed():
    assert loops.Loop("a-3").script() == loops.Loop("a-3").script()
    assert callable(scripts.module(loops.Loop("a-3").text).loss)
