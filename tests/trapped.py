"""The corpus of traps: equations made to fool a judge or a prover, and right ones in unusual forms.

A file of tests/traps has a model, its right gradients, and traps. A trap starts with `== VERDICT: title`; what it
states takes the place of the right equations for the same quantities (`- dh` takes one out). The verdict is that of
each of its equations, unless a comment behind an equation gives another:

    PASS       PASS or PROVED; `holds` is the same for what a prover is not asked to prove
    FAIL ...   that verdict
    wrong      neither PASS nor PROVED
    unproved   not PROVED: right at the lengths and numbers people try, not everywhere
    any        whatever it is

`alone` stands for traps that are judged in a file of their own: circles, and verdicts of a whole file (`file ...`).
Several others are put into one file as long as they state different quantities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "traps"
HOLDS = ("PASS", "PROVED")


@dataclass
class Trap:
    """One trap: what is expected of the file and of each of its lines."""

    title: str
    expected: str
    alone: bool
    lines: list[tuple[str, str]] = field(default_factory=list)
    without: set[str] = field(default_factory=set)

    @property
    def states(self) -> set[str]:
        return {name_of(line) for line, _ in self.lines} | self.without

    @property
    def largest(self) -> int:
        """The largest number in it: it may say something of so many steps."""
        said = " ".join(line for line, _ in self.lines)
        return max(map(int, re.findall(r"(?<![\w.])\d+(?!\w)", said)), default=0)

    @property
    def proofs(self) -> bool:
        """Whether more than numbers is asked."""
        return self.expected == "unproved"

    @property
    def long(self) -> bool:
        """Whether it asks for more steps than the others."""
        return self.largest > 10


@dataclass
class Corpus:
    """One file of the corpus."""

    name: str
    model: list[str]
    right: list[str]
    traps: list[Trap]


@dataclass
class Case:
    """A text to be judged, and what is expected: of lines by their number, of the file where that is asked."""

    title: str
    text: str
    rows: dict[int, tuple[str, str]]
    file: str = ""
    #: whether the prover is asked, too
    proofs: bool = False


def name_of(line: str) -> str:
    """The quantity that a line states: dh of `dh[t] = ...`."""
    return re.match(r"\w+", line.strip())[0]  # type: ignore[index]


def corpora() -> list[Corpus]:
    """All files of the corpus."""
    return [_read(path) for path in sorted(FOLDER.glob("*.txt"))]


def _read(path: Path) -> Corpus:
    corpus, into = Corpus(path.stem, [], [], []), None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            into = line[3:]
            if into not in ("model", "right"):
                verdict, _, title = into.partition(": ")
                corpus.traps.append(Trap(title, verdict.removesuffix(" alone"), verdict.endswith(" alone")))
        elif not line.strip() or into is None:
            continue
        elif into in ("model", "right"):
            getattr(corpus, into).append(line)
        elif line.startswith("- "):
            corpus.traps[-1].without.add(line[2:].strip())
        else:
            equation, _, comment = line.partition("#")
            expected = comment.strip().replace("right", "PASS") or corpus.traps[-1].expected
            corpus.traps[-1].lines.append((equation.rstrip(), expected))
    return corpus


def single(corpus: Corpus, trap: Trap) -> Case:
    """A trap in a file of its own."""
    return _case(corpus, [trap])


def cases() -> Iterator[Case]:
    """All traps, in as few files as can be."""
    for corpus in corpora():
        packs: list[list[Trap]] = []
        for trap in corpus.traps:
            for pack in packs if not trap.alone else []:
                apart = not any(trap.states & other.states or other.alone or other.long != trap.long for other in pack)
                if apart and trap.proofs == pack[0].proofs:
                    pack.append(trap)
                    break
            else:
                packs.append([trap])
        for pack in packs:
            yield _case(corpus, pack)


def _case(corpus: Corpus, traps: list[Trap]) -> Case:
    stated = set().union(*(trap.states for trap in traps))
    lines = [*corpus.model, "gradients:", *(line for line in corpus.right if name_of(line) not in stated)]
    rows = {}
    for trap in traps:
        for line, expected in trap.lines:
            lines.append(line)
            rows[len(lines)] = (trap.title, "any" if expected.startswith("file") else expected)
    whole = next((trap.expected.removeprefix("file ") for trap in traps if trap.expected.startswith("file ")), "")
    title = f"{corpus.name}: {traps[0].title}" + (f" and {len(traps) - 1} more" if len(traps) > 1 else "")
    return Case(title, "\n".join(lines) + "\n", rows, whole, traps[0].proofs)


def as_expected(expected: str, verdict: str) -> bool:
    """Whether a verdict is what a trap asks for."""
    match expected:
        case "any":
            return True
        case "PASS" | "holds":
            return verdict in HOLDS
        case "wrong":
            return verdict not in HOLDS
        case "unproved":
            return verdict != "PROVED"
    return verdict == expected
