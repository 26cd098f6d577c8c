"""Laws of the author: what it derives is right whatever is kept, reads as the book does, and does not depend on T."""

from __future__ import annotations

import re
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.shipped import SMALL, shipped
from tests.sweep import sample
from tinygrad_rnn.core.errors import DerivationError
from tinygrad_rnn.derivation import Derivation
from tinygrad_rnn.language.expressions import Ref, walk
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.verification.measure.probe import Probe

STYLES = ("diag", "hadamard")
LENGTHS = (3, 5, 9)
#: choices of what to keep that are tried for each model, where there are more
SUBSETS = 8

#: each of them once, where that is enough
every_model = pytest.mark.parametrize("name", SMALL)
stepwise_models = pytest.mark.parametrize("name", sample(SMALL, 10, "steps"))
some_models = pytest.mark.parametrize("name", sample(SMALL, 12, "text and LaTeX", always=["lstm_002", "vanilla"]))


@cache
def derived(name: str, style: str | None = None) -> Derivation:
    return tg.derive(shipped(name), style=style)


def wrong(model: tg.Model | str, T: int, seed: int = 0) -> list[str]:
    """The gradient equations that do not pass on one probe, and why; those that cover no step of it are left out."""
    model = tg.load(model) if isinstance(model, str) else model
    probe = Probe(model, model.unroll(T, seed=seed))
    found = []
    for equation in model.gradients:
        for step in model.steps_of(equation, T):
            judged = probe.judge(equation, step)
            if judged.verdict != "PASS":
                found.append(f"{judged.verdict} at t = {step}, T = {T}: {equation.text}")
    return found


def assert_right(derivation: Derivation, lengths: tuple[int, ...] = LENGTHS) -> None:
    model = tg.load(derivation.document())
    assert model.gradients
    assert [said for T in lengths for said in wrong(model, T)] == []


def lines(forward: str, keep: list[str] | None = None, style: str | None = None) -> list[str]:
    """What is derived, right at all lengths and in both styles."""
    for other in STYLES:
        assert_right(tg.derive(forward, keep, other))
    return tg.derive(forward, keep, style).text().splitlines()


# -- every choice of what to keep --------------------------------------------------------------------------------------
@cache
def reads(name: str) -> dict[str, set[str]]:
    """Which quantities each quantity's equation reads, whatever the step."""
    found: dict[str, set[str]] = {}
    for equation in shipped(name).forward:
        if equation.target.index is not None:
            named = {node.name for node in walk(equation.rhs) if isinstance(node, Ref) and node.index is not None}
            found.setdefault(equation.target.name, set()).update(named)
    return found


@cache
def cycle(name: str, keep: tuple[str, ...]) -> set[str]:
    """The quantities that still feed themselves when those kept are taken out: read off the equations alone."""
    below = {node: read - set(keep) for node, read in reads(name).items() if node not in keep}
    for _ in below:
        below = {node: read.union(*(below.get(other, set()) for other in read)) for node, read in below.items()}
    return {node for node, read in below.items() if node in read}


@cache
def subsets(name: str) -> list[tuple[str, ...]]:
    quantities = sorted(reads(name))
    return [chosen for n in range(len(quantities) + 1) for chosen in combinations(quantities, n)]


