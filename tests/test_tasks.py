"""Generated tasks are what their papers say: each generator against another way to say the same, over many seeds."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tinygrad_rnn.train import grammars, tasks
from tinygrad_rnn.train.grammars import REBER_SYMBOLS, NextSymbol


def strings_of(batch: NextSymbol, symbols: str) -> list[str]:
    """The strings in a batch, read back from its one-hot columns."""
    return [
        "".join(symbols[i] for i in np.argmax(batch.x[:n, b], axis=-1)) + symbols[batch.y[n - 1, b]]
        for b, n in enumerate(batch.lengths)
    ]


def accepts(text: str) -> bool:
    """Reber's grammar as a set of states followed by hand."""
    arcs = {"0B1", "1T2", "1P3", "2S2", "2X4", "3T3", "3V5", "4X3", "4S6", "5P4", "5V6", "6E7"}
    states = {"0"}
    for symbol in text:
        states = {arc[2] for arc in arcs if arc[0] in states and arc[1] == symbol}
    return states == {"7"}


def test_reber_strings_are_of_the_grammar():
    strings = strings_of(grammars.reber(300, 1), REBER_SYMBOLS)
    assert all(accepts(text) for text in strings)
    assert {text[1] for text in strings} == {"T", "P"} and len(set(strings)) > 30


def test_embedded_strings_are_a_reber_string_between_two_equal_symbols():
    for text in strings_of(grammars.embedded_reber(300, 2), REBER_SYMBOLS):
        assert text[0] == "B" and text[-1] == "E" and text[1] == text[-2] and text[1] in "TP"
        assert accepts(text[2:-2])


def test_a_continual_stream_is_embedded_strings_in_a_row():
    batch = grammars.continual_reber(3, 200, 3)
    assert batch.x.shape == (200, 3, 7) and batch.mask.all()
    for text in strings_of(batch, REBER_SYMBOLS):
        whole = re.findall(r"B[TP]B.*?E[TP]E", text)
        assert len(whole) > 8 and text.startswith("".join(whole))
        assert all(accepts(part[2:-2]) and part[1] == part[-2] for part in whole)


@pytest.mark.parametrize("automaton, start", [(grammars.REBER, 0), (grammars.EMBEDDED_REBER, "start")])
def test_allowed_symbols_are_exactly_those_that_ever_follow(automaton, start):
    rng = np.random.default_rng(5)
    follows: dict[str, set[str]] = {}
    texts = [grammars.generate(automaton, rng, start) for _ in range(3000)]
    for text in texts:
        for t in range(1, len(text)):
            follows.setdefault(text[:t], set()).add(text[t])
    common = [text for text in set(texts) if texts.count(text) > 60]
    for text in common:
        sets = grammars.allowed_next(automaton, text, start)
        for t in range(1, len(text)):
            found = {symbol for symbol, may in zip(REBER_SYMBOLS, sets[t - 1], strict=True) if may}
            assert found == follows[text[:t]]
    assert len(common) > 3


def test_a_string_outside_the_grammar_is_refused():
    with pytest.raises(ValueError, match="leaves the grammar at symbol 2"):
        grammars.allowed_next(grammars.REBER, "BTV", 0)


@pytest.mark.parametrize("letters", ["ab", "abc"])
def test_counting_strings_and_their_followers(letters):
    batch = grammars.counting(range(1, 8), letters)
    symbols = grammars.counting_symbols(letters)
    for n, text in zip(range(1, 8), strings_of(batch, symbols), strict=True):
        assert text == "S" + "".join(letter * n for letter in letters) + "T"
        for t in range(len(text) - 1):
            # another string of the language that begins alike may go on otherwise
            prefix = text[: t + 1]
            others = {
                other[t + 1]
                for m in range(1, 20)
                if (other := "S" + "".join(letter * m for letter in letters) + "T").startswith(prefix)
            }
            allowed = {symbol for symbol, may in zip(symbols, batch.allowed[t, n - 1], strict=True) if may}
            assert allowed == others
    with pytest.raises(ValueError, match="n is at least 1"):
        grammars.counting([0, 1], letters)


def test_the_criterion_asks_for_exactly_the_allowed_symbols():
    batch = grammars.reber(20, 0)
    right = batch.allowed + 0.1 * np.random.default_rng(0).random(batch.allowed.shape)
    assert grammars.predicts_the_allowed(right, batch).all()
    wrong = right.copy()
    wrong[1, 0, REBER_SYMBOLS.index("B")] = 2.0
    assert list(zip(*np.nonzero(~grammars.predicts_the_allowed(wrong, batch)), strict=True)) == [(1, 0)]


def test_the_longest_string_sets_the_length_and_the_rest_is_zero():
    batch = grammars.embedded_reber(50, 7)
    assert batch.x.shape[0] == batch.lengths.max()
    assert not np.any(batch.x[batch.mask == 0]) and np.all(batch.x.sum(-1) == batch.mask)


