"""What a verification says, as data: verdicts by step, term, equation, derivation and file, and what they rest on.

Nothing is judged and nothing is written here. How a verdict comes about stands in `judge`, how it is shown in `report`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from ..derivation.prover.prove import Proof
from ..language import Equation, Model
from ..language.expressions import Expr
from ..language.syntax.indices import Step
from ..language.text.printer import text

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
ILL_TYPED, SCALAR, CIRCULAR, INCOMPLETE, PROVED = "ILL-TYPED", "SCALAR", "CIRCULAR", "INCOMPLETE", "PROVED"
#: the verdict of a whole is the first of these that applies
ORDER = (FAIL, ILL_TYPED, SCALAR, CIRCULAR, INCOMPLETE, INCONCLUSIVE, PASS, PROVED)
#: what is wrong in itself
WRONG_VERDICTS = (FAIL, ILL_TYPED, SCALAR, CIRCULAR)
RIGHT_VERDICTS = (PASS, PROVED)
#: what a program ends with: 0 right, 1 wrong, 2 unusable, 3 undecided
EXIT = dict.fromkeys(WRONG_VERDICTS, 1) | {INCOMPLETE: 3, INCONCLUSIVE: 3, PASS: 0, PROVED: 0}
#: of a block of a file: it cannot be read; nothing is stated in it
UNUSABLE, EMPTY = "UNUSABLE", "EMPTY"
RIGHT, WRONG, EXTRA, MISSING = "right", "wrong", "extra", "missing"


# -- what verdicts rest on --------------------------------------------------------------------------------------------
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


# -- verdicts ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class StepVerdict:
    """The verdict at one time step: largest error beyond its bound, over all probes of one length. t is None for a
    parameter, and several numbers for a quantity of several indices; `T` is the length of the sequence.
    """

    t: Step
    verdict: str
    error: float
    bound: float
    why: str = ""
    T: int = 0


@dataclass(frozen=True)
class TermVerdict:
    """The verdict on one additive term (sign and sum included) of a failed equation: right, wrong, extra or missing.

    `steps`: those at which a missing term lacks (empty: at all); `part`: what of a wrong term is wrong, if it is less
    than the whole; `corrected`: the whole term as it should be.
    """

    term: Expr
    verdict: str
    explanation: str = ""
    steps: tuple[Step, ...] = ()
    part: Expr | None = None
    corrected: Expr | None = None

    @property
    def text(self) -> str:
        """The term as text that parses."""
        return text(self.term)

    @property
    def correction(self) -> str:
        """The corrected term as text that parses; empty where there is none."""
        return "" if self.corrected is None else text(self.corrected)


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
    steps: list[StepVerdict]
    text: str
    role: str = "gradient"
    why: str = ""
    mistake: str = ""
    explanation: str = ""
    terms: list[TermVerdict] = field(default_factory=list)
    #: the equation as it should be, or the equations, one a line: applied to the file, they pass
    correction: str | None = None
    #: what its steps count: t, or the pair t, s; and what the length is called that each step has as `T`
    axes: tuple[str, ...] = ("t",)
    length: str = "T"
    #: what it reads that is neither stated nor given, as `dh[T+1]`
    needs: tuple[str, ...] = ()
    #: where a line that has no meaning goes wrong: the line, underlined, and both shapes
    excerpt: str = ""
    #: whether it is proved for every length and size, if that was tried
    proof: Proof | None = field(default=None, repr=False, compare=False)
    #: why an equation that passes is not proved
    unproved: str = ""
    #: of a gradient in code: the quantity whose gradient it is
    quantity: str = ""
    #: the equation itself, where the line could be read as one
    equation: Equation | None = field(default=None, repr=False, compare=False)

    @property
    def time(self) -> str:
        """`t`, or `(t, s)`."""
        return self.axes[0] if len(self.axes) == 1 else f"({', '.join(self.axes)})"

    @property
    def worst(self) -> StepVerdict | None:
        """The step that decided."""
        rank = {FAIL: 2, INCONCLUSIVE: 1}
        return max(self.steps, key=lambda s: (rank.get(s.verdict, 0), _number(s.error - s.bound) or 0.0), default=None)

    @property
    def shown(self) -> int:
        """The length at which the row is best looked at: the first at which something is wrong, else the first."""
        wrong = [step.T for step in self.steps if step.verdict == FAIL]
        return (wrong or [step.T for step in self.steps] or [0])[0]

    def at(self, verdict: str, T: int | None = None) -> list[int | tuple[int, ...]]:
        """The time steps with this verdict, for one length (`shown` unless given)."""
        T = self.shown if T is None else T
        return [step.t for step in self.steps if step.verdict == verdict and step.t is not None and step.T == T]

    def undecided(self, why: str, *verdicts: str) -> Row:
        """The row without a verdict, and so its steps, or those that have one of these verdicts."""
        known = [replace(s, verdict=INCONCLUSIVE, why=why or s.why) for s in self.steps]
        pairs = zip(self.steps, known, strict=True)
        steps = [new if not verdicts or old.verdict in verdicts else old for old, new in pairs]
        return replace(self, verdict=INCONCLUSIVE, steps=steps)


def trusted(rows: list[Row], engine: EngineCheck) -> list[Row]:
    """The rows, none of which fails by a reference that is itself refuted."""
    said = "engine and complex step disagree, so that nothing can be judged by them"
    if not engine.refuted:
        return rows
    return [replace(row.undecided("", FAIL), why=said) if row.verdict == FAIL else row for row in rows]


@dataclass(frozen=True)
class Verdicts:
    """All verdicts on a derivation; `ok` is true when every equation passes on a probe that can tell.

    `subject` is the model that was judged: with it a page knows types and has a picture.
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
    #: the lengths that were tried, each with all of them: {"T": 7, "S": 10}
    lengths: tuple[Mapping[str, int], ...] = ()
    #: the sizes that were tried beside each of the lengths, {"h": "4", "W": "4 x 3"}; all shapes at the first of them
    sizes: tuple[Mapping[str, str], ...] = ()
    tried: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def tried_on(self) -> list[str]:
        """`T = 6 and 7` and `3 random probes`, or `your inputs`."""
        return [self.said_lengths, *_probes(self.seeds)] if self.seeds else ["your inputs"]

    @property
    def said_lengths(self) -> str:
        """`T = 7 and 10`, or all lengths where there are several: `T = 7, S = 10 and T = 10, S = 8`."""
        tried = self.lengths or ({"T": self.T},)
        names = list(tried[0])
        if len(names) == 1:
            *most, last = (str(lengths[names[0]]) for lengths in tried)
            return f"{names[0]} = {' and '.join([', '.join(most)] * bool(most) + [last])}"
        return " and ".join(map(lengths_text, tried))

    @property
    def said_sizes(self) -> str:
        """`x = 3, h = 4 and x = 4, h = 3`; empty where no size was chosen."""
        each = (", ".join(f"{name} = {size}" for name, size in sizes.items()) for sizes in self.sizes)
        return " and ".join(dict.fromkeys(said for said in each if said))

    @property
    def shapes(self) -> dict[str, str]:
        """Rows and columns of every quantity at the first of the sizes that were tried: {"h[t]": "4 x 1"}."""
        inferred = self.subject.shapes if self.subject is not None else {}
        tried = {name: self.tried.get(name, shape) for name, shape in inferred.items()}
        return {name: f"{rows} x {columns}" for name, (rows, columns) in tried.items()}

    @property
    def said_shapes(self) -> str:
        """`4 x 1: a[t], h[t], b; 4 x 4: W`."""
        alike: dict[str, list[str]] = {}
        for name, shape in self.shapes.items():
            alike.setdefault(shape, []).append(name)
        return "; ".join(f"{shape}: {', '.join(names)}" for shape, names in alike.items())

    @property
    def needs(self) -> list[str]:
        """Everything that is read but neither stated nor given."""
        return list(dict.fromkeys(need for row in self.rows for need in row.needs))

    @property
    def verdict(self) -> str:
        """The first of `ORDER` that applies; nothing passes where engine and complex step disagree, where the probe
        notices too little, or where the sequence is too short.
        """
        verdicts = {row.verdict for row in self.rows}
        if self.needs:
            verdicts.add(INCOMPLETE)
        blind = self.probe is not None and not self.probe.ok
        if not self.rows or not self.engine.ok or blind or self.shortest > self.T:
            verdicts.add(INCONCLUSIVE)
        return next(verdict for verdict in ORDER if verdict in verdicts)

    @property
    def ok(self) -> bool:
        """Whether the derivation is right: PASS or PROVED."""
        return EXIT[self.verdict] == 0

    @property
    def failed(self) -> list[Row]:
        """The wrong equations: those that fail, have no type, hold for numbers only, or go round in a circle."""
        return [row for row in self.rows if row.verdict in WRONG_VERDICTS]

    @property
    def followed(self) -> bool:
        """Whether there is a mistake in numbers to follow through."""
        return bool(self.follow) and any(row.verdict == FAIL for row in self.rows)

    @property
    def downstream(self) -> list[str]:
        """Equations that are right by themselves but come out wrong when the user's own values go in."""
        wrong = {(row.name, row.line) for row in self.failed}
        if not wrong:
            return []
        return [row.name for row in self.follow if row.verdict == FAIL and (row.name, row.line) not in wrong]

    def reach(self, quoted: Callable[[str], str] = str) -> str:
        """What the mistakes do downstream, in words; empty where nothing was followed through."""
        if not self.followed:
            return ""
        wrong = {(row.name, row.line) for row in self.failed}
        unknown = [row.name for row in self.follow if row.verdict == INCONCLUSIVE and (row.name, row.line) not in wrong]
        names = [", ".join(map(quoted, dict.fromkeys(some))) for some in (self.downstream, unknown)]
        said = [f"these come out wrong as well: {names[0]}"] if names[0] else []
        said += [f"these cannot be computed by the file alone: {names[1]}"] if names[1] else []
        return f"followed through with your own values, {'; '.join(said) or 'no other equation comes out wrong'}"

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "ok": self.ok,
            "model": self.model,
            "verdict": self.verdict,
            "T": self.T,
            "lengths": [dict(lengths) for lengths in self.lengths or ({"T": self.T},)],
            "sizes": [dict(sizes) for sizes in self.sizes],
            "shapes": self.shapes,
            "seeds": self.seeds,
            "mode": "local",
            "equations": [_equation(row) for row in self.rows],
            "follow_through": [
                {
                    "name": row.name,
                    "line": row.line,
                    "verdict": row.verdict,
                    "steps": [{"t": s.t, "T": s.T, "verdict": s.verdict} for s in row.steps],
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
                "why": self.engine.why,
            },
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class BlockVerdict:
    """One block of a file of notes: its heading, its first line, and its report or why there is none."""

    heading: str
    line: int
    report: Verdicts | None = None
    message: str = ""
    verdict: str = field(default="")

    def __post_init__(self) -> None:
        if not self.verdict:
            object.__setattr__(self, "verdict", self.report.verdict if self.report else UNUSABLE)

    @property
    def title(self) -> str:
        """The heading, with the model's name where that says more."""
        name = self.report.model if self.report else ""
        if not self.heading or not name or name == self.heading:
            return self.heading or name or "without heading"
        return f"{self.heading} ({name})"

    def to_dict(self) -> dict[str, Any]:
        """The block as JSON-ready data: where it stands, and the report or an error."""
        where = {"heading": self.heading, "block_line": self.line}
        if self.report is None:
            return where | {"ok": self.verdict == EMPTY, "verdict": self.verdict, "error": self.message}
        return where | self.report.to_dict()


@dataclass(frozen=True)
class FileVerdicts:
    """The verdicts on every block of a Markdown file."""

    name: str
    blocks: list[BlockVerdict]
    seeds: int

    @property
    def tried_on(self) -> list[str]:
        """`3 random probes`, or `your inputs`."""
        return _probes(self.seeds) or ["your inputs"]

    @property
    def verdict(self) -> str:
        """The worst of the blocks: what is wrong, then UNUSABLE where a block cannot be read or nothing is stated, then
        what is undecided.
        """
        verdicts = [block.verdict for block in self.blocks if block.verdict != EMPTY] or [UNUSABLE]
        order = (*WRONG_VERDICTS, UNUSABLE, *(verdict for verdict in ORDER if verdict not in WRONG_VERDICTS))
        return next(verdict for verdict in order if verdict in verdicts)

    @property
    def ok(self) -> bool:
        """Whether every derivation in the file is right."""
        return EXIT.get(self.verdict) == 0

    def to_dict(self) -> dict[str, Any]:
        """All blocks as JSON-ready data."""
        return {"ok": self.ok, "verdict": self.verdict, "blocks": [block.to_dict() for block in self.blocks]}


def lengths_text(lengths: Mapping[str, int]) -> str:
    """`T = 4, S = 5`."""
    return ", ".join(f"{name} = {length}" for name, length in lengths.items())


def _probes(seeds: int) -> list[str]:
    return [f"{seeds} random probe{'s' if seeds != 1 else ''}"] if seeds else []


def _equation(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "line": row.line,
        "verdict": row.verdict,
        "mistake": row.mistake,
        "explanation": row.explanation,
        "correction": row.correction,
        "needs": list(row.needs),
        "assumptions": list(row.proof.assumptions) if row.proof else [],
        "why": row.why or (row.worst.why if row.worst else ""),
        "unproved": row.unproved,
        "terms": [_term(term) for term in row.terms],
        "steps": [
            {"t": s.t, "T": s.T, "verdict": s.verdict, "error": _number(s.error), "bound": _number(s.bound)}
            for s in row.steps
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


# -- the worst of several ---------------------------------------------------------------------------------------------
def overall(steps: list[StepVerdict]) -> str:
    """The verdict on an equation from those on its steps."""
    verdicts = {step.verdict for step in steps}
    return FAIL if FAIL in verdicts else PASS if verdicts == {PASS} else INCONCLUSIVE


def worst_step(steps: list[StepVerdict]) -> StepVerdict:
    """The step that says most against an equation, of several probes."""
    rank = {FAIL: 2, INCONCLUSIVE: 1, PASS: 0}
    return max(steps, key=lambda step: (rank[step.verdict], step.error - step.bound))