def spread(choices: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """At most SUBSETS of them, from the smallest to the largest, always the same ones."""
    if len(choices) <= SUBSETS:
        return choices
    return [choices[i * (len(choices) - 1) // (SUBSETS - 1)] for i in range(SUBSETS)]


#: one of each kind: the others have nothing that these do not have, or too many choices
CHOSEN = [
    *("vanilla", "output_to_hidden", "single_output", "leaky", "lstm", "peephole", "coupled", "gru", "gru_after"),
    *("bidirectional", "delay", "stacked", "vector_initial", "bernoulli_stop"),
]
ALL_CUTS = [(name, keep) for name in CHOSEN for keep in spread([s for s in subsets(name) if not cycle(name, s)])]
MISSES = [(name, keep) for name in CHOSEN for keep in spread([s for s in subsets(name) if cycle(name, s)])[::4]]
CUTS = sample(ALL_CUTS, 30, "whatever is kept")


def described(case: tuple[str, tuple[str, ...]]) -> str:
    return f"{case[0]}-{','.join(case[1])}"


@pytest.mark.slow
@pytest.mark.parametrize("case", CUTS, ids=described)
def test_whatever_is_kept_the_derivation_is_right(case):
    """In both styles and at all lengths; of the larger models each choice has one of the six, in turn."""
    name, keep = case
    if len(subsets(name)) <= 16:
        for style in STYLES:
            assert_right(tg.derive(shipped(name), keep=keep, style=style))
    else:
        turn = ALL_CUTS.index(case)
        assert_right(tg.derive(shipped(name), keep=keep, style=STYLES[turn % 2]), (LENGTHS[turn % 3],))


@pytest.mark.slow
@pytest.mark.parametrize("case", sample(MISSES, 8, "misses a cycle"), ids=described)
def test_a_choice_that_misses_a_cycle_keeps_one_name_of_it_and_says_so(case):
    name, keep = case
    derivation = tg.derive(shipped(name), keep=keep)
    added = [kept for kept in derivation.keep if kept not in keep]
    assert added
    assert set(added) <= cycle(name, keep)
    assert cycle(name, tuple(derivation.keep)) == set()
    for kept in added:
        assert any(note.startswith(f"{kept} feeds itself through time") for note in derivation.notes)
    assert_right(derivation, (LENGTHS[1],))


@pytest.mark.slow
@every_model
def test_a_derivation_has_an_equation_for_each_gradient_it_uses_and_each_parameter(name):
    stated = {equation.target.name for equation in derived(name).equations}
    assert {f"d{parameter}" for parameter in shipped(name).parameters} <= stated
    used = {node.name for equation in derived(name).equations for node in walk(equation.rhs) if isinstance(node, Ref)}
    assert {f"d{quantity}" for quantity in reads(name)} & used <= stated


# -- as the book prints it ---------------------------------------------------------------------------------------------
BOOK = """\
do[t] = softmax(o[t]) - onehot(y[t])
dh[T] = V.T @ do[T]
dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T
db = sum(t, diag(1 - h[t]**2) @ dh[t])
dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)
dU = sum(t, diag(1 - h[t]**2) @ dh[t] @ x[t].T)
dc = sum(t, do[t])
dV = sum(t, do[t] @ h[t].T)"""


def test_the_vanilla_network_gives_the_book_s_equations_term_for_term():
    assert derived("vanilla").text() == BOOK


LSTM = """\
de[t] = softmax(e[t]) - onehot(y[t])
dh[T] = V.T @ de[T]
dh[t] = W_f.T @ dz_f[t+1] + W_g.T @ dz_g[t+1] + W_i.T @ dz_i[t+1] + W_o.T @ dz_o[t+1] + V.T @ de[t]    for t < T
dc[T] = dh[T] * o[T] * (1 - tanh(c[T])**2)
dc[t] = dc[t+1] * f[t+1] + dh[t] * o[t] * (1 - tanh(c[t])**2)    for t < T
dz_o[t] = dh[t] * o[t] * tanh(c[t]) * (1 - o[t])
dz_g[t] = dc[t] * i[t] * (1 - g[t]**2)
dz_f[t] = dc[t] * c[t-1] * f[t] * (1 - f[t])
dz_i[t] = dc[t] * g[t] * i[t] * (1 - i[t])
dW_i = sum(t, dz_i[t] @ h[t-1].T)
db_f = sum(t, dz_f[t])"""
PEEPHOLE = """\
dc[T] = dh[T] * o[T] * (1 - tanh(c[T])**2) + dz_o[T] * p_o
dc[t] = dc[t+1] * f[t+1] + dz_f[t+1] * p_f + dz_i[t+1] * p_i \
+ dh[t] * o[t] * (1 - tanh(c[t])**2) + dz_o[t] * p_o    for t < T
dp_i = sum(t, dz_i[t] * c[t-1])
dp_f = sum(t, dz_f[t] * c[t-1])
dp_o = sum(t, dz_o[t] * c[t])"""
GRU_BEFORE = """\
dh[t] = (W_n.T @ da_n[t+1]) * r[t+1] + W_r.T @ da_r[t+1] + W_z.T @ da_z[t+1] + dh[t+1] * z[t+1] \
+ V.T @ de[t]    for t < T
da_n[t] = dh[t] * (1 - n[t]**2) * (1 - z[t])
da_r[t] = (W_n.T @ da_n[t]) * h[t-1] * r[t] * (1 - r[t])
da_z[t] = dh[t] * z[t] * (1 - z[t]) * (h[t-1] - n[t])
dW_n = sum(t, da_n[t] @ (h[t-1] * r[t]).T)"""
GRU_AFTER = """\
dh[t] = W_r.T @ da_r[t+1] + W_z.T @ da_z[t+1] + dh[t+1] * z[t+1] + W_n.T @ dm[t+1] + V.T @ de[t]    for t < T
da_n[t] = dh[t] * (1 - n[t]**2) * (1 - z[t])
dm[t] = da_n[t] * r[t]
da_r[t] = da_n[t] * m[t] * r[t] * (1 - r[t])
da_z[t] = dh[t] * z[t] * (1 - z[t]) * (h[t-1] - n[t])
dW_n = sum(t, dm[t] @ h[t-1].T)
dc_n = sum(t, dm[t])"""
COUPLED = "dz_f[t] = dc[t] * f[t] * (1 - f[t]) * (c[t-1] - g[t])"
STACKED = "dW_f = sum(t, dz_f[t] @ [h[t-1]; x[t]].T)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lstm", LSTM),
        ("peephole", PEEPHOLE),
        ("gru", GRU_BEFORE),
        ("gru_after", GRU_AFTER),
        ("coupled", COUPLED),
        ("lstm_003", STACKED),
    ],
)
def test_a_gated_network_gives_the_known_forms(name, expected):
    assert [line for line in expected.splitlines() if line not in derived(name).text().splitlines()] == []


