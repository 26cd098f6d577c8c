"""What is known of a derivation for every length: gaps, overlaps, circles, conditions that the tried lengths hide."""

import random

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.cli import main
from tinygrad_rnn.derivation.entries.arithmetic import ZERO
from tinygrad_rnn.derivation.prover import search
from tinygrad_rnn.system.time_limit import Undecided, patience
from tinygrad_rnn.verification.every_length import EveryLength, usable
from tinygrad_rnn.verification.judge import ContradictionError, overlaps

FORWARD = "sizes: x = 3, h = 4\nh[t] = W @ h[t-1] + U @ x[t]\nL = sum(h[T])\ngradients:\ndh[T] = ones_like(h[T])\n"
BEFORE = "dh[t] = W.T @ dh[t+1]"

#: a file, the length that is asked for, the verdict, and what is told; every case by hand
ONLY_AT_SOME_LENGTHS = {
    # t = 11 is stated for T <= 21 by the second, for no t by the first
    "a gap from T = 22 on": (
        f"{BEFORE} for t < T and t < 11\n{BEFORE} for t > T-11 and 10 < t < T\n",
        None,
        "INCOMPLETE",
        "at T = 22, which was not tried, dh[11] is read where nothing states it",
    ),
    "the same at one length": (
        f"{BEFORE} for t < T and t < 11\n{BEFORE} for t > T-11 and 10 < t < T\n",
        15,
        "INCOMPLETE",
        "at T = 22, which was not tried, dh[11]",
    ),
    # 5 <= t < T-12
    "an overlap from T = 18 on": (
        f"{BEFORE} for 4 < t < T\ndh[t] = W.T @ W.T @ dh[t+2] for t < T-12\n{BEFORE} for t < 5 and t >= T-12\n",
        None,
        "PROVED",
        "stated on line 6 too, first at T = 18, and the two agree",
    ),
    # dh[8] reads dh[9], which reads dh[8] for 9 <= t <= T-10
    "a circle from T = 19 on": (
        f"{BEFORE} for t < T and t < 9\n{BEFORE} for t >= 9 and T-10 < t < T\n"
        f"{BEFORE} + dh[t-1] - W.T @ dh[t] for t >= 9 and t <= T-10\n",
        15,
        "CIRCULAR",
        "`dh[8] <- dh[9] <- dh[8]` at `T = 19`",
    ),
    # the last step is 3, 10, 17, ...
    "a term where T % 7 = 3": (
        f"{BEFORE} for t < T\ndW = sum(t, dh[t] @ h[t-1].T) + sum(t % 7 = 3 and t > T-1, dh[t] @ h[t-1].T)\n",
        None,
        "FAIL",
        "T = 6, 7 and 10",
    ),
    "a helper wrong where T % 7 = 3": (
        f"{BEFORE} for t < T\ng[t] = W.T @ dh[t]\ng[t] = W @ dh[t] for t % 7 = 3\nda = g[T] @ x[T].T\n"
        "dU = sum(t, dh[t] @ x[t].T) + W.T @ dh[T] @ x[T].T - g[T] @ x[T].T\n".replace("da = g[T] @ x[T].T\n", ""),
        None,
        "FAIL",
        "T = 6, 7 and 10",
    ),
    "steps of dx that none states from T = 22 on": (
        f"{BEFORE} for t < T\ndx[t] = U.T @ dh[t] for t < 12\ndx[t] = U.T @ dh[t] for t > T-11 and t > 11\n",
        None,
        "PROVED",
        "dx[12] (T = 23)",
    ),
    "a sum in a sum that never has a term": (
        f"{BEFORE} for t < T\ndW = sum(t, dh[t] @ h[t-1].T) + sum(t < 3, sum(k > t+1 and k < 3, dh[t] @ h[k].T))\n",
        None,
        "PROVED",
        "the condition t+1 < k < 3 of dW (line 7) never holds",
    ),
    "a sum in a helper that has no term where it is read": (
        f"{BEFORE} for t < T\nr[t] = sum(k < t and k < 2, dh[k])\ndW = sum(t, dh[t] @ h[t-1].T) + r[1] @ h[1].T\n",
        None,
        "PROVED",
        "the condition k < t and k < 2 of r[t] (line 7) never holds where r is read",
    ),
    "an order that no index gives, and no circle": (
        f"{BEFORE} for t < T and t % 2 = 0\ndh[t] = W.T @ W.T @ dh[t+2] + 0*dh[t-1] for t < T-1 and t % 2 = 1\n"
        f"{BEFORE} for t > T-2 and t < T and t % 2 = 1\n",
        None,
        "CIRCULAR",
        "it reads itself",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ONLY_AT_SOME_LENGTHS)
def test_what_the_tried_lengths_hide_is_told_with_the_least_length(case):
    text, T, verdict, told = ONLY_AT_SOME_LENGTHS[case]
    report = tg.verify(FORWARD + text, T, seeds=1)
    said = " ".join(str(report).split())
    assert report.verdict == verdict, str(report)
    assert told in said


# -- against counting -------------------------------------------------------------------------------------------------
def _random_file(seed: int) -> str:
    """Equations for dh at steps drawn at random, most of which exclude each other, that read later or earlier steps."""
    rng = random.Random(seed)
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    parts = rng.choice(
        [
            [f"t < {a}", f"t >= {a} and t < T-{b}", f"t >= {a} and t >= T-{b}"],
            [f"t < T-{b}", f"t >= T-{b} and t != {a}", f"t > T-{b}"],
            ["t % 2 = 0", f"t % 2 = 1 and t > {a}", f"t % 2 = 1 and t <= {a}"],
            ["t % 3 = 0", "t % 3 = 1", f"t % 3 = 2 and t < T-{b}"],
            ["t % 2 = 0", f"t % 3 = 1 and t > {a}", f"t % 5 = 2 and t < T-{b}"],
        ]
    )
    lines = []
    for part in parts:
        offset = rng.choice(("+1", "+1", "+1", "+2", "+3", "-1", "-2"))
        lines.append(f"dh[t] = W.T @ dh[t{offset}] for {part} and t < T")
    return FORWARD + "\n".join(lines)


def _first(lengths: range, holds) -> int | None:
    return next((T for T in lengths if holds(T)), None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_domains_say_what_counting_says(seed):
    """The least lengths of overlaps, gaps and circles are those at which a run of that length has one, up to T = 40."""
    try:
        model = tg.load(_random_file(seed))
    except tg.LanguageError:  # the equations overlap at most lengths
        return
    asked = EveryLength(model)
    lengths = range(asked.shortest, 40)
    least = min((found["T"] for found in asked.overlaps()), default=None)
    assert least == _first(lengths, lambda T: overlaps(model, {"T": T}))
    if least is not None:
        return
    runs = {T: usable(model, model.unroll(T)) for T in lengths}
    assert min((at["T"] for at, _ in asked.gaps()), default=None) == _first(lengths, lambda T: runs[T].needs)
    late = min((at["T"] for at, _ in asked.circles((), (), ())), default=None)
    assert late == _first(lengths, lambda T: runs[T].circles)


# -- questions that take too long -------------------------------------------------------------------------------------
HARD = (
    f"{BEFORE} for t < T\ndU = sum(t, dh[t] @ x[t].T) + 0*sum(t, sum(i > 2*t-3, sum(j > 3*t-2*i and j < 3*i-2*t, "
    "sum(k < 3*j-2*i and k < 2*i-3*t and k > 2*j-3*t and k % 5 = 1, dh[k] @ x[2*i-j].T))))\n"
)


@pytest.mark.slow
def test_conditions_that_take_too_long_are_said_to():
    model = tg.load(FORWARD + HARD)
    asked = EveryLength(model)
    with patience(0.2):
        assert asked.gaps() == []
    (said,) = asked.undecided
    assert said.startswith("whether everything that is read is stated is decided at the lengths tried only")
    with patience(0.0), pytest.raises(Undecided, match="the conditions on its indices take more than 0 s to decide"):
        EveryLength(model).readings  # noqa: B018


# -- what is proved and fails -----------------------------------------------------------------------------------------
def test_a_proof_that_a_number_contradicts_ends_the_run(monkeypatch, tmp_path, capsys):
    """A prover for which everything vanishes proves what fails: that is no verdict on the file."""
    monkeypatch.setattr(search, "remainder", lambda *_: (ZERO, None))
    text = FORWARD + "dh[t] = W @ dh[t+1] for t < T\n"
    with pytest.raises(ContradictionError, match=r"dh\[t\] \(line 6\) is proved, and differs by .* at t = ., T = 6"):
        tg.verify(text)
    file = tmp_path / "wrong.rnn"
    file.write_text(text)
    assert main(["verify", str(file)]) == 70
    assert "Please report it, with the file and this text." in capsys.readouterr().err
