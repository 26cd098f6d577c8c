"""Sequence tasks with a grammar: strings, and after each symbol the set of symbols that may follow.

A network is judged by those sets: it has learned the grammar when, at every step, the symbols it finds most likely are
exactly the allowed ones. Every function takes a seed (an int or a numpy Generator). Tasks on numbers and vectors stand
in `tasks`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Seed = int | np.random.Generator
#: state -> symbol -> next state
Automaton = Mapping[Hashable, Mapping[str, Hashable]]

REBER_SYMBOLS = "BTSXPVE"

#: Reber's grammar (Reber 1967; Hochreiter and Schmidhuber 1997, figure 3)
REBER: Automaton = {
    0: {"B": 1},
    1: {"T": 2, "P": 3},
    2: {"S": 2, "X": 4},
    3: {"T": 3, "V": 5},
    4: {"X": 3, "S": 6},
    5: {"P": 4, "V": 6},
    6: {"E": "end"},
}

#: Reber strings between two copies of T or of P, to be remembered across the string (same paper, figure 4)
EMBEDDED_REBER: Automaton = {
    "start": {"B": "which"},
    "which": {"T": ("T", 0), "P": ("P", 0)},
    **{(s, i): {symbol: (s, j) for symbol, j in arcs.items()} for s in "TP" for i, arcs in REBER.items()},
    **{(s, "end"): {s: "last"} for s in "TP"},
    "last": {"E": "end"},
}

#: embedded Reber strings without end, one after the other, no sign between them (Gers et al. 2000)
CONTINUAL_REBER: Automaton = {**EMBEDDED_REBER, "last": {"E": "start"}}


def generate(automaton: Automaton, seed: Seed, start: Hashable, length: int | None = None) -> str:
    """A string of an automaton, every arc of a state equally likely, up to its state "end" or of the given length.

    >>> generate(REBER, 0, 0)
    'BPVVE'
    """
    rng = np.random.default_rng(seed)
    state, text = start, ""
    while state != "end" and (length is None or len(text) < length):
        arcs = automaton[state]
        symbol = list(arcs)[int(rng.integers(len(arcs)))]
        text, state = text + symbol, arcs[symbol]
    return text


def allowed_next(automaton: Automaton, text: str, start: Hashable, symbols: str = REBER_SYMBOLS) -> np.ndarray:
    """(T, symbols) of 0.0 and 1.0: which symbols may follow after each one; `ValueError` for a string outside the
    grammar.

    >>> allowed_next(REBER, "BT", 0).astype(int).tolist()
    [[0, 1, 0, 0, 1, 0, 0], [0, 0, 1, 1, 0, 0, 0]]
    """
    state, sets = start, np.zeros((len(text), len(symbols)))
    for t, symbol in enumerate(text):
        if symbol not in automaton.get(state, {}):
            raise ValueError(f"{text!r} leaves the grammar at symbol {t}: {symbol!r} may not follow {text[:t]!r}")
        state = automaton[state][symbol]
        for following in automaton.get(state, {}):
            sets[t, symbols.index(following)] = 1.0
    return sets


class NextSymbol(NamedTuple):
    """Strings as a batch: `x` (T, B, symbols) one-hot, `y` (T, B) the symbol that did come next, `allowed` (T, B,
    symbols) those that may, `lengths` (B,). Beyond its length a string is all zeros.
    """

    x: np.ndarray
    y: np.ndarray
    allowed: np.ndarray
    lengths: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(T, B): 1.0 inside of each string."""
        return (np.arange(len(self.x))[:, None] < self.lengths).astype(float)