def test_the_lstm_straight_through_its_gates_names_the_states_alone():
    found = tg.derive(shipped("lstm"), keep=["h", "c"]).text()
    assert set(re.findall(r"\bd[a-z]\w*(?=\[)", found)) == {"dh", "dc"}
    assert "dc[t] = dc[t+1] * f[t+1] + dh[t] * o[t] * (1 - tanh(c[t])**2)    for t < T" in found
    assert "W_f.T @ (dc[t+1] * c[t] * f[t+1] * (1 - f[t+1]))" in found


def test_the_style_says_how_a_factor_beside_a_gradient_is_written():
    diag, hadamard = (tg.derive(shipped("vanilla"), style=style).text().splitlines()[2] for style in STYLES)
    assert diag == "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T"
    assert hadamard == "dh[t] = W.T @ (dh[t+1] * (1 - h[t+1]**2)) + V.T @ do[t]    for t < T"


PAGE = Path(__file__).resolve().parents[1] / "docs" / "derive.md"


@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru"])
def test_the_page_on_derivations_shows_what_is_printed(name):
    assert f"```rnn\n{derived(name).document().rstrip()}\n```" in PAGE.read_text(encoding="utf-8")


# -- where the loss is read, and how far back --------------------------------------------------------------------------
SIZES = "sizes: x = 3, h = 4\n"
STATE = SIZES + "h[t] = tanh(W @ h[t-1] + U @ x[t])\n"
OUTPUT = "sizes: x = 3, h = 4, o = 5\nh[t] = tanh(b + W @ h[t-1] + U @ x[t])\no[t] = c + V @ h[t]\n"
BACK = "W.T @ diag(1 - h[t+1]**2) @ dh[t+1]"
AGAINST = "L = sum(t, squared_error(h[t], y[t]))"


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mean(t, cross_entropy(o[t], y[t]))", "sum(t, cross_entropy(o[t], y[t])) / T"])
def test_a_mean_loss_is_divided_by_the_length_by_name(loss):
    found = lines(OUTPUT + f"L = {loss}")
    assert found[:3] == [
        "do[t] = (softmax(o[t]) - onehot(y[t])) / T",
        "dh[T] = V.T @ do[T]",
        f"dh[t] = {BACK} + V.T @ do[t]    for t < T",
    ]


def test_a_loss_at_the_last_step_starts_there_and_sums_nothing_used_once():
    found = lines(OUTPUT + "L = cross_entropy(o[T], y[T])")
    assert found[:3] == ["do[T] = softmax(o[T]) - onehot(y[T])", "dh[T] = V.T @ do[T]", f"dh[t] = {BACK}    for t < T"]
    assert found[-2:] == ["dc = do[T]", "dV = do[T] @ h[T].T"]


