"""Whether the mistake in a wrong derivation is found where it is, and called what it is.

The files of tests/corpus/wrong hold one mistake each and say, in comments, which equation has to be flagged and what
has to be said about it. What is said otherwise is listed, not left out.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tinygrad_rnn as tg
from benchmarks import table
from tinygrad_rnn.models import names, resolve

WRONG = Path(__file__).resolve().parents[1] / "tests" / "corpus" / "wrong"
TARGET = 0.9


@dataclass(frozen=True)
class Answer:
    """What is asked for one file, and what was said."""

    file: str
    model: str
    kind: str
    expected: str
    flagged: bool
    named: bool
    said: str


def main(write: bool) -> None:
    """Judge every file, print the tables, and keep them in docs/benchmarks.md unless told not to."""
    titles = {tg.load(resolve(name)).name: name for name in names()}
    answers = [answer(path, titles) for path in sorted(WRONG.glob("*.rnn"))]
    parts = [
        summary(answers),
        counted("model", answers, lambda found: found.model),
        counted("kind of mistake", answers, lambda found: found.kind),
        misses(answers),
    ]
    text = "\n\n".join(parts)
    print(text)
    if write:
        table.keep("diagnosis", text)


def answer(path: Path, titles: dict[str, str]) -> Answer:
    """Judge one file and compare with its comments; `titles` leads from a model's title to its name."""
    asked = dict(re.findall(r"^# (\w+): (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))
    model = tg.load(path)
    failed = [row for row in tg.verify(model).rows if row.verdict == "FAIL"]
    flagged = [row.name for row in failed] == [asked["flagged"]]
    said, named = "", False
    if flagged:
        (row,) = failed
        everywhere = [step.t for step in row.steps]
        wanted = [int(step) for step in asked["steps"].split(",")] if "steps" in asked else everywhere
        flagged = [step.t for step in row.steps if step.verdict == "FAIL"] == wanted
        said = f"{row.mistake}: {row.explanation}"
        named = row.mistake == asked["kind"] and _spaced(asked["expect"]) in _spaced(row.explanation)
    return Answer(path.stem, titles[model.name], asked["kind"], asked["expect"], flagged, named, said)


def summary(answers: Sequence[Answer]) -> str:
    """One sentence."""
    flagged, named = (sum(getattr(found, column) for found in answers) for column in ("flagged", "named"))
    return (
        f"{len(answers)} files, T = 4, 3 probes each. Flagged rightly: {flagged} of {len(answers)} (target: all). "
        f"Named rightly: {named} of {len(answers)}, {named / len(answers):.1%} (target: {TARGET:.0%})."
    )


def counted(title: str, answers: Iterable[Answer], group: Callable[[Answer], str]) -> str:
    """A table of counts for each group."""
    files, flagged, named = Counter[str](), Counter[str](), Counter[str]()
    for found in answers:
        files[group(found)] += 1
        flagged[group(found)] += found.flagged
        named[group(found)] += found.named
    rows = [[name, str(files[name]), str(flagged[name]), str(named[name])] for name in sorted(files)]
    return table.aligned([title, "files", "flagged", "named"], rows)


def misses(answers: Iterable[Answer]) -> str:
    """What was said where something else was asked for."""
    rows = [
        [found.file, f"{found.kind}: `{found.expected}`", found.said or "not flagged"]
        for found in answers
        if not (found.flagged and found.named)
    ]
    return "Not as asked:\n\n" + table.aligned(["file", "asked for", "said"], rows) if rows else "No misses."


def _spaced(words: str) -> str:
    return " ".join(words.split())
