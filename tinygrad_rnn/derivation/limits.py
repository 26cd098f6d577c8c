"""What a derivation may cost, in seconds and in terms; what was too large is named."""

from __future__ import annotations

from time import monotonic

from ..core.errors import DerivationError

#: so long a derivation may take
SECONDS = 60.0
#: a gradient may be handed so many shares more than its quantity has readers, when others are put in
SHARES = 200


class Limits:
    """The limits of one derivation, from when it is made."""

    def __init__(self, seconds: float = SECONDS, shares: int = SHARES) -> None:
        self.seconds, self.shares = seconds, shares
        self._end = monotonic() + seconds

    def check(self, name: str, shares: int = 0) -> None:
        """Raise `DerivationError` if time runs out at the gradient of `name`, or so many shares are too many for it."""
        if shares > self.shares:
            told = f"the gradient of {name} has {shares} terms more when others are put in"
            raise DerivationError(f"{told}: keep the gradients of more names")
        if monotonic() > self._end:
            told = f"this derivation takes more than {self.seconds:g} s; it came as far as the gradient of {name}"
            raise DerivationError(f"{told}: split the model, or keep the gradients of more names")