def test_output_to_hidden_puts_the_recurrence_into_the_output():
    found = derived("output_to_hidden").text().splitlines()
    assert found[:3] == [
        "do[T] = softmax(o[T]) - onehot(y[T])",
        "do[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + softmax(o[t]) - onehot(y[t])    for t < T",
        "dh[t] = V.T @ do[t]",
    ]
    assert "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ o[t-1].T)" in found


def test_a_skip_of_three_steps_has_three_boundary_cases():
    found = lines(SIZES + "h[t] = tanh(W @ h[t-1] + R @ h[t-3] + U @ x[t])\n" + AGAINST)
    assert found[:3] == [
        "dh[T] = h[T] - y[T]",
        f"dh[t] = {BACK} + h[t] - y[t]    for T-3 < t < T",
        f"dh[t] = {BACK} + R.T @ diag(1 - h[t+3]**2) @ dh[t+3] + h[t] - y[t]    for t < T-2",
    ]
    assert "dR = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-3].T)" in found


@pytest.mark.parametrize("delay", [2, 4, 7, 9])
def test_any_delay_is_right_at_lengths_around_it(delay):
    forward = SIZES + f"h[t] = tanh(W @ h[t-1] + R @ h[t-{delay}] + U @ x[t])\n{AGAINST}"
    assert_right(tg.derive(forward), (delay, delay + 1, 2 * delay + 1))


def test_two_directions_end_at_opposite_ends():
    found = lines(
        "sizes: x = 3, h = 4, g = 2, o = 5\nh[t] = tanh(b + W @ h[t-1] + U @ x[t])\ng[T+1] = 0\n"
        "g[t] = tanh(d + R @ g[t+1] + S @ x[t])\no[t] = c + V @ h[t] + Q @ g[t]\nL = sum(t, cross_entropy(o[t], y[t]))"
    )
    assert f"dh[t] = {BACK} + V.T @ do[t]    for t < T" in found
    assert "dg[t] = R.T @ diag(1 - g[t-1]**2) @ dg[t-1] + Q.T @ do[t]    for t > 1" in found
    assert "dg[1] = Q.T @ do[1]" in found
    assert "dR = sum(t, diag(1 - g[t]**2) @ dg[t] @ g[t+1].T)" in found


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (
            "sum(h[T-1]**2) + sum(h[T])",
            ["dh[T-1] = W.T @ diag(1 - h[T]**2) @ dh[T] + 2 * h[T-1]", f"dh[t] = {BACK}    for t < T-1"],
        ),
        ("sum(h[1]**2) + sum(h[T])", ["dh[1] = W.T @ diag(1 - h[2]**2) @ dh[2] + 2 * h[1]"]),
        ("sum(t > 2, sum(h[t]**2))", [f"dh[t] = {BACK} + 2 * h[t]    for 2 < t < T", f"dh[t] = {BACK}    for t < 3"]),
    ],
)
def test_a_loss_that_reads_some_steps_gives_cases_for_those(loss, expected):
    found = lines(STATE + f"L = {loss}")
    assert [line for line in expected if line not in found] == []


def test_a_first_step_of_its_own_gives_its_parameter_one_term():
    found = lines("sizes: h = 4\nh[1] = tanh(W @ h[0])\nh[t] = tanh(R @ h[t-1])    for t > 1\nL = sum(t, sum(h[t]**2))")
    assert found[-2:] == [
        "dW = diag(1 - h[1]**2) @ dh[1] @ h[0].T",
        "dR = sum(t > 1, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)",
    ]


# -- what a step may hold ----------------------------------------------------------------------------------------------
CORE = "sizes: x = 3, h = 4, p = 5\nh[t] = tanh(W @ h[t-1] + U @ x[t])\no[t] = V @ h[t]\np[t] = softmax(o[t])\n"
ENTROPY = "L[t] = -sum(onehot(y[t]) * log(p[t]))\nL = sum(t, L[t])"


def test_a_scalar_parameter_sums_over_entries_and_steps():
    found = lines("sizes: h = 2, alpha = 1\nh[t] = alpha**2 * h[t-1] + tanh(W @ h[t-1]) / alpha\nL = sum(t, sum(h[t]))")
    assert "dalpha = sum(t, 2 * (h[t-1].T @ dh[t]) * alpha - (tanh(W @ h[t-1]).T @ dh[t]) / alpha**2)" in found


