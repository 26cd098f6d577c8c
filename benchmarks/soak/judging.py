"""What the package says to the soak's files, and where that is not as it has to be.

Each function takes seeds and counts into a `Tally`; a counterexample is kept with its whole file.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import tinygrad_rnn as tg
from benchmarks.soak import cases
from benchmarks.soak.cases import Case
from benchmarks.soak.numeric import World
from benchmarks.soak.reading import File, Unread, read
from tinygrad_rnn.core.errors import TinygradError
from tinygrad_rnn.verification.judge import judge

HOLDS = ("PASS", "PROVED")
#: lengths at which a printed derivation is compared with the complex step; none is a length it could be made from
OTHER_LENGTHS = (6, 8, 11)
#: what the prover may take for an equation
SECONDS = {"right": 2.0, "wrong": 0.4}
#: seconds after which a call is given up
LONGEST = 60


@dataclass
class Finding:
    """A counterexample: what was asked, what was said, and the file."""

    what: str
    seed: str
    said: str
    text: str

    def __str__(self) -> str:
        return f"# {self.what}\n# seed {self.seed}\n# {self.said}\n{self.text}"


@dataclass
class Tally:
    """Counts by title and verdict, and what was found."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    folder: Path | None = None
    kept: int = 0
    files: int = 0
    #: what the files are that are kept
    ending: str = ".rnn"
    #: numbers alone, without explanations, proofs and the certificate of the probe: several times as fast
    verdicts_only: bool = False
    #: documents with answer sheets
    notes: Path = Path()

    def verify(self, text: str) -> Any:
        """The package's report on a file."""
        if not self.verdicts_only:
            return tg.verify(text)
        with mock.patch("tinygrad_rnn.verification.judge.diagnose", lambda *_: None):
            return judge(text, T=None, seeds=1, certified=False)

    def count(self, title: str, verdict: str) -> None:
        self.counts.setdefault(title, Counter())[verdict] += 1

    def find(self, what: str, seed: str, said: str, text: str) -> None:
        self.findings.append(Finding(what, seed, " ".join(said.split()), text))
        self._keep(self.findings[-1])

    def note(self, what: str, seed: str, said: str, text: str) -> None:
        """What is no mistake but less than there could be: kept as a file, not told."""
        self._keep(Finding(what, seed, " ".join(said.split()), text))

    def _keep(self, finding: Finding) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.kept += 1
            name = f"{self.kept:04d}-{'-'.join(finding.what.split())}{self.ending}"
            (self.folder / name).write_text(str(finding) + "\n", encoding="utf-8")

    def all_of(self, *verdicts: str) -> int:
        return sum(count for counter in self.counts.values() for name, count in counter.items() if name in verdicts)


def _asked(call: Callable[[], Any], seed: str, text: str, tally: Tally) -> Any:
    """The answer; a text where the package refuses; None where it breaks or takes too long, which is a finding."""
    try:
        with ending(LONGEST):
            return call()
    except TinygradError as error:
        return str(error)
    except TimeoutError:
        tally.find("no answer in time", seed, f"none within {LONGEST} s", text)
        return None
    except Exception:
        tally.find("unexpected error", seed, traceback.format_exc(limit=-2), text)
        return None


@contextmanager
def ending(seconds: int) -> Iterator[None]:
    """Ends what takes longer, where the system has alarms and this is the main thread."""

    def stop(*_: Any) -> None:
        raise TimeoutError

    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge_right(seeds: Iterable[str], tally: Tally) -> None:
    """Right derivations, restated: no equation may FAIL, and most are to be PROVED."""
    for seed in seeds:
        case = cases.right(seed)
        report = _asked(lambda case=case: tally.verify(case.text), seed, case.text, tally)
        if isinstance(report, str):
            tally.count("the file", "refused")
            tally.find("right file refused", seed, report, case.text)
        if report is None or isinstance(report, str):
            continue
        tally.count("the file", report.verdict)
        if report.verdict not in (*HOLDS, "INCONCLUSIVE") and all(row.verdict in HOLDS for row in report.rows):
            tally.find(f"right file is {report.verdict}", seed, "all equations hold", case.text)
        for row in report.rows:
            rule = case.changes.get(row.line, "helper")
            tally.count(rule, row.verdict)
            if row.verdict not in (*HOLDS, "INCONCLUSIVE"):
                tally.find(f"right equation is {row.verdict}", seed, f"{rule}: line {row.line}: {row.text}", case.text)


def judge_wrong(seeds: Iterable[str], tally: Tally) -> None:
    """Wrong equations in files that are right otherwise: none may PASS; what corrections say has to be right."""
    for seed in seeds:
        case = cases.wrong(seed)
        if not case.changes:
            continue
        report = _asked(lambda case=case: tally.verify(case.text), seed, case.text, tally)
        if report is None or isinstance(report, str):
            tally.count("the file", "refused" if report else "error")
            continue
        rows = {row.line: row for row in report.rows}
        for line, name in case.changes.items():
            verdict = rows[line].verdict if line in rows else "no row"
            tally.count(name, verdict)
            if verdict in (*HOLDS, "no row"):
                tally.find(f"wrong equation is {verdict}", seed, f"{name}: line {line}", case.text)
        for row in report.rows:
            if row.line not in case.changes and row.verdict not in (*HOLDS, "INCONCLUSIVE", "CIRCULAR"):
                tally.find(f"right equation is {row.verdict}", seed, f"line {row.line}: {row.text}", case.text)
        _correct(case, report, seed, tally)