def as_batch(texts: Sequence[str], sets: Sequence[np.ndarray], symbols: str) -> NextSymbol:
    """Strings and their allowed sets as one batch; the last symbol of a string is only ever predicted."""
    lengths = np.array([len(text) - 1 for text in texts])
    shape = (int(lengths.max()), len(texts))
    x, allowed, y = np.zeros((*shape, len(symbols))), np.zeros((*shape, len(symbols))), np.zeros(shape, int)
    for b, (text, may) in enumerate(zip(texts, sets, strict=True)):
        codes = encode(text, symbols)
        n = lengths[b]
        x[:n, b] = np.eye(len(symbols))[codes[:-1]]
        y[:n, b] = codes[1:]
        allowed[:n, b] = may[:n]
    return NextSymbol(x, y, allowed, lengths)


def encode(text: str, symbols: str) -> np.ndarray:
    """The place of each character among the symbols."""
    return np.array([symbols.index(symbol) for symbol in text])


def reber(n: int, seed: Seed) -> NextSymbol:
    """n strings of Reber's grammar, such as BTSSXXTVVE."""
    rng = np.random.default_rng(seed)
    texts = [generate(REBER, rng, 0) for _ in range(n)]
    return as_batch(texts, [allowed_next(REBER, text, 0) for text in texts], REBER_SYMBOLS)


def embedded_reber(n: int, seed: Seed) -> NextSymbol:
    """n strings of the embedded Reber grammar, such as BP BTXSE PE (Hochreiter and Schmidhuber 1997, experiment 1).

    >>> embedded_reber(2, 0).x.shape
    (15, 2, 7)
    """
    rng = np.random.default_rng(seed)
    texts = [generate(EMBEDDED_REBER, rng, "start") for _ in range(n)]
    return as_batch(texts, [allowed_next(EMBEDDED_REBER, text, "start") for text in texts], REBER_SYMBOLS)


def continual_reber(n: int, length: int, seed: Seed) -> NextSymbol:
    """n streams of embedded Reber strings, `length` predictions each (Gers, Schmidhuber and Cummins 2000)."""
    rng = np.random.default_rng(seed)
    texts = [generate(CONTINUAL_REBER, rng, "start", length + 1) for _ in range(n)]
    return as_batch(texts, [allowed_next(CONTINUAL_REBER, text, "start") for text in texts], REBER_SYMBOLS)


def counting(ns: Sequence[int], letters: str = "ab") -> NextSymbol:
    """The strings a^n b^n (or a^n b^n c^n with letters "abc") for each n >= 1, between a start S and an end T.

    While a's come, an a or a b may follow; from the first b on, everything is certain (Gers and Schmidhuber 2001).

    >>> counting([2]).allowed[:, 0].astype(int).tolist()  # S a a b b -> a, a or b, a or b, b, T
    [[0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    """
    if min(ns) < 1:
        raise ValueError(f"counting: n is at least 1, but {min(ns)} is asked for")
    symbols = counting_symbols(letters)
    texts = ["S" + "".join(letter * n for letter in letters) + "T" for n in ns]
    sets = []
    for text in texts:
        may = np.zeros((len(text), len(symbols)))
        may[np.arange(len(text) - 1), encode(text[1:], symbols)] = 1.0
        reading_a = np.array([symbol == letters[0] for symbol in text])
        may[reading_a, 1] = may[reading_a, 2] = 1.0
        sets.append(may)
    return as_batch(texts, sets, symbols)


def counting_symbols(letters: str = "ab") -> str:
    """The alphabet of `counting`: S, the letters, T."""
    return f"S{letters}T"


def predicts_the_allowed(scores: Any, batch: NextSymbol) -> np.ndarray:
    """(T, B) of booleans: whether the k highest scores are exactly the k allowed symbols; True beyond a string's end.

    scores (T, B, symbols): logits or probabilities. The criterion of Hochreiter and Schmidhuber 1997, section 5.1.

    >>> batch = reber(3, 0)
    >>> bool(predicts_the_allowed(batch.allowed, batch).all())
    True
    """
    scores = np.asarray(scores)
    worst_allowed = np.min(np.where(batch.allowed > 0, scores, np.inf), axis=-1)
    best_other = np.max(np.where(batch.allowed > 0, -np.inf, scores), axis=-1)
    return (worst_allowed > best_other) | (batch.mask == 0)
