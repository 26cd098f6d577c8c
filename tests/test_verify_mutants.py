"""Laws of the certificate: a probe that says PASS would have noticed every mistake of the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tinygrad_rnn.language.expressions import Equation
from tinygrad_rnn.models import names, resolve
from tinygrad_rnn.verification import mutants
from tinygrad_rnn.verification.diagnosis.terms import ProbeValues
from tinygrad_rnn.verification.diagnosis.true_terms import RightTerm
from tinygrad_rnn.verification.measure.budget import Deadline
from tinygrad_rnn.verification.measure.probe import Probe
from tinygrad_rnn.verification.mutants import certify
from tinygrad_rnn.verification.results import Certificate

from .shipped import SMALL, shipped, verified

#: mutants that say the same as the truth by the model's own numbers: g[T+1] = 0, a one-hot column squared, 1 to a
#: power, a state that is kept for a step
SAME = {"bidirectional", "end_symbol", "leaky_tau", "predicted_length", "clockwork"}
#: no learned matrix meets a state of step 0, or not of that step alone
NO_PAST = {
    *("teacher_forcing", "vector_initial", "vector_both", "deleted", "echo_state", "memory_network"),
    *("recursive", "treelstm", "two_dimensional"),
}
#: what is learned stands outside every tanh and sigmoid
LINEAR = {"echo_state", "memory_network"}

SCALAR = """\
sizes: h = 1
h[t] = tanh(w * h[t-1])
L = sum(t, sum(h[t]**2))
gradients:
dh[T] = 2 * h[T]
dh[t] = w * (1 - h[t+1]**2) * dh[t+1] + 2 * h[t]    for t < T
dw = sum(t, dh[t] * (1 - h[t]**2) * h[t-1])
"""


def without_past(model: tg.Model) -> dict[tuple[str, int | None], np.ndarray]:
    """All states of step 0 set to zero."""
    return {place: np.zeros_like(value) for place, value in model.unroll(4).inputs.items() if place[1] == 0}


def probes(model: tg.Model, T: int = 4, seeds: int = 2, first: int = 0) -> list[Probe]:
    return [Probe(model, model.unroll(T, seed=first + seed)) for seed in range(seeds)]


def equation(model: tg.Model, name: str) -> Equation:
    return next(e for e in model.gradients if e.name == name)


# -- a good probe ------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("name", sample(names(), 24, "every mutant", always=["ntm", "vanilla"]))
def test_every_wrong_version_of_a_shipped_derivation_is_noticed(name):
    report = verified(name)
    assert report.ok, str(report)
    assert report.probe is not None
    assert report.probe.killed == report.probe.mutants
    assert report.probe.survivors == report.probe.uncertified == ()
    assert report.probe.mutants >= 8 * len(report.rows), "a catalogue that is too small certifies nothing"
    assert f"kills {report.probe.killed} of {report.probe.mutants}" in str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(sorted({*SMALL} - SAME), 4, "transpose", always=["narrow", "leaky"]))
def test_only_the_transpose_of_one_number_changes_nothing(name):
    model = shipped(name)
    judged = probes(model)
    for stated in model.gradients:
        if model.role(stated) != "gradient":
            continue
        made = [
            said
            for said, _ in mutants._mutants(terms(judged[0], stated))
            if any(f"{n} transposed" in said for n in one_number(model))
        ]
        assert certify(stated, judged, probes(model, first=50), Deadline()).equivalent == len(made)


def terms(probe: Probe, stated: Equation) -> list[RightTerm]:
    """What the mutants of an equation that is right are made of: what it states."""
    return mutants._stated([ProbeValues([probe], stated)])


def one_number(model: tg.Model) -> list[str]:
    return [name for name, value in model.unroll(3).parameters.items() if np.size(value) == 1]


KINDS = [
    *("without ", "another sign in", "another sign inside in", "a factor dropped in", "a factor squared in"),
    *("a step off in", "transposed in", "(1 - v)**2 in", "v * (1 - v) in", "tanh twice in"),
    *("mean for sum in", "last step only in", "first step left out in", "last step left out in"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_catalogue_holds_the_mistakes_people_make(kind):
    model = shipped("vanilla")
    probe = probes(model, seeds=1)[0]
    made = [name for stated in model.gradients for name, _ in mutants._mutants(terms(probe, stated))]
    assert any(kind in name for name in made)


# -- a bad probe -------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("name", sample([name for name in SMALL if name not in NO_PAST], 4, "without a past"))
def test_a_probe_without_a_past_is_inconclusive(name):
    model = shipped(name)
    report = tg.verify(model, values=without_past(model))
    assert report.verdict == "INCONCLUSIVE"
    assert not report.ok
    assert report.probe is not None
    assert report.probe.killed < report.probe.mutants
    assert report.probe.survivors
    assert report.probe.survivors[0] in str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(names(), 5, "too short", always=["delay", "vanilla"]))
@pytest.mark.parametrize("T", [1, 2])
def test_a_sequence_too_short_for_a_recurrence_is_inconclusive(name, T):
    report = tg.verify(shipped(name), T=T, seeds=1)
    assert report.verdict == "INCONCLUSIVE"
    assert f"use T = {max(3, shipped(name).longest_delay + 2)} or more" in str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", sample([name for name in SMALL if name not in LINEAR], 3, "hardly leaves zero"))
def test_a_probe_that_hardly_leaves_zero_is_inconclusive(name):
    """At scale 1e-3 with zero states tanh is the identity and a sigmoid one half: nothing can be told apart."""
    model = shipped(name)
    assert tg.verify(model, scale=1e-3, values=without_past(model)).verdict == "INCONCLUSIVE"


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(SMALL, 3, "zeros"))
def test_a_probe_of_zeros_is_inconclusive(name):
    assert tg.verify(shipped(name), scale=0.0).verdict == "INCONCLUSIVE"


def test_one_blunt_probe_among_sharp_ones_does_no_harm():
    model = shipped("vanilla")
    blunt = Probe(model, model.unroll(4, seed=9, values=without_past(model)))
    stated = equation(model, "dW")
    assert not certify(stated, [blunt], probes(model), Deadline()).ok
    assert certify(stated, [blunt, *probes(model, first=5)], probes(model), Deadline()).ok


def test_the_survivors_say_which_mistake_would_pass():
    model = shipped("vanilla")
    report = tg.verify(model, values=without_past(model))
    assert report.probe is not None
    assert report.probe.survivors == ("dW: first step left out in sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)",)


def test_a_delay_that_the_sequence_does_not_reach_is_inconclusive():
    """The term of h[t-5] is missing in dh[t], and no step of four shows it."""
    report = tg.verify(
        "sizes: x = 3, h = 4\nh[t] = tanh(W @ h[t-1] + R @ h[t-5] + U @ x[t])\nL = sum(t, squared_error(h[t], y[t]))\n"
        "gradients:\ndh[T] = h[T] - y[T]\n"
        "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + h[t] - y[t]    for t < T\n",
        T=4,
    )
    assert report.verdict == "INCONCLUSIVE"
    assert "T = 4 cannot show a delay of 5 steps with both its ends: use T = 7 or more" in str(report)


# -- mutants that are no mistakes --------------------------------------------------------------------------------------
def test_a_mutant_that_says_the_same_is_counted_as_equivalent_and_not_as_a_survivor():
    """The transpose of one number is that number."""
    model = tg.load(SCALAR)
    one_number = probes(model, seeds=1)[0]
    names_made = [name for name, _ in mutants._mutants(terms(one_number, equation(model, "dh[t]")))]
    transposes = [name for name in names_made if "w transposed" in name]
    assert len(transposes) == 1
    certificate = certify(equation(model, "dh[t]"), probes(model), probes(model, first=50), Deadline())
    assert certificate.equivalent == len(transposes)
    assert certificate.killed == certificate.mutants == len(names_made) - len(transposes)
    report = tg.verify(SCALAR)
    assert report.ok
    assert report.probe is not None
    assert report.probe.equivalent == 1


def test_a_symmetric_weight_makes_its_transpose_a_survivor_and_not_an_equivalent():
    """Other probes can tell W from its transpose: this one cannot, so it proves nothing."""
    model = shipped("vanilla")
    W = model.unroll(4).parameters["W"]
    symmetric = {"W": W + W.T}
    report = tg.verify(model, values=symmetric)
    assert report.verdict == "INCONCLUSIVE"
    assert report.probe is not None
    assert [said for said in report.probe.survivors if "W transposed" in said]


# -- breaking it shows -------------------------------------------------------------------------------------------------
def test_a_judge_that_cannot_tell_certifies_nothing(monkeypatch):
    """A mutant that nobody notices is no mutant: the count falls, and the report says so."""
    monkeypatch.setattr(mutants, "NOTICED", float("inf"))
    certificate = tg.verify(shipped("vanilla")).probe
    assert certificate is not None
    assert certificate.equivalent > certificate.mutants


def test_a_catalogue_emptied_shows_in_the_count(monkeypatch):
    monkeypatch.setattr(mutants, "_changed", lambda expr: iter(()))
    certificate = tg.verify(shipped("vanilla")).probe
    assert certificate is not None
    assert certificate.mutants < 8 * 8


def test_a_mutant_that_is_not_made_wrong_shows_as_equivalent(monkeypatch):
    """A mutation that changes nothing never counts as killed."""
    monkeypatch.setattr(mutants, "_mutated", lambda term: [("nothing", term)] * 5)
    certificate = tg.verify(shipped("vanilla")).probe
    assert certificate is not None
    assert certificate.equivalent >= 5 * 8
    assert certificate.mutants < 2 * 8


def test_certificates_add_up():
    total = Certificate(3, 2, 1, ("a",)) + Certificate(4, 4, 0)
    assert (total.mutants, total.killed, total.equivalent, total.survivors) == (7, 6, 1, ("a",))
    assert not total.ok
    assert str(total) == "kills 6 of 7 wrong versions of these equations; not a"


def test_the_certificate_is_written_to_json():
    probe = tg.verify(SCALAR).to_dict()["probe"]
    assert probe["mutants"] == probe["killed"] > 40
    assert probe["equivalent"] == 1


def test_mutants_that_are_left_when_time_runs_out_are_told():
    model = tg.load(resolve("vanilla"))
    certificate = certify(equation(model, "dh[t]"), probes(model), probes(model, first=50), Deadline(seconds=-1.0))
    assert (certificate.mutants, certificate.untried) == (0, ("dh[t]",))
    assert "for want of time, of dh[t]" in str(certificate)
