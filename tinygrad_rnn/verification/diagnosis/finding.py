"""An explanation before it is told: what is wrong, in words and term by term, and the equations that would be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...language.expressions import Equation
from ..results import RIGHT, Diagnosis, TermVerdict
from .terms import SignedTerm


@dataclass(frozen=True)
class Story:
    """A possible explanation. `equations` replace the wrong one; None where they cannot be written down."""

    mistake: str
    says: str
    verdicts: list[TermVerdict]
    equations: list[Equation] | None

    def told(self, correction: str | None) -> Diagnosis:
        """The explanation with the correction that was tried."""
        return Diagnosis(self.mistake, self.says, self.verdicts, correction)


def right_terms(terms: Sequence[SignedTerm]) -> list[TermVerdict]:
    """The verdicts on terms that are right."""
    return [TermVerdict(term.expr, RIGHT) for term in terms]


def joined_sentences(wrong: Sequence[SignedTerm], right: Sequence[str]) -> list[str]:
    """What is wrong and what is right instead (quoted, and where it stands), where one cannot be had from the other."""
    if wrong and right:
        return [f"{', '.join(f'`{term}`' for term in wrong)} should be {', '.join(right)}"]
    return [f"the term `{term}` does not belong here" for term in wrong] + [
        f"the term {meant} is missing" for meant in right
    ]
