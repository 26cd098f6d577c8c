"""A sample of the soak with a fixed seed: right derivations hold, wrong ones do not, sets of steps agree with isl."""

import pytest

import tinygrad_rnn as tg
from benchmarks.soak import cases
from benchmarks.soak.numeric import World
from benchmarks.soak.reading import read
from benchmarks.soak.run import soak
from tests.sweep import sample
from tinygrad_rnn.models import names, resolve

SEED = 11


@pytest.mark.slow
@pytest.mark.parametrize("block", sample(range(4), 2, "right"))
def test_right_derivations_hold_however_they_are_stated(block):
    tally = soak("right", 100 * SEED + block, 2)
    assert not tally.findings, "\n".join(map(str, tally.findings))


@pytest.mark.slow
@pytest.mark.parametrize("block", sample(range(4), 1, "wrong"))
def test_wrong_equations_do_not_hold_and_corrections_do(block):
    tally = soak("wrong", 100 * SEED + block, 1)
    assert not tally.findings, "\n".join(map(str, tally.findings))


def test_no_wrong_equation_is_proved():
    tally = soak("prove", SEED, 1)
    assert not tally.findings, "\n".join(map(str, tally.findings))


@pytest.mark.slow
def test_printed_derivations_are_right_at_lengths_they_were_not_made_from():
    tally = soak("derived", SEED, 6)
    wrong = [finding for finding in tally.findings if finding.what != "derivation refused"]
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.slow
def test_sets_of_steps_agree_with_isl():
    pytest.importorskip("islpy")
    tally = soak("domains", SEED, 30)
    assert not tally.findings, "\n".join(map(str, tally.findings))


# -- the soak itself --------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("name", sample(names(), 9, "own numbers"))
def test_the_soaks_own_numbers_agree_with_the_published_derivations(name):
    """Reader, arithmetic and complex step of the soak, on what was derived by hand."""
    model = tg.load(resolve(name))
    known = [(file, shapes) for file, shapes in cases.shipped() if file.text() == _text(model)]
    for file, shapes in known:
        world = World(file, shapes, {length: 5 if length == "T" else 7 for length in file.lengths})
        for equation in (e for e in file.gradients if e.name.startswith("d") and e.name[1:] in shapes):
            assert all(error < 1e-9 for error in world.errors(equation).values()), str(equation)


def _text(model):
    file = read(model.document.source.text)
    file.headers = {key: value for key, value in file.headers.items() if key not in ("model", "source")}
    return file.text()


@pytest.mark.parametrize("seed", range(12))
def test_the_soaks_own_adjoint_and_rewritings_are_right(seed):
    """What is held to be right is right by the complex step, so that a FAIL is the judge's fault."""
    case = cases.right(f"own-{seed}")
    world = World(case.file, case.shapes, {length: 6 if length == "T" else 4 for length in case.file.lengths}, seed)
    for equation in case.file.gradients:
        if case.line_of(equation) in case.changes:
            errors = world.errors(equation)
            assert all(error < 1e-6 for error in errors.values()), f"{case.changes[case.line_of(equation)]}: {equation}"
