"""Long sequences: where two ends of a sequence may be one step, its cases are too many to print; so they are left
out.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..language.affine import affine
from ..language.syntax.indices import Constraint
from ..system import Domain

#: lengths from which on the cases of a derivation are told apart
LONG = 8


def at_length(domain: Domain, least: int | None = None) -> bool:
    """Whether a domain has a tuple when every length is at least `least`, or as long as it takes."""
    lengths = {name for name in domain.variables if name[0].isupper()}
    far = LONG + 2 * max((abs(c.affine.constant) for c in domain.constraints), default=0) if least is None else least
    return not domain.where(*(Constraint(">=", affine(name, -far)) for name in lengths)).is_empty


def shortest(left_out: Iterable[Domain]) -> int:
    """The length from which on none of these domains, which are empty for long sequences, has a tuple."""
    least = 1
    for domain in left_out:
        while at_length(domain, least):
            least += 1
    return least
