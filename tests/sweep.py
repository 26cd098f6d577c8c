"""How much of a sweep is run: a fixed sample each time, everything by `python -m benchmarks soak laws`."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

Case = TypeVar("Case")

#: set by the soak: every case of every law
EVERYTHING = bool(os.environ.get("TINYGRAD_RNN_EVERY_CASE"))


def sample(cases: Sequence[Case], count: int, law: str, always: Sequence[Case] = ()) -> list[Case]:
    """`count` of the cases, those of `always` among them, in their order and the same ones in each run.

    The name of the law decides which: the laws together look at all cases, though each looks at some.

    >>> sample("abcdefgh", 3, "an example", always="b")
    ['b', 'e', 'g']
    """
    if EVERYTHING or count >= len(cases):
        return list(cases)
    others = [i for i, case in enumerate(cases) if case not in always]
    drawn = random.Random(law).sample(others, max(0, count - (len(cases) - len(others))))
    return [case for i, case in enumerate(cases) if case in always or i in drawn]


def examples(few: int, many: int) -> int:
    """How many cases a random test draws: few each time, many in the soak."""
    return many if EVERYTHING else few
