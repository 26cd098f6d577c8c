"""What judging one file may cost: values made and seconds; what is too large is named, what was found is kept.

The number of operations is known before the first of them is done: those of each equation, times its steps and those
of its sums.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...language import Model
from ...language.run.operands import MOST_BYTES
from ...language.run.operation_count import MOST_UNASKED, bytes_of, operations, operations_of
from ..results import lengths_text

#: so many operations in one run that was asked for, some 10 minutes and 3 GB; and in one that takes some seconds
MOST, QUICK = 2_000_000, 100_000
#: seconds for one file
SECONDS = 600.0
#: seconds of them for all proofs
PROOF_SECONDS = 60.0
#: seconds of them for all mutants
MUTANT_SECONDS = 30.0
#: seconds of them for probes that are drawn because the usual ones notice too little
WITNESS_SECONDS = 20.0
#: seconds of them for what mistakes do downstream
FOLLOW_SECONDS = 10.0


@dataclass
class Deadline:
    """Seconds from now on."""

    seconds: float = SECONDS
    start: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> bool:
        return time.monotonic() - self.start > self.seconds


def check_size(model: Model, lengths: Mapping[str, int], asked: bool = True) -> None:
    """Raises `LanguageError`, naming the largest equation, where a run would do too many operations.

    Lengths that nobody `asked` for may cost less.
    """
    counts = {equation: operations_of(equation, lengths) for equation in (*model.forward, *model.gradients)}
    most = MOST if asked else MOST_UNASKED
    if sum(counts.values()) > most:
        largest = max(counts, key=lambda equation: counts[equation])
        said = lengths_text(lengths)
        smaller = "use a smaller --T, or --lengths for the other sequences"
        raise model.document.source.error(
            f"{largest.name} takes {counts[largest]:,} operations at {said}; all equations together may take {most:,}"
            + ("" if asked else ", if no length is asked for"),
            largest.span,
            hint=smaller if asked else f"{smaller}: what is asked for may take {MOST:,}",
        )


def check_bytes(model: Model, lengths: Mapping[str, int]) -> None:
    """Raises `LanguageError`, naming the largest equation, where a run and its gradients would take too many bytes."""
    equations = [*model.forward, *model.gradients]
    if bytes_of(model, equations, lengths) > MOST_BYTES:
        largest = max(equations, key=lambda equation: bytes_of(model, [equation], lengths))
        taken = bytes_of(model, [largest], lengths)
        raise model.document.source.error(
            f"{largest.name} takes about {taken:,} bytes; all equations together may take {MOST_BYTES:,}",
            largest.span,
            hint="use smaller sizes, or a smaller --T: what holds for some holds for these",
        )


def is_quick(model: Model, lengths: Mapping[str, int]) -> bool:
    """Whether a run of these lengths is small enough to be chosen without being asked for."""
    return operations(model, lengths) <= QUICK