def test_a_matrix_used_twice_in_a_step_adds_up():
    twice = lines("sizes: x = 4, h = 4\nh[t] = tanh(W @ h[t-1] + W @ x[t])\nL = sum(t, sum(h[t]**2))")
    assert twice[-1] == "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T + diag(1 - h[t]**2) @ dh[t] @ x[t].T)"
    nested = lines("sizes: h = 4\nh[t] = tanh(W @ (W @ h[t-1]))\nL = sum(t, sum(h[t]**2))")
    assert nested[1].startswith("dh[t] = W.T @ W.T @ diag(1 - h[t+1]**2) @ dh[t+1]")


def test_weights_tied_between_input_and_output_add_up():
    found = lines(SIZES + "h[t] = tanh(W @ x[t] + R @ h[t-1])\nL = sum(t, squared_error(W.T @ h[t], y[t]))")
    assert "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ x[t].T + h[t] @ (W.T @ h[t] - y[t]).T)" in found


def test_a_softmax_kept_has_its_full_jacobian():
    found = lines(CORE + ENTROPY, ["p", "o", "h"])
    assert found[:2] == [
        "dp[t] = -onehot(y[t]) / p[t]",
        "do[t] = diag(p[t]) @ (dp[t] - p[t].T @ dp[t])",
    ]


def test_a_softmax_not_kept_collapses_to_the_probabilities_less_one_at_the_label():
    assert lines(CORE + ENTROPY, ["o", "h"])[0] == "do[t] = p[t] - onehot(y[t])"


def test_relu_s_derivative_goes_by_its_name():
    found = lines(SIZES + "a[t] = b + W @ h[t-1] + U @ x[t]\nh[t] = relu(a[t])\n" + AGAINST)
    assert "dh[t] = W.T @ diag(relu'(a[t+1])) @ dh[t+1] + h[t] - y[t]    for t < T" in found


