"""Sequence tasks on which recurrent networks are measured, generated from a seed as numpy arrays.

Time stands first: x (T, B, D). Every function takes a seed (an int or a numpy Generator), so that the same call gives
the same data. Tasks that have a grammar stand in `grammars`.
"""

from __future__ import annotations

import codecs
import contextlib
import io
from typing import NamedTuple

import numpy as np

from .grammars import Seed

# -- order in time --------------------------------------------------------------------------------------------------
TEMPORAL_ORDER_SYMBOLS = "EXYabcdB"
PASCANU_ORDER_SYMBOLS = "ABcdef"


def temporal_order(n: int, seed: Seed, length: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """In which order two relevant symbols came: x (T, n, 8) one-hot and y (n,) in 0..3 for XX, XY, YX, YY.

    E, distractors a to d, one X or Y in the second tenth and one in the sixth, then B (Hochreiter and Schmidhuber 1997,
    experiment 6a, where length is 100 to 110: the sequences of one call share a length from `length` to 1.1 `length`).

    >>> x, y = temporal_order(3, 0, length=50)
    >>> x.shape, y.tolist()
    ((55, 3, 8), [0, 2, 1])
    """
    rng = np.random.default_rng(seed)
    T = int(rng.integers(length, length + length // 10 + 1))
    tenth = length // 10
    codes, y = _two_among_distractors(n, rng, T, (tenth, 2 * tenth), (5 * tenth, 6 * tenth), relevant=1, distractors=3)
    codes[0], codes[-1] = 0, 7
    return np.eye(8)[codes], y


def pascanu_temporal_order(n: int, seed: Seed, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The same question with six symbols: A or B in the second tenth and in the fifth, distractors c to f elsewhere.

    x (length, n, 6) one-hot, y (n,) in 0..3 for AA, AB, BA, BB (Pascanu, Mikolov and Bengio 2013, section 4.1).
    """
    rng = np.random.default_rng(seed)
    tenth = length // 10
    codes, y = _two_among_distractors(
        n, rng, length, (tenth, 2 * tenth), (4 * tenth, 5 * tenth), relevant=0, distractors=2
    )
    return np.eye(6)[codes], y


def _two_among_distractors(
    n: int, rng: np.random.Generator, T: int, first: tuple[int, int], second: tuple[int, int], relevant: int,
    distractors: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    codes = rng.integers(distractors, distractors + 4, (T, n))
    pair = rng.integers(0, 2, (2, n))
    everyone = np.arange(n)
    codes[rng.integers(first[0], first[1] + 1, n), everyone] = relevant + pair[0]
    codes[rng.integers(second[0], second[1] + 1, n), everyone] = relevant + pair[1]
    return codes, 2 * pair[0] + pair[1]


# -- numbers --------------------------------------------------------------------------------------------------------
def adding_problem(n: int, seed: Seed, length: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Add the two marked numbers: x (T, n, 2) holds numbers in [0, 1) and markers, y (n,) is the sum.

    One marker stands in each half (Hochreiter and Schmidhuber 1997, experiment 4, as simplified by Le et al. 2015).

    >>> x, y = adding_problem(5, 0)
    >>> np.allclose(y, np.sum(x[..., 0] * x[..., 1], axis=0))
    True
    """
    rng = np.random.default_rng(seed)
    x = np.stack([rng.random((length, n)), np.zeros((length, n))], axis=-1)
    everyone = np.arange(n)
    x[rng.integers(0, length // 2, n), everyone, 1] = 1.0
    x[rng.integers(length // 2, length, n), everyone, 1] = 1.0
    return x, np.sum(x[..., 0] * x[..., 1], axis=0)


def mackey_glass(length: int, seed: Seed, tau: int = 17, per_unit: int = 10, settle: int = 1000) -> np.ndarray:
    """The Mackey-Glass series, one value for each unit of time: (length,).

    dy/dt = 0.2 y(t - tau) / (1 + y(t - tau)^10) - 0.1 y(t), by Euler steps of 1/per_unit from a random history around
    1.2, the first `settle` units thrown away (Jaeger 2001, section 4.1; chaotic for tau = 17).
    """
    rng = np.random.default_rng(seed)
    delay, total = tau * per_unit, (length + settle) * per_unit
    y = np.empty(delay + total)
    y[:delay] = 1.2 + 0.2 * (rng.random(delay) - 0.5)
    step = 1.0 / per_unit
    # a step reads nothing newer than `delay` before it: the production of `delay` steps is one array operation
    for start in range(delay, delay + total, delay):
        stop = start + delay if start + delay < len(y) else len(y)
        past = y[start - delay : stop - delay]
        production = step * 0.2 * past / (1.0 + past**10)
        here = y[start - 1]
        for i in range(start, stop):
            here = (1.0 - 0.1 * step) * here + production[i - start]
            y[i] = here
    return y[delay + settle * per_unit :: per_unit][:length]


def squash(series: np.ndarray) -> np.ndarray:
    """tanh(y - 1), the range in which Jaeger's network draws the Mackey-Glass series."""
    return np.tanh(series - 1.0)


def unsquash(series: np.ndarray) -> np.ndarray:
    """The inverse of `squash`."""
    return np.arctanh(np.clip(series, -1.0 + 1e-12, 1.0 - 1e-12)) + 1.0


# -- copying and rewriting ------------------------------------------------------------------------------------------
def copy_task(
    n: int, seed: Seed, length: int | tuple[int, int] = (1, 20), bits: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copy random bits after a delimiter: x (2 L + 1, n, bits + 1), y (2 L + 1, n, bits), mask (2 L + 1, n).

    The last channel of x is the delimiter; nothing comes in while the copy goes out. The sequences of one call share a
    length L drawn from the interval (Graves, Wayne and Danihelka 2014, section 4.1).
    """
    rng = np.random.default_rng(seed)
    L = length if isinstance(length, int) else int(rng.integers(length[0], length[1] + 1))
    pattern = rng.integers(0, 2, (L, n, bits)).astype(float)
    x, y = np.zeros((2 * L + 1, n, bits + 1)), np.zeros((2 * L + 1, n, bits))
    x[:L, :, :bits], x[L, :, bits], y[L + 1 :] = pattern, 1.0, pattern
    mask = np.zeros((2 * L + 1, n))
    mask[L + 1 :] = 1.0
    return x, y, mask


ADDITION_SYMBOLS = "0123456789+ "


class Pairs(NamedTuple):
    """Source and target strings as class numbers, padded: x (S, B), y (T, B), and their lengths (B,)."""

    x: np.ndarray
    y: np.ndarray
    x_lengths: np.ndarray
    y_lengths: np.ndarray


def reversed_addition(n: int, seed: Seed, digits: int = 3) -> Pairs:
    """Sums such as "54+321" -> "573": all numbers backwards, so that carries run with time; targets end with " ".

    Numbers have 1 to `digits` digits. Symbols are places in `ADDITION_SYMBOLS`; the space ends a target and pads both
    (after Zaremba and Sutskever 2014, and the sequence-to-sequence tutorials that followed).

    >>> pairs = reversed_addition(2, 0)
    >>> ["".join(ADDITION_SYMBOLS[i] for i in column) for column in pairs.x.T]
    ['636+62 ', '0+0    ']
    """
    rng = np.random.default_rng(seed)
    sources, targets = [], []
    for _ in range(n):
        a, b = (int(rng.integers(0, 10 ** int(rng.integers(1, digits + 1)))) for _ in range(2))
        sources.append(f"{str(a)[::-1]}+{str(b)[::-1]}")
        targets.append(f"{str(a + b)[::-1]} ")
    x, x_lengths = _padded(sources, 2 * digits + 1)
    y, y_lengths = _padded(targets, digits + 2)
    return Pairs(x, y, x_lengths, y_lengths)


def _padded(texts: list[str], length: int) -> tuple[np.ndarray, np.ndarray]:
    codes = [[ADDITION_SYMBOLS.index(symbol) for symbol in text.ljust(length)] for text in texts]
    return np.array(codes).T, np.array([len(text) for text in texts])


# -- text -----------------------------------------------------------------------------------------------------------
def character_text(source: str = "topics") -> tuple[np.ndarray, str]:
    """A text that ships with Python, as class numbers (length,), and its alphabet.

    "topics": the language reference behind `help()`, some 700,000 characters; "zen": the Zen of Python, 856. Raises
    `ValueError` for another source.

    >>> codes, alphabet = character_text("zen")
    >>> "".join(alphabet[i] for i in codes[:18])
    'The Zen of Python,'
    """
    if source == "zen":
        text = _zen()
    elif source == "topics":
        from pydoc_data.topics import topics  # half a megabyte of text

        text = "\n".join(topics[name] for name in sorted(topics))
    else:
        raise ValueError(f"character_text: the sources are 'topics' and 'zen', not {source!r}")
    alphabet = "".join(sorted(set(text)))
    place = {symbol: i for i, symbol in enumerate(alphabet)}
    return np.array([place[symbol] for symbol in text]), alphabet


def _zen() -> str:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints itself when first imported
        import this

    return codecs.decode(this.s, "rot13")
