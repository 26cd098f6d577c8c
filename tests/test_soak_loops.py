"""A sample of the soak's random loops with a fixed seed: compiled values and gradients are those of eager code."""

import pytest

from benchmarks.soak import loops, scripts
from benchmarks.soak.judging import Tally
from tests.compile_losses import LOSSES, inputs

SEED = 23
#: seeds kept out while what they found is open
OPEN: set[int] = set()


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_compiled_random_loops_equal_eager(block):
    tally = Tally()
    for number in range(8 * block, 8 * block + 8):
        if number not in OPEN:
            loops.compare(f"{SEED}-{number}", tally, "numpy")
    assert not tally.findings, "\n".join(map(str, tally.findings))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_what_is_written_for_the_jitted_executor_equals_eager_in_tiles_of_few_steps(chunk):
    emulated = pytest.importorskip("benchmarks.soak.emulated", reason="needs numba", exc_type=ImportError)
    tally = Tally()
    with emulated.emulated():
        for number in range(2):
            loop = loops.Loop(f"{SEED}-text-{chunk}-{number}", "jit")
            loop.chunk = chunk
            loops.compare_loop(loop, tally)
    assert not tally.findings, "\n".join(map(str, tally.findings))


def test_generated_code_that_reaches_beyond_a_buffer_is_found(monkeypatch):
    emulated = pytest.importorskip("benchmarks.soak.emulated", reason="needs numba", exc_type=ImportError)
    module, (loss, p) = emulated._module, LOSSES["last step"]
    monkeypatch.setattr(emulated, "_module", lambda text, depends: module(text.replace("(0, N)", "(0, N + 1000)")))
    with emulated.emulated():
        fast = loops.tg.compile(loops.tg.value_and_grad(loss), executor="jit")
        with pytest.raises(emulated.OutOfBounds):
            fast(p, inputs(7))


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