def test_temporal_order_hides_two_symbols_where_the_paper_says():
    for seed in range(5):
        x, y = tasks.temporal_order(200, seed, length=100)
        codes = np.argmax(x, axis=-1)
        assert 100 <= len(codes) <= 110
        assert np.all(codes[0] == 0) and np.all(codes[-1] == 7) and not np.any((codes[1:-1] == 0) | (codes[1:-1] == 7))
        relevant = (codes == 1) | (codes == 2)
        assert np.all(relevant.sum(0) == 2)
        first, second = np.argmax(relevant, 0), len(codes) - 1 - np.argmax(relevant[::-1], 0)
        assert (first.min(), first.max(), second.min(), second.max()) == (10, 20, 50, 60)
        everyone = np.arange(200)
        np.testing.assert_array_equal(y, 2 * (codes[first, everyone] - 1) + codes[second, everyone] - 1)
        assert set(y) == {0, 1, 2, 3}


def test_pascanus_order_has_its_symbols_in_their_tenths():
    x, y = tasks.pascanu_temporal_order(500, 0, length=50)
    codes = np.argmax(x, axis=-1)
    relevant = codes < 2
    first, second = np.argmax(relevant, 0), 49 - np.argmax(relevant[::-1], 0)
    assert np.all(relevant.sum(0) == 2) and (first.min(), first.max()) == (5, 10)
    assert (second.min(), second.max()) == (20, 25)
    np.testing.assert_array_equal(y, 2 * codes[first, np.arange(500)] + codes[second, np.arange(500)])


def test_adding_marks_one_number_in_each_half():
    x, y = tasks.adding_problem(300, 0, length=40)
    assert np.all(x[:20, :, 1].sum(0) == 1) and np.all(x[20:, :, 1].sum(0) == 1)
    np.testing.assert_allclose(y, np.sum(x[..., 0] * x[..., 1], axis=0))
    assert np.mean((y - 1.0) ** 2) == pytest.approx(1 / 6, rel=0.25)  # what always answering 1 costs


@pytest.mark.parametrize("tau", [17, 30])
def test_mackey_glass_obeys_its_equation(tau):
    fine = tasks.mackey_glass(2000, 0, tau=tau, per_unit=10, settle=0)
    rng = np.random.default_rng(0)
    y = np.concatenate([1.2 + 0.2 * (rng.random(tau * 10) - 0.5), np.empty(20000)])
    for i in range(tau * 10, len(y)):
        past = y[i - tau * 10]
        y[i] = y[i - 1] + 0.1 * (0.2 * past / (1.0 + past**10) - 0.1 * y[i - 1])
    # chaos doubles rounding every few dozen units, so only the beginning is compared
    np.testing.assert_allclose(fine[:300], y[tau * 10 :: 10][:300], rtol=1e-9)
    assert 0.2 < fine[300:].min() < 0.6 and 1.2 < fine[300:].max() < 1.5


def test_squashing_is_undone():
    y = tasks.mackey_glass(500, 1)
    np.testing.assert_allclose(tasks.unsquash(tasks.squash(y)), y, atol=1e-12)


def test_the_copy_is_asked_for_after_the_delimiter():
    x, y, mask = tasks.copy_task(4, 0, length=6)
    assert x.shape == (13, 4, 9) and y.shape == (13, 4, 8) and mask.shape == (13, 4)
    np.testing.assert_array_equal(y[7:], x[:6, :, :8])
    assert np.all(x[6, :, 8] == 1) and x[:, :, 8].sum() == 4 and not np.any(x[7:]) and not np.any(y[:7])
    np.testing.assert_array_equal(mask.sum(0), 6)
    assert {len(tasks.copy_task(1, seed)[0]) for seed in range(300)} == {2 * n + 1 for n in range(1, 21)}


def test_sums_are_right_when_read_backwards():
    pairs = tasks.reversed_addition(300, 0, digits=4)
    symbols = tasks.ADDITION_SYMBOLS
    for x, y, n, m in zip(pairs.x.T, pairs.y.T, pairs.x_lengths, pairs.y_lengths, strict=True):
        a, b = "".join(symbols[i] for i in x[:n]).split("+")
        answer = "".join(symbols[i] for i in y[:m])
        assert answer.endswith(" ") and int(answer[-2::-1]) == int(a[::-1]) + int(b[::-1])
        assert np.all(x[n:] == symbols.index(" ")) and np.all(y[m:] == symbols.index(" "))


@pytest.mark.parametrize("source, least", [("zen", 800), ("topics", 100_000)])
def test_texts_come_back_from_their_codes(source, least):
    codes, alphabet = tasks.character_text(source)
    text = "".join(np.array(list(alphabet))[codes])
    assert len(text) >= least and sorted(set(text)) == list(alphabet)
    assert ("Beautiful is better than ugly." if source == "zen" else "The Python") in text
    with pytest.raises(ValueError, match="'topics' and 'zen', not 'novel'"):
        tasks.character_text("novel")


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: grammars.reber(5, seed),
        lambda seed: grammars.embedded_reber(5, seed),
        lambda seed: grammars.continual_reber(2, 50, seed),
        lambda seed: tasks.temporal_order(5, seed),
        lambda seed: tasks.pascanu_temporal_order(5, seed, 50),
        lambda seed: tasks.adding_problem(5, seed),
        lambda seed: (tasks.mackey_glass(50, seed),),
        lambda seed: tasks.copy_task(5, seed),
        lambda seed: tasks.reversed_addition(5, seed),
    ],
)
def test_the_same_seed_gives_the_same_data(make):
    first, again, other = make(4), make(4), make(np.random.default_rng(5))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