EXPRESSIONS = {
    "power": "tanh((W @ h[t-1])**3 + U @ x[t])",
    "power of a sigmoid": "sigmoid(W @ h[t-1] + U @ x[t])**1.5",
    "quotient": "tanh(W @ h[t-1]) / (1 + (U @ x[t])**2)",
    "root": "sqrt(1 + (W @ h[t-1])**2) + 1 / (2 + tanh(U @ x[t]))",
    "logarithm": "log(1 + exp(W @ h[t-1] + U @ x[t]))",
    "log1p": "log1p(exp(W @ h[t-1] + U @ x[t]))",
    "softplus": "softplus(W @ h[t-1] + U @ x[t])",
    "sine": "sin(W @ h[t-1]) + cos(U @ x[t])",
    "relu inside": "relu(b + W @ h[t-1] + U @ x[t])",
    "sigmoid inside": "sigmoid(b + W @ h[t-1]) * tanh(U @ x[t])",
    "softmax inside": "softmax(W @ h[t-1] + U @ x[t])",
    "divided by a sum": "tanh(W @ h[t-1] + U @ x[t]) / (1 + sum(h[t-1]**2))",
    "mean": "tanh(W @ h[t-1] + U @ x[t]) + mean(h[t-1])",
    "outer product": "tanh((h[t-1] @ h[t-1].T) @ (W @ h[t-1] + U @ x[t]))",
    "transpose": "tanh(W.T @ h[t-1] + (x[t].T @ U).T)",
    "diagonal matrix": "tanh(diag(w) @ h[t-1] + U @ x[t])",
    "subtraction": "tanh(h[t-1] - W @ h[t-1] - U @ x[t])",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", EXPRESSIONS)
def test_an_expression_of_the_language_derives_to_equations_that_pass(what):
    lines(SIZES + f"h[t] = {EXPRESSIONS[what]}\nL = sum(t, squared_error(h[t], y[t]))")


KINDS_OF_LOSS = [
    "sum(t, h[t].T @ A @ h[t])",
    "sum(t, logsumexp(h[t]))",
    "mean(t, mean(h[t]**2))",
    "sum(t, cross_entropy(h[t], y[t]))",
]


@pytest.mark.parametrize("loss", KINDS_OF_LOSS)
def test_a_loss_of_another_kind_derives_to_equations_that_pass(loss):
    lines(f"sizes: h = 3\nh[t] = tanh(W @ h[t-1])\nL = {loss}")


def test_two_layers_pass_down_through_the_layer_above():
    found = lines(
        "sizes: x = 3, h = 4, k = 2\nh[t] = tanh(W @ h[t-1] + U @ x[t])\nk[t] = tanh(R @ k[t-1] + S @ h[t])\n"
        "L = sum(t, squared_error(k[t], y[t]))"
    )
    assert "dh[T] = S.T @ diag(1 - k[T]**2) @ dk[T]" in found
    assert f"dh[t] = {BACK} + S.T @ diag(1 - k[t]**2) @ dk[t]    for t < T" in found


NARROW = ["x = 1, h = 1, o = 1", "x = 1, h = 4, o = 2", "x = 3, h = 1, o = 4", "x = 3, h = 4, o = 1"]


@pytest.mark.slow
@pytest.mark.parametrize("sizes", NARROW)
def test_columns_of_one_row_are_derived(sizes):
    lines(OUTPUT.replace("x = 3, h = 4, o = 5", sizes) + "L = sum(t, squared_error(o[t], y[t]))", ["h", "o"])


def test_a_stopped_quantity_keeps_its_step_and_passes_nothing_back():
    found = lines(SIZES + "h[t] = tanh(W @ stop(h[t-1]) + U @ x[t])\n" + AGAINST)
    assert found[:2] == ["dh[t] = h[t] - y[t]", "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)"]


def test_a_recurrence_of_one_number_is_derived_without_being_told_what_to_keep():
    assert lines("sizes: h = 1\nh[t] = w * h[t-1]\nL = h[T]") == [
        "dh[T] = 1",
        "dh[t] = dh[t+1] * w    for t < T",
        "dw = sum(t, dh[t] * h[t-1])",
    ]


def test_the_derivative_of_abs_is_its_sign():
    assert lines(STATE + "L = sum(t, sum(abs(h[t] - y[t])))")[0] == "dh[T] = sign(h[T] - y[T])"


def test_a_kept_quantity_without_time_has_its_equation():
    found = lines("sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nm = mean(t, h[t])\nL = sum(m**2)")
    assert {"dm = 2 * m", "dh[T] = dm / T"} <= set(found)


@pytest.mark.parametrize(
    ("forward", "stated"),
    [
        ("h[0] = s\nh[t] = tanh(W @ h[t-1])", {"dh[0] = W.T @ diag(1 - h[1]**2) @ dh[1]", "ds = dh[0]"}),
        ("h[T+1] = s\nh[t] = tanh(W @ h[t+1])", {"dh[T+1] = W.T @ diag(1 - h[T]**2) @ dh[T]", "ds = dh[T+1]"}),
    ],
)
def test_a_learned_initial_state_has_its_gradient_stated(forward, stated):
    assert stated <= set(lines(f"sizes: h = 4\n{forward}\nL = sum(t, sum(h[t]**2))"))


# -- random recurrences ------------------------------------------------------------------------------------------------
SQUARE = [*(f"{v} = 3" for v in "xhgyb"), *(f"{M} = 3 x 3" for M in "WRUA"), "alpha = 1"]
LEAVES = ["(W @ h[t-1])", "(R @ h[t-1])", "(U @ x[t])", "b", "h[t-1]", "(W @ h[t-2])", "(R @ g[t-1])", "x[t]"]


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("tanh({})".format, inner),
        st.builds("sigmoid({})".format, inner),
        st.builds("({} + {})".format, inner, inner),
        st.builds("({} - {})".format, inner, inner),
        st.builds("({} * {})".format, inner, inner),
        st.builds("({} @ {})".format, st.sampled_from(["W", "R", "U.T"]), inner),
        st.builds("({} * {})".format, st.sampled_from(["alpha", "2", "0.3"]), inner),
    )