def _correct(case: Case, report: Any, seed: str, tally: Tally) -> None:
    """Apply all printed corrections at once; each has to make its equation hold."""
    corrections = {row.line: row.correction for row in report.rows if getattr(row, "correction", None)}
    for line in case.changes:
        tally.count("corrections", "printed" if line in corrections else "none")
    if not corrections:
        return
    lines = case.text.splitlines()
    for line, correction in corrections.items():
        lines[line - 1] = correction
    text = "\n".join(lines)
    again = _asked(lambda: tg.verify(text), seed, text, tally)
    if again is None or isinstance(again, str):
        tally.find("corrected file refused", seed, str(again), text)
        return
    verdicts = {row.line: row.verdict for row in again.rows}
    for line, correction in corrections.items():
        tally.count("corrections", "right" if verdicts.get(line) in HOLDS else "wrong")
        if verdicts.get(line) not in HOLDS:
            tally.find(
                "correction does not hold", seed, f"line {line} is {verdicts.get(line)}: {correction}", case.text
            )


def prove_random(seeds: Iterable[str], tally: Tally) -> None:
    """The prover alone, on right and wrong equations: it may refuse a right one, never prove a wrong one.

    A wrong one would never get to it, since numbers come first, so it is given less time for these.
    """
    from tinygrad_rnn.derivation.prover.prove import Budget, prove

    for seed in seeds:
        for case, kind in ((cases.right(seed), "right"), (cases.wrong(seed), "wrong")):
            budget = Budget(seconds=SECONDS[kind])
            model = _asked(lambda case=case: tg.load(case.text), seed, case.text, tally)
            if model is None or isinstance(model, str):
                continue
            for equation in model.gradients:
                change = case.changes.get(equation.line)
                if change is None:
                    continue
                proof = _asked(
                    lambda model=model, e=equation, budget=budget: prove(model, e, budget), seed, case.text, tally
                )
                said = "error" if proof is None else "refused" if isinstance(proof, str) else _word(proof)
                tally.count(f"{kind}: {change.removeprefix('late: ')}", said)
                if kind == "right" and said == "not proved":
                    tally.note("not proved", seed, f"{change}: line {equation.line}: {proof.reason}", case.text)
                if kind == "wrong" and said.startswith("PROVED"):
                    tally.find("wrong equation is proved", seed, f"{change}: line {equation.line}", case.text)


def _word(proof: Any) -> str:
    return ("PROVED if" if proof.assumptions else "PROVED") if proof.proved else "not proved"


def judge_derived(seeds: Iterable[str], tally: Tally) -> None:
    """Printed derivations of random models: compared with the complex step at lengths of the soak's own."""
    from random import Random

    for seed in seeds:
        file, shapes = cases.base(Random(seed))
        text = file.with_gradients([]).text()
        equations = _asked(lambda text=text: list(tg.derive(tg.load(text)).equations), seed, text, tally)
        if equations is None or isinstance(equations, str):
            tally.count("derivations", "refused" if equations else "error")
            if equations:
                tally.find("derivation refused", seed, equations, text)
            continue
        whole = text + "gradients:\n" + "\n".join(map(_said, equations)) + "\n"
        tally.count("derivations", _compared(whole, shapes, seed, tally))
        given = {name.strip() for name in file.headers.get("inputs", "").split(",")} | file.defined
        parameters = {e.name for e in file.gradients if not e.indices and e.name[1:] not in given}
        left_out = parameters - {_said(equation).partition("=")[0].strip() for equation in equations}
        if left_out:
            tally.find("gradient left out", seed, ", ".join(sorted(left_out)), whole)


def _compared(text: str, shapes: Any, seed: str, tally: Tally) -> str:
    try:
        file = read(text)
        for T in OTHER_LENGTHS:
            world = World(file, shapes, _lengths(file, T), T)
            for equation in file.gradients:
                if equation.name[1:] in shapes and any(e > 1e-5 or e != e for e in world.errors(equation).values()):
                    tally.find("derivation is wrong", seed, f"{equation} at T = {T}", text)
                    return "wrong"
    except Unread as error:
        tally.find("derivation cannot be read", seed, str(error), text)
        return "unread"
    return "right"


def _lengths(file: File, T: int) -> dict[str, int]:
    return {name: T if name == "T" else T + 3 for name in file.lengths}


def _said(equation: Any) -> str:
    from tinygrad_rnn.language.text.printer import text

    return equation if isinstance(equation, str) else text(equation)


__all__ = ["Tally", "judge_derived", "judge_right", "judge_wrong", "prove_random"]
