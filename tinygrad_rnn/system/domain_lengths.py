"""The lengths at which domains have points: the least ones, and whether some lengths are among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..language.affine import affine
from ..language.syntax.indices import Constraint
from .domain import Domain

#: no longer sequence is looked at
LONGEST = 400


@dataclass(frozen=True)
class Occasion:
    """The lengths at which something happens: domains that mention lengths only."""

    shadows: tuple[Domain, ...]

    @classmethod
    def of(cls, *domains: Domain) -> Occasion:
        """The lengths at which one of the domains has a point.

        >>> t, T = affine("t"), affine("T")
        >>> late = Domain.of(Constraint(">=", t - 13), Constraint(">=", T - t - 1), Constraint("|", T, 5))
        >>> occasion = Occasion.of(late)
        >>> occasion.least(["T"]), occasion.at({"T": 20}), occasion.at({"T": 21})
        ({'T': 15}, True, False)
        """
        shadows = dict.fromkeys(shadow for domain in domains for shadow in domain.shadow)
        return cls(tuple(shadow for shadow in shadows if not shadow.is_empty))

    def __bool__(self) -> bool:
        return bool(self.shadows)

    def at(self, lengths: Mapping[str, int]) -> bool:
        """Whether it happens at these lengths."""
        return any(shadow.holds(lengths) for shadow in self.shadows)

    def least(self, names: Sequence[str], shortest: int = 1) -> dict[str, int] | None:
        """The least lengths, the first of `names` before the others; None where there are none from `shortest` to
        `LONGEST`.
        """
        found: dict[str, int] = {}
        shadows = self.shadows
        for place, name in enumerate(names):
            rest = names[place + 1 :]
            bounds = [Constraint(">=", affine(other, -shortest)) for other in names[place:]]
            alone = [part for shadow in shadows for part in shadow.where(*bounds).projected(*rest)]
            length = next((n for n in range(shortest, LONGEST + 1) if any(p.holds({name: n}) for p in alone)), None)
            if length is None:
                return None
            found[name] = length
            shadows = tuple(shadow.substituted({name: affine(None, length)}) for shadow in shadows)
        return found