# found examples are small as they are: shrinking one takes minutes
@pytest.mark.slow
@settings(max_examples=20, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(
    h=st.recursive(st.sampled_from(LEAVES), grown, max_leaves=6),
    g=st.recursive(st.sampled_from([*LEAVES, "h[t]"]), grown, max_leaves=4),
    loss=st.sampled_from(["sum(t, {})", "mean(t, {})", "sum(t > 1, {})"]),
    T=st.integers(3, 6),
    style=st.sampled_from([None, *STYLES]),
)
def test_a_random_recurrence_derives_to_equations_that_pass(h, g, loss, T, style):
    equations = f"h[t] = tanh({h})\ng[t] = tanh({g})\nL = {loss.format('squared_error(h[t] + A @ g[t], y[t])')}"
    used = [size for size in SQUARE if re.search(rf"\b{size.partition(' ')[0]}\b", equations)]
    assert_right(tg.derive(f"sizes: {', '.join(used)}\n{equations}", keep=["h", "g"], style=style), (T,))


# -- independence of the length ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", ["8", "9", "0.125", "0.25"])
def test_a_number_that_happens_to_be_a_length_stays_a_number(number):
    lines(f"sizes: h = 4\nh[t] = tanh({number} * (W @ h[t-1]))\nL = sum(t, sum(h[t]**2))")


# -- text and LaTeX ----------------------------------------------------------------------------------------------------
@pytest.mark.slow
@some_models
@pytest.mark.parametrize("style", STYLES)
def test_the_text_parses_back_to_the_same_equations(name, style):
    derivation = derived(name, style)
    again = tg.load(derivation.document())
    assert [text(equation) for equation in again.gradients] == derivation.text().splitlines()
    assert str(derivation) == derivation.text()


@pytest.mark.slow
@some_models
@pytest.mark.parametrize("style", STYLES)
def test_the_latex_is_balanced_with_one_line_for_each_equation(name, style):
    derivation = derived(name, style)
    latex = derivation.latex()
    body = latex.removeprefix("\\begin{align*}\n").removesuffix("\n\\end{align*}")
    assert len(body) == len(latex) - len("\\begin{align*}\n\n\\end{align*}")
    depth = 0
    for sign in re.findall(r"(?<!\\)[{}]", body):
        depth += 1 if sign == "{" else -1
        assert depth >= 0
    assert depth == 0
    rows = body.split(" \\\\\n")
    assert len(rows) == len(derivation.equations)
    for row in rows:
        assert row.count("&") == 1
        assert len(re.findall(r"\\left\b", row)) == len(re.findall(r"\\right\b", row))


# -- from a Python loop ------------------------------------------------------------------------------------------------
def vanilla_loop(T: int) -> tg.Tensor:
    rng = np.random.default_rng(0)
    shapes = {"W": (4, 4), "U": (4, 3), "b": (4, 1), "V": (5, 4), "c": (5, 1)}
    W, U, b, V, c = (tg.tensor(rng.normal(size=shape), name=name) for name, shape in shapes.items())
    with tg.step(0):
        h = tg.tensor(rng.normal(size=(4, 1)), name="h")
    losses = []
    for t in tg.steps(1, T + 1):
        x = tg.tensor(rng.normal(size=(3, 1)), name="x", requires_grad=False)
        y = tg.tensor(np.array([t % 5]), name="y", requires_grad=False)
        h = tg.name("h", np.tanh(b + W @ h + U @ x))
        o = tg.name("o", c + V @ h)
        losses.append(np.sum(tg.cross_entropy(o, y, axis=0)))
    return tg.add_n(losses)


@pytest.mark.parametrize("T", [3, 5, 9])
def test_a_python_loop_gives_the_equations_of_the_file(T):
    loss = vanilla_loop(T)
    for recorded in (loss, tg.Graph(loss)):
        assert sorted(tg.derive(recorded).text().splitlines()) == sorted(BOOK.splitlines())


@pytest.mark.parametrize("name", ["lstm", "gru_after", "leaky"])
def test_a_run_gives_the_equations_of_its_model(name):
    kept = derived(name).keep
    assert sorted(tg.derive(shipped(name).unroll(6), keep=kept).text().splitlines()) == sorted(
        derived(name).text().splitlines()
    )


@pytest.mark.parametrize("shape", [(4, 1), (4,), (1, 4), (3, 4)])
def test_columns_vectors_and_rows_are_derived_as_columns(shape):
    rng = np.random.default_rng(0)
    column = shape == (4, 1)
    W, b = tg.tensor(rng.normal(size=(4, 4)), name="W"), tg.tensor(rng.normal(size=(4, 1) if column else 4), name="b")
    with tg.step(0):
        h = tg.tensor(rng.normal(size=shape), name="h", requires_grad=False)
    for _ in tg.steps(1, 7):
        h = tg.name("h", np.tanh(W @ h + b if column else h @ W.T + b))
    assert tg.derive(np.sum(h)).text().splitlines()[1:3] == [
        "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1]    for t < T",
        "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)",
    ]


def test_a_graph_prints_the_equations_it_was_written_as():
    document = tg.derive(vanilla_loop(5)).document()
    assert "h[t] = tanh(b + W @ h[t-1] + U @ x[t])" in document.splitlines()
    assert tg.verify(document).ok


# -- step by step ------------------------------------------------------------------------------------------------------
@cache
def stages(name: str) -> dict[str, list[tuple[str, str]]]:
    """For each equation, known by its left-hand side and condition, the lines of `steps` with their rules."""
    found: dict[str, list[tuple[str, str]]] = {}
    for rule, line in derived(name).steps():
        left, _, right = line.partition(" = ")
        found.setdefault(f"{left} {right.partition('    ')[2]}", []).append((rule, line))
    return found


@pytest.mark.slow
@stepwise_models
def test_steps_start_at_the_chain_rule_and_end_at_the_final_text(name):
    assert [found[0][0] for found in stages(name).values() if found[0][0] != "chain rule"] == []
    assert sorted(found[-1][1] for found in stages(name).values()) == sorted(derived(name).text().splitlines())


@pytest.mark.slow
@stepwise_models
def test_each_line_of_the_steps_is_a_right_equation(name):
    forward = derived(name).document().partition("gradients:")[0]
    assert all(len(set(found)) == len(found) for found in stages(name).values())
    for k in range(max(map(len, stages(name).values()))):
        shown = [found[k][1] for found in stages(name).values() if k < len(found)]
        assert wrong("\n".join([f"{forward}gradients:", *shown, ""]), T=4) == []


def test_the_steps_of_the_vanilla_state_are_those_of_a_lecture():
    assert [line for _, line in stages("vanilla")["dh[t] for t < T"]] == [
        "dh[t] = W.T @ (dh[t+1] * (1 - h[t+1] * h[t+1])) + V.T @ do[t]    for t < T",
        "dh[t] = W.T @ (dh[t+1] * (1 - h[t+1]**2)) + V.T @ do[t]    for t < T",
        "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T",
    ]


# -- one step's Jacobian -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "of", "by", "expected"),
    [
        ("vanilla", "h[t+1]", "h[t]", "diag(1 - h[t+1]**2) @ W"),
        ("vanilla", "o[t]", "h[t]", "V"),
        ("lstm", "c[t+1]", "c[t]", "diag(f[t+1])"),
    ],
)
def test_the_jacobian_of_one_step(name, of, by, expected):
    assert derived(name).jac(of, by) == expected


