"""Laws of the symbolic derivation: what it prints, its terms and its cells are right at every length."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tinygrad_rnn.core.tensor import plain
from tinygrad_rnn.derivation import Derivation, Gradients, true_terms
from tinygrad_rnn.language.run.evaluate import evaluate
from tinygrad_rnn.language.run.operands import dense
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.models import names
from tinygrad_rnn.verification.measure.probe import Probe

from .shipped import LARGE, shipped


@cache
def derived(name: str) -> Derivation:
    return Derivation(shipped(name))


@cache
def probed(name: str) -> Probe:
    """One run of four steps (T = 4, S = 5, …) with the engine's gradients."""
    return Probe(shipped(name), shipped(name).unroll(4))


def wrong(model: tg.Model, T: int) -> list[str]:
    """The gradient equations that do not pass on one probe, and why."""
    probe = Probe(model, model.unroll(T))
    judged = [(e, s, probe.judge(e, s)) for e in model.gradients for s in model.steps_of(e, probe.run.lengths)]
    return [f"{said.verdict} at {step}, T = {T}: {e.text}" for e, step, said in judged if said.verdict != "PASS"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(names(), 12, "what is derived"))
def test_what_is_derived_parses_back_and_passes_at_every_length(name):
    again = tg.load(derived(name).document())
    assert [text(equation) for equation in again.gradients] == derived(name).text().splitlines()
    shortest = shipped(name).longest_delay + 2
    for T in (max(4, shortest),) if name in LARGE else (max(3, shortest), max(4, shortest), 9):
        assert wrong(again, T) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(names(), 10, "every gradient that"))
def test_every_gradient_that_is_read_is_stated(name):
    """At no length is a step missing: what the file alone can compute are all its gradients."""
    model = tg.load(derived(name).document())
    probe = Probe(model, model.unroll(max(4, model.longest_delay + 2)))
    for equation in model.gradients:
        for step in model.steps_of(equation, probe.run.lengths):
            alone = plain(probe.own.right_hand_side(equation, step))
            np.testing.assert_allclose(alone, probe.truth(equation, step).value, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(names(), 10, "terms add up"))
@pytest.mark.parametrize("fine", [False, True])
def test_the_terms_of_a_stated_equation_add_up_to_its_gradient(name, fine):
    model, probe = shipped(name), probed(name)
    gradients = Gradients(model, fine=fine)
    for equation in model.gradients:
        if model.role(equation) == "helper":
            continue
        terms = true_terms(gradients, equation, "hadamard")
        for step in model.steps_of(equation, probe.run.lengths):
            times = equation.binding(step, probe.run.lengths)
            there = [term for term in terms if term.holds(times)]
            values = [term.sign * plain(dense(evaluate(term.expr, probe.operand, times)).value) for term in there]
            truth = probe.truth(equation, step).value
            np.testing.assert_allclose(sum(values) + np.zeros(truth.shape), truth, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", sample(names(), 12, "cells exclude"))
def test_cells_exclude_each_other_and_say_the_gradient_at_every_step(name):
    probe = probed(name)
    for key in derived(name).gradients.shares:
        seen: set[object] = set()
        for cell in derived(name).cells(*key):
            variables = tuple(name for index in cell.indices for name in index.running)
            for point in cell.domain.points(variables, probe.run.lengths):
                times = {**probe.run.lengths, **point}
                numbers = tuple(index.at(times) for index in cell.indices)
                step = None if not numbers else numbers[0] if len(numbers) == 1 else numbers
                assert step not in seen
                seen.add(step)
                if probe.reference.has(key[0], step):
                    value = plain(dense(evaluate(cell.expr, probe.operand, times)).value)
                    truth = probe.reference.of(key[0], step).value
                    np.testing.assert_allclose(value + np.zeros(truth.shape), truth, rtol=1e-8, atol=1e-10)
        stepped = {step for name, step in probe.reference.places if name == key[0] and (step is not None) == key[1]}
        missing = [step for step in stepped - seen if np.any(probe.reference.of(key[0], step).value)]
        assert missing == [], f"{key[0]} has a gradient there"


def test_the_time_a_derivation_is_kept_does_not_count(monkeypatch):
    """A derivation that is asked again a day later is not out of time."""
    derivation = Derivation(shipped("vanilla"))
    clock = derivation.gradients.limits
    monkeypatch.setattr(clock, "_since", clock._since - 86_400.0)
    assert derivation.cells("c", False)
