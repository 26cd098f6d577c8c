"""Apply a correction and judge again: what is told as a correction makes the equation pass, or it is not told.

A correction is one equation or several (a boundary case more), printed, read again and put in the place of the wrong
one. It has to pass at every step of every probe, and where these have one length only, at another length as well: `/ T`
and `/ 4` are the same at T = 4. Where there are kinks it has to pass on other probes too, for on these it may be right
by lying on one side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from ...core.errors import DerivationError, LanguageError, TinygradError
from ...language import Equation, Model, parse
from ...language.syntax.indices import MAIN
from ...language.text.printer import text
from ..every_length import usable
from ..measure.probe import states
from ..measure.witness import Sides, one_sided, sides, together
from ..results import FAIL, PASS
from .misplaced import in_pieces
from .true_terms import true_terms, vocabularies

if TYPE_CHECKING:
    from ..measure.probe import Probe

#: another length is so much longer
LONGER = 3


class Repairs:
    """The corrections of one equation of a model, tried on its probes."""

    def __init__(self, equation: Equation, probes: Sequence[Probe]) -> None:
        self.equation, self.probes, self.model = equation, probes, probes[0].model
        self._further: list[Probe] | None = None

    def applied(self, equations: Sequence[Equation]) -> str | None:
        """The equations as text, one a line, if with them in the place of the wrong one every step passes."""
        texts = [text(equation) for equation in equations]
        if texts == [text(self.equation)]:
            return None
        try:
            again = [self._read(said) for said in texts]
            passes = all(self._passes(again, probe) for probe in self._on())
        except (TinygradError, LookupError):  # a step that does not exist is read there: not a correction
            return None
        return "\n".join(texts) if passes and not self._circular(again) else None

    def _circular(self, equations: Sequence[Equation]) -> bool:
        """Whether the file as mended would go round at these equations: then they are right and compute nothing."""
        probe = self.probes[0]
        mended = self._mended(equations, probe.model)
        return any(id(equation) in usable(mended, probe.run).circles for equation in equations)

    def mended(self, error: LanguageError) -> tuple[str, str | None]:
        """The hint for an equation whose shapes do not fit, and the corrected equation: the likeliest proposal of the
        error with which the equation passes. A proposal that makes shapes fit and nothing right is not told.
        """
        source, span = self.model.document.source.text, self.equation.span
        for mend in error.mends:
            if span.start <= mend.start and mend.stop <= span.stop:
                said = source[span.start : mend.start] + mend.text + source[mend.stop : span.stop]
                try:
                    correction = self.applied([self._read(said)])
                except LanguageError:
                    continue
                if correction is not None:
                    return mend.said, correction
        return ("" if error.mends else error.hint), None

    def typed(self) -> tuple[str, str | None]:
        """The derived form of an equation whose shapes do not fit, in words and as text, if one passes."""
        for keep in vocabularies(self.model, self.equation):
            try:
                pieces = in_pieces(self.equation, [], true_terms(self.model, self.equation, keep), self.model)
            except DerivationError:
                continue
            correction = self.applied(pieces) if pieces else None
            if correction is not None:
                told = " and ".join(f"`{line}`" for line in correction.splitlines())
                return f"typed, it is {told}", correction
        return "", None

    def _mended(self, equations: Sequence[Equation], model: Model) -> Model:
        """A model (each size has its own) with these equations in the place of the wrong one."""
        stated = [equation for equation in model.gradients if equation is not self.equation]
        return Model(replace(model.document, gradients=(*stated, *equations)))

    def _read(self, said: str) -> Equation:
        ranges = self.model.document.indices
        indices = ", ".join(f"{name} = {within}" for name, within in ranges.items())
        header = "" if ranges == MAIN else f"indices: {indices}\n"  # without one, any letter may run as t does
        try:
            (equation,) = parse(f"{header}{said}\n").forward
        except ValueError:
            raise LanguageError("this is not one equation", self.model.document.source.name) from None
        return equation

    def _passes(self, equations: Sequence[Equation], probe: Probe) -> bool:
        lengths = probe.run.lengths
        mended = self._mended(equations, probe.model)
        steps = [(equation, step) for equation in equations for step in mended.steps_of(equation, lengths)]
        stated = any(equation is self.equation for equation in probe.model.gradients)
        if stated and {step for _, step in steps} != set(probe.model.steps_of(self.equation, lengths)):
            return False
        for equation, step in steps:
            verdict = probe.judge(equation, step).verdict
            fails = stated and verdict != PASS and probe.judge(self.equation, step).verdict == FAIL
            if verdict == FAIL or fails or (verdict != PASS and not stated):
                return False
        return bool(steps)

    def _on(self) -> Iterator[Probe]:
        yield from self.probes
        if self._further is None:
            self._further = [*further(self.probes), *self._beyond_kinks()]
        yield from self._further

    def _beyond_kinks(self) -> Iterator[Probe]:
        """Other probes until both sides of each kink are seen, as far as a few show them."""
        seen: Sides = {}
        for probe in chain(self.probes, others(self.probes, 4)):
            there = sides(probe, self.equation) if states(probe.model, self.equation) else {}
            if together(seen, there) != seen and all(probe is not own for own in self.probes):
                yield probe
            seen = together(seen, there)
            if not one_sided(seen):
                return


def further(probes: Sequence[Probe]) -> list[Probe]:
    """One probe at another length where all have the same; none for a model that does not run at it."""
    first = probes[0]
    if any(probe.run.lengths != first.run.lengths for probe in probes):
        return []
    if "further" not in first.derived:
        lengths = {name: length + LONGER for name, length in first.run.lengths.items()}
        try:
            run = first.model.unroll(first.run.T + LONGER, seed=2000, lengths=lengths)
        except TinygradError:
            first.derived["further"] = []
        else:
            first.derived["further"] = [type(first)(first.model, run)]
    longer: list[Probe] = first.derived["further"]
    return longer


#: factors of the random values of other probes
SCALES = (1.0, 0.3, 3.0, 0.1)


def others(probes: Sequence[Probe], times: int = 1) -> Iterator[Probe]:
    """Some probes (`times` as many as scales) of the same length with other values, and without the bounds of the file,
    which may hold everything where it is flat.
    """
    first = probes[0]
    model = Model(replace(first.model.document, bounds={})) if first.model.document.bounds else first.model
    for seed, scale in enumerate(SCALES * times):
        try:
            run = model.unroll(first.run.T, seed=5000 + seed, scale=scale, lengths=first.run.lengths)
        except TinygradError:
            continue
        yield type(first)(model, run)