# -- what cannot be derived says why -----------------------------------------------------------------------------------
def grid() -> tg.Tensor:
    W = tg.tensor(np.eye(4), name="W")
    cells: dict[tuple[int, int], tg.Tensor] = {}
    for i in range(3):
        for j in range(3):
            with tg.step((i, j)):
                left, above = cells.get((i, j - 1), np.ones((4, 1))), cells.get((i - 1, j), np.ones((4, 1)))
                cells[i, j] = tg.name("h", np.tanh(W @ left + W @ above))
    return np.sum(cells[2, 2])


def test_two_dimensional_networks_are_told_what_they_are():
    with pytest.raises(DerivationError, match="2-D"):
        tg.derive(grid()).text()


@pytest.mark.parametrize("wish", [{"keep": ["h", "nosuch"]}, {"keep": ["h"], "style": "nosuch"}])
def test_a_name_or_style_that_does_not_exist_is_refused(wish):
    with pytest.raises(tg.TinygradError, match="nosuch"):
        tg.derive(STATE + AGAINST, **wish)


def test_the_factors_of_a_product_over_time_each_get_the_others():
    found = lines("sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = prod(t, sum(h[t]**2))")
    assert found[0] == "dh[T] = 2 * h[T] * prod(t != T, sum(h[t]**2))"


def test_a_quantity_read_at_one_step_by_all_is_right_or_refused():
    try:
        derivation = tg.derive(SIZES + "h[t] = tanh(W @ h[t-1] + U @ x[T])\nL = sum(t, sum(h[t]**2))")
    except DerivationError:
        return
    assert_right(derivation, (5, 12))


def test_a_gradient_that_cancels_has_the_shape_of_its_parameter():
    lines("sizes: h = 3, W = 3 x 3\nh[t] = tanh(R @ h[t-1] + W @ h[t-1] - W @ h[t-1])\nL = sum(t, sum(h[t]))")
