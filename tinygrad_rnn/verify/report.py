"""What a verification found, and how it is told: as text, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .mutants import Certificate
from .reference import EngineCheck

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"


@dataclass(frozen=True)
class Step:
    """The verdict at one time step (t is None for a parameter): largest error beyond its bound, over all probes."""

    t: int | None
    verdict: str
    error: float
    bound: float
    why: str = ""


@dataclass(frozen=True)
class TermVerdict:
    """The verdict on one additive term of a failed equation: right, wrong, extra or missing."""

    text: str
    verdict: str
    explanation: str


@dataclass(frozen=True)
class Row:
    """The verdict on one gradient equation."""

    name: str
    line: int
    verdict: str
    steps: list[Step]
    text: str
    role: str = "gradient"
    why: str = ""
    mistake: str = ""
    explanation: str = ""
    terms: list[TermVerdict] = field(default_factory=list)

    @property
    def worst(self) -> Step | None:
        """The step that decided."""
        return max(self.steps, key=lambda s: (s.verdict == FAIL, s.error - s.bound), default=None)


@dataclass(frozen=True)
class Report:
    """All verdicts on a derivation. `ok` is true when every equation passes and the engine agrees with the complex step."""

    model: str
    source: str
    T: int
    seeds: int
    rows: list[Row]
    engine: EngineCheck
    notes: list[str] = field(default_factory=list)
    probe: Certificate | None = None
    follow: list[Row] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """FAIL if any equation fails, PASS if all pass on a probe that can tell, INCONCLUSIVE otherwise."""
        if not self.engine.ok:
            return INCONCLUSIVE
        if any(row.verdict == FAIL for row in self.rows):
            return FAIL
        passed = all(row.verdict == PASS for row in self.rows)
        certified = self.probe is None or self.probe.ok
        return PASS if passed and certified and self.T >= 3 else INCONCLUSIVE

    @property
    def ok(self) -> bool:
        """Whether the derivation is right."""
        return self.verdict == PASS

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "ok": self.ok,
            "model": self.model,
            "verdict": self.verdict,
            "T": self.T,
            "seeds": self.seeds,
            "equations": [
                {
                    "name": row.name,
                    "line": row.line,
                    "verdict": row.verdict,
                    "mistake": row.mistake,
                    "explanation": row.explanation,
                    "terms": [{"text": t.text, "verdict": t.verdict, "explanation": t.explanation} for t in row.terms],
                    "steps": [{"t": s.t, "verdict": s.verdict, "error": _number(s.error), "bound": _number(s.bound)} for s in row.steps],
                }
                for row in self.rows
            ],
            "mode": "local",
            "follow_through": [
                {"name": row.name, "verdict": row.verdict, "steps": [{"t": s.t, "verdict": s.verdict} for s in row.steps]} for row in self.follow
            ],
            "probe": None if self.probe is None else {
                "mutants": self.probe.mutants, "killed": self.probe.killed, "equivalent": self.probe.equivalent,
                "survivors": list(self.probe.survivors),
            },
            "engine": {"ok": self.engine.ok, "gradients": self.engine.gradients, "worst": self.engine.worst},
            "notes": self.notes,
        }

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        lines = [f"{self.model}: {self.verdict}    ({self.source}, T = {self.T}, {self.seeds} random probes)", ""]
        for row in self.rows:
            lines += _lines(row, width)
        lines += ["", str(self.engine)]
        lines += [f"the probe {self.probe}"] if self.probe is not None else []
        downstream = [row.name for row in self.follow if row.verdict == FAIL]
        if downstream and any(row.verdict == FAIL for row in self.rows):
            lines.append(f"followed through with their own values, these come out wrong: {', '.join(downstream)}")
        lines += self.notes
        return "\n".join(lines)


def _number(x: float) -> float | None:
    """JSON knows no nan."""
    return x if x == x and abs(x) != float("inf") else None


def _lines(row: Row, width: int) -> list[str]:
    worst = row.worst
    if worst is None:
        return [f"  {row.name:<{width}}  line {row.line:>3}  {row.verdict:<12}  {row.why}"]
    figures = f"error {worst.error:.1e}, rounding explains {worst.bound:.1e}"
    lines = [f"  {row.name:<{width}}  line {row.line:>3}  {row.verdict:<12}  {figures}" + (f"  ({worst.why})" if worst.why else "")]
    if row.verdict == FAIL:
        failed = [str(s.t) for s in row.steps if s.verdict == FAIL and s.t is not None]
        right = [str(s.t) for s in row.steps if s.verdict == PASS and s.t is not None]
        where = f"wrong at t = {', '.join(failed)}" if failed else "wrong"
        if failed and right:
            where += f"; right at t = {', '.join(right)}"
        lines += [f"  {'':<{width}}            {said}" for said in (" ".join(row.text.split()), where, row.explanation) if said]
    return lines
