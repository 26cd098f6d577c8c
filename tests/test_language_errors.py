"""Malformed input ends in one readable screen: names, steps, circles, files, and anything at all."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_rnn import LanguageError, TinygradError
from tinygrad_rnn.language import Evaluator, load

from .test_language_grammar import PIECES
from .test_language_model import MODELS, VANILLA

CORPUS = Path(__file__).parent / "corpus"


def refused(text, T=4):
    with pytest.raises(LanguageError) as caught:
        model = load(text)
        run = model.unroll(T)
        evaluator = Evaluator(model, run)
        for equation in model.gradients:
            for step in model.steps_of(equation, T):
                evaluator.right_hand_side(
                    equation, step, lambda name, at: np.ones_like(np.asarray(run.values[name[1:], at].value.value))
                )
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "message", "column", "hint"),
    [
        ("U @ x[t]", "U @ x[t+1]", "x[5] is outside the sequence: a[t] at t = 4 reads it, and T = 4", 29, "for t < T"),
        ("W @ h[t-1]", "W @ h[t+1]", "h[5] is outside the sequence", 16, "h[T+1] = 0"),
        ("W @ h[t-1]", "W @ h[t]", "is defined by itself", 1, "earlier"),
        ("h[t] = tanh(a[t])", "h[t] = tanh(a[t]) for t < T", "h[4] is defined by no equation", None, ""),
        (
            "da[t] = diag(1 - h[t]**2)",
            "da[t] = diag(1 - h[t+1]**2)",
            "h[5] is outside the sequence: da[t] at t = 4",
            18,
            "da[T]",
        ),
        (
            "dx[t] = U.T @ da[t]",
            "dx[t] = U.T @ da[t+1]",
            "da[5] is outside the sequence: dx[t] at t = 4",
            15,
            "da[T+1] = 0",
        ),
        ("U @ x[t]", "U @ x[t+2]", "x[5] is outside the sequence: a[t] at t = 3", 29, "for t <= T-2"),
        ("h[t-1].T)", "h[t-9].T)", "h[-8] is outside the sequence", None, "h[-8] = 0"),
        ("W.T @ diag", "WT @ diag", "WT is defined nowhere", 9, "did you mean W?"),
        ("tanh(a[t])", "tanh(a)", "a needs a time index here", 13, "a[t] on line 4"),
        ("W @ h[t-1]", "W[t] @ h[t-1]", "W needs a time index", None, "W[t]"),
        ("diag(1 - h[t+1]**2)", "diag(1 - h**2)", "h needs a time index here", 24, "h[t]"),
        ("dL = 1", "dW = 0", "dW is defined twice", 1, "keep one"),
        ("dL = 1", "dh[t] = 0 for t = 2..T", "dh[t] is defined twice at t = 2", 1, "condition"),
        ("dL = 1", "h[t] = 0", "h[t] belongs to the forward equations", 1, "dh[t]"),
        ("dL = 1", "dL = 1/0", "this divides by zero", 8, "no number"),
        ("dL = 1", "dL = h.__class__", "unexpected .__class__", 7, ".T"),
    ],
)
def test_a_mistake_is_named_with_place_and_way_out(old, new, message, column, hint):
    assert old in VANILLA
    text = VANILLA.replace(old, new, 1)
    error = refused(text)
    assert message in error.message
    assert column in (None, error.column)
    assert hint in error.hint


def test_a_model_without_a_loss_runs_and_says_so_when_the_loss_is_asked_for():
    run = load("sizes: h = 2\nh[t] = W @ h[t-1]\n").unroll(3)
    assert run["h", 3].shape == (2, 1)
    with pytest.raises(LanguageError, match="no loss"):
        assert run.loss


def test_an_error_is_also_a_value_error_with_fields():
    error = refused("h[t] = tanhh(x[t])\n")
    assert isinstance(error, TinygradError)
    assert isinstance(error, ValueError)
    assert (error.line, error.column, error.message) == (1, 8, "unknown function tanhh")
    assert str(error).splitlines()[:3] == [
        "<text>:1:8: unknown function tanhh",
        "    h[t] = tanhh(x[t])",
        "           ^^^^^",
    ]


def test_a_circle_is_shown():
    error = refused("sizes: a = 2\na[t] = b[t]\nb[t] = c[t]\nc[t] = a[t]\nL = sum(a[T])\n")
    assert "a[1] <- b[1] <- c[1] <- a[1]" in str(error)


def test_a_forward_outer_product_for_several_samples_is_refused():
    model = load("sizes: h = 2\nM[t] = h[t-1] @ h[t-1].T\nh[t] = M[t] @ u\nL = sum(h[T])\n")
    model.unroll(2)
    with pytest.raises(LanguageError, match="several samples"):
        model.unroll(2, batch=2)


def test_an_error_before_the_indentation_still_shows_the_line():
    assert str(refused("    # a comment\n")).splitlines()[1:3] == ["        # a comment", "    ^"]


def test_several_samples_where_one_matrix_each_would_be_needed():
    model = load("sizes: h = 2\nh[t] = (W + diag(h[t-1])) @ h[t-1]\nL = sum(h[T])\n")
    model.unroll(2)
    with pytest.raises(LanguageError, match="several samples") as caught:
        model.unroll(2, batch=2)
    assert "batch=1" in caught.value.hint


def test_a_long_line_is_shown_around_the_caret():
    error = refused("h[t] = " + "aaaa + " * 100 + "$ + " + "bbbb + " * 100 + "b\n")
    line, caret = str(error).splitlines()[1:3]
    assert len(line) < 120
    assert line[caret.index("^")] == "$"


def test_the_caret_stands_under_wide_and_combining_letters():
    line, caret = str(refused("隐[t] = c̃ + $\n")).splitlines()[1:3]
    from unicodedata import combining, east_asian_width

    before = line[: line.index("$")]
    assert caret.index("^") == sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in before)


def test_control_characters_do_not_reach_the_terminal():
    assert "\x1b" not in str(refused("h[t] = a \x1b[31m\n"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.rnn", b"", "no equations"),
        ("binary.rnn", bytes(range(256)), "binary"),
        ("latin.rnn", "h[t] = a\né = 1".encode("latin-1"), "not UTF-8"),
        ("large.rnn", b"a" * 5_000_000, "larger than"),
        ("deep.rnn", b"h[t] = " + b"(" * 10_000 + b"x" + b")" * 10_000, "100 deep"),
        ("bom.rnn", "\ufeffL = $".encode(), "dollar"),
        ("crlf.rnn", b"# one\r\nL = $\r\n", "dollar"),
    ],
)
def test_unusable_files_are_refused_at_once(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    begin = time.perf_counter()
    with pytest.raises(LanguageError, match=message) as caught:
        load(path)
    assert time.perf_counter() - begin < 0.5
    assert len(str(caught.value).splitlines()) < 10
    assert caught.value.name == str(path)


@pytest.mark.parametrize("path", [Path("no/such/file.rnn"), Path("."), "x" * 5000, ""])
def test_paths_that_cannot_be_read(path):
    with pytest.raises(LanguageError, match="cannot read"):
        load(path)


def test_every_illtyped_file_of_the_corpus_is_refused_with_a_hint():
    paths = sorted((CORPUS / "illtyped").glob("*.rnn"))
    assert paths
    for path in paths:
        with pytest.raises(LanguageError, match="shapes do not fit") as caught:
            load(path)
        assert "did you mean" in caught.value.hint


def runs_or_is_refused(text):
    try:
        model = load(text)
        run = model.unroll(3)
        evaluator = Evaluator(model, run)
        for equation in model.gradients:
            for step in model.steps_of(equation, 3):
                evaluator.right_hand_side(equation, step)
    except LanguageError as error:
        assert len(str(error).splitlines()) <= 12


LINES = st.sampled_from([line for text in MODELS.values() for line in text.splitlines() if line])


@settings(max_examples=150, deadline=1000)
@given(st.lists(LINES, min_size=1, max_size=12), st.lists(st.tuples(st.integers(0, 400), PIECES), max_size=3))
def test_models_torn_apart_are_a_run_or_a_language_error(chosen, inserted):
    text = "\n".join(chosen) + "\n"
    for at, piece in inserted:
        text = text[: at % len(text)] + piece + text[at % len(text) :]
    text += "\nsizes: "
    runs_or_is_refused(text)


@settings(max_examples=120, deadline=1000)
@given(st.data())
def test_a_model_with_one_piece_changed_is_a_run_or_a_language_error(data):
    text = MODELS[data.draw(st.sampled_from(sorted(MODELS)))]
    at = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.integers(0, 6))
    text = text[:at] + data.draw(PIECES) + text[at + cut :] + "\n"
    runs_or_is_refused(text)
