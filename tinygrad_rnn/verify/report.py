"""What a verification found, as data. How it is told stands in `terminal`, `markdown_report` and `html`."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from ..language.indices import Step as Time

if TYPE_CHECKING:
    from ..language import Model

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
RIGHT, WRONG, EXTRA, MISSING = "right", "wrong", "extra", "missing"


@dataclass(frozen=True)
class Step:
    """The verdict at one time step: largest error beyond its bound, over all probes. t is None for a parameter, and
    several numbers for a quantity of several indices.
    """

    t: Time
    verdict: str
    error: float
    bound: float
    why: str = ""


@dataclass(frozen=True)
class TermVerdict:
    """The verdict on one additive term of a failed equation: right, wrong, extra or missing.

    `steps`: those at which a missing term lacks (empty: at all); `part` and `meant`: the part of a wrong term that is
    wrong, and what should stand there; `correction`: the whole term as it should be. All as text that parses, empty
    where there is none.
    """

    text: str
    verdict: str
    explanation: str
    steps: tuple[Time, ...] = ()
    part: str = ""
    meant: str = ""
    correction: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with an equation: a kind, a sentence, a verdict for each term, and the whole corrected equation (or
    equations, one a line) as text that parses; None where none was found that passes.
    """

    mistake: str
    explanation: str
    terms: list[TermVerdict]
    correction: str | None = None


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
    #: the equation as it should be, or the equations, one a line: applied to the file, they pass
    correction: str | None = None
    #: what its steps count: t, or the pair t, s
    axes: tuple[str, ...] = ("t",)

    @property
    def time(self) -> str:
        """`t`, or `(t, s)`."""
        return self.axes[0] if len(self.axes) == 1 else f"({', '.join(self.axes)})"

    @property
    def worst(self) -> Step | None:
        """The step that decided."""
        return max(self.steps, key=lambda s: (s.verdict == FAIL, s.error - s.bound), default=None)

    def at(self, verdict: str) -> list[int | tuple[int, ...]]:
        """The time steps with this verdict."""
        return [step.t for step in self.steps if step.verdict == verdict and step.t is not None]


@dataclass(frozen=True)
class EngineCheck:
    """The engine against the complex step: how many gradients, the largest difference as a share of the terms (nan when
    values are not finite), and whether rounding explains it.
    """

    gradients: int
    worst: float
    ok: bool

    def __str__(self) -> str:
        if self.worst != self.worst:
            return "engine and complex step cannot be compared: values of this probe are not finite"
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
        return text if self.ok else f"{text}; not {'; '.join(self.survivors[:3])}"


@dataclass(frozen=True)
class Report:
    """All verdicts on a derivation; `ok` is true when every equation passes on a probe that can tell.

    `str(report)` is for a terminal; `to_dict()`, `to_markdown()` and `to_html()` are the same as data, as Markdown and
    as one page. `subject` is the model that was judged: with it the page knows types and has a picture.
    """

    model: str
    source: str
    T: int
    seeds: int
    rows: list[Row]
    engine: EngineCheck
    notes: list[str] = field(default_factory=list)
    probe: Certificate | None = None
    follow: list[Row] = field(default_factory=list)
    #: the shortest sequence that shows every delay with both its ends
    shortest: int = 3
    subject: Model | None = field(default=None, repr=False, compare=False)

    @property
    def said_lengths(self) -> str:
        """`T = 4`, or all lengths where there are several: `T = 4, S = 5`."""
        lengths = self.subject.lengths(self.T) if self.subject is not None else {"T": self.T}
        return ", ".join(f"{name} = {length}" for name, length in lengths.items())

    @property
    def verdict(self) -> str:
        """FAIL if any equation fails, PASS if all pass on a probe that can tell, INCONCLUSIVE otherwise."""
        if not self.engine.ok:
            return INCONCLUSIVE
        if any(row.verdict == FAIL for row in self.rows):
            return FAIL
        passed = all(row.verdict == PASS for row in self.rows)
        certified = self.probe is None or self.probe.ok
        return PASS if passed and certified and self.shortest <= self.T else INCONCLUSIVE

    @property
    def ok(self) -> bool:
        """Whether the derivation is right."""
        return self.verdict == PASS

    @property
    def failed(self) -> list[Row]:
        """The wrong equations."""
        return [row for row in self.rows if row.verdict == FAIL]

    @property
    def downstream(self) -> list[str]:
        """Equations that are right by themselves but come out wrong when the user's own values go in."""
        wrong = {(row.name, row.line) for row in self.failed}
        if not wrong:
            return []
        return [row.name for row in self.follow if row.verdict == FAIL and (row.name, row.line) not in wrong]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "ok": self.ok,
            "model": self.model,
            "verdict": self.verdict,
            "T": self.T,
            "seeds": self.seeds,
            "mode": "local",
            "equations": [_equation(row) for row in self.rows],
            "follow_through": [
                {
                    "name": row.name,
                    "line": row.line,
                    "verdict": row.verdict,
                    "steps": [{"t": s.t, "verdict": s.verdict} for s in row.steps],
                }
                for row in self.follow
            ],
            "probe": None
            if self.probe is None
            else {"mutants": self.probe.mutants, "killed": self.probe.killed, "equivalent": self.probe.equivalent},
            "survivors": [] if self.probe is None else list(self.probe.survivors),
            "engine": {
                "ok": self.engine.ok,
                "gradients": self.engine.gradients,
                "worst": _number(self.engine.worst),
            },
            "notes": list(self.notes),
        }

    def to_markdown(self) -> str:
        """The report as Markdown."""
        from .markdown_report import markdown

        return markdown(self)

    def to_html(self) -> str:
        """The report as one HTML page that needs nothing else: no network, no script."""
        from .html import page

        return page(self)

    def __str__(self) -> str:
        from .terminal import text

        return text(self)


def _equation(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "line": row.line,
        "verdict": row.verdict,
        "mistake": row.mistake,
        "explanation": row.explanation,
        "correction": row.correction,
        "terms": [_term(term) for term in row.terms],
        "steps": [
            {"t": s.t, "verdict": s.verdict, "error": _number(s.error), "bound": _number(s.bound)} for s in row.steps
        ],
    }


def _term(term: TermVerdict) -> dict[str, Any]:
    return {
        "text": term.text,
        "verdict": term.verdict,
        "explanation": term.explanation,
        "steps": list(term.steps),
        "correction": term.correction or None,
    }


def _number(x: float) -> float | None:
    """JSON knows no nan."""
    return x if x == x and abs(x) != float("inf") else None
