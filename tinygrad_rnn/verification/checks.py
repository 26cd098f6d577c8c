"""What a report says of its own means, as data: whether the engine can be trusted, and what its probes notice."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class EngineCheck:
    """The engine against the complex step: how many gradients, the largest difference as a share of the terms (nan when
    values are not finite), whether rounding explains it, and what about the file explains it where rounding
    does not: a loss outside of its domain, a kink.
    """

    gradients: int
    worst: float
    ok: bool
    why: str = ""

    @property
    def refuted(self) -> bool:
        """Whether the two differ for no reason of the file, so that nothing can be judged by the engine."""
        return not self.ok and not self.why and self.worst == self.worst

    def __str__(self) -> str:
        if self.why:
            return f"engine and complex step cannot be compared: {self.why}"
        if self.worst != self.worst:
            return (
                "engine and complex step cannot be compared: values of this probe are not finite, or too small for it"
            )
        verdict = "agree to rounding" if self.ok else "DISAGREE"
        compared = f"{self.gradients} gradients, largest difference {self.worst:.1e} of the terms"
        return f"engine and complex step {verdict}: {compared}"


@dataclass(frozen=True)
class Certificate:
    """How many mutants there were, how many the probe killed, how many say the same as the truth; and the survivors."""

    mutants: int = 0
    killed: int = 0
    equivalent: int = 0
    survivors: tuple[str, ...] = ()
    uncertified: tuple[str, ...] = ()
    #: equations with mutants that were not tried for want of time
    untried: tuple[str, ...] = ()

    def __add__(self, other: Certificate) -> Certificate:
        return Certificate(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def ok(self) -> bool:
        """Whether every mutant that is wrong was noticed."""
        return self.killed == self.mutants

    def __str__(self) -> str:
        text = f"kills {self.killed} of {self.mutants} wrong versions of these equations"
        if self.uncertified:
            text += f" (none could be made of {', '.join(self.uncertified)})"
        if self.untried:
            text += f" (not all were tried, for want of time, of {', '.join(self.untried)})"
        return text if self.ok else f"{text}; not {'; '.join(self.survivors[:3])}"
