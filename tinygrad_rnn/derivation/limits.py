"""What a derivation may cost, in seconds and in terms; what was too large is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from ..core.errors import DerivationError
from ..system.time_limit import patience

#: so long a derivation may take
SECONDS = 60.0
#: a gradient may be handed so many shares more than its quantity has readers, when others are put in
SHARES = 200


class Limits:
    """The limits of one derivation: of all the time that is spent on it, not of how long it is kept."""

    def __init__(self, seconds: float = SECONDS, shares: int = SHARES) -> None:
        self.seconds, self.shares = seconds, shares
        self._spent, self._since = 0.0, monotonic()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time until the end of the block."""
        self._since = monotonic()
        with patience(self.seconds - self._spent):
            yield
        self._spent += monotonic() - self._since

    def check(self, name: str, shares: int = 0) -> None:
        """Raise `DerivationError` if time runs out at the gradient of `name`, or so many shares are too many for it."""
        if shares > self.shares:
            told = f"the gradient of {name} has {shares} terms more when others are put in"
            raise DerivationError(f"{told}: keep the gradients of more names")
        if self._spent + monotonic() - self._since > self.seconds:
            told = f"this derivation takes more than {self.seconds:g} s; it came as far as the gradient of {name}"
            raise DerivationError(f"{told}: split the model, or keep the gradients of more names")
