"""Lecture notes as the command line judges them: one document in a child process, with a bound on time and memory.

Also the answer sheets beside documents, and which claim of a report is which of a sheet.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from tinygrad_rnn import cli
from tinygrad_rnn.notes import verify_document  # noqa: F401 - the command imports it late; each child would anew

if sys.platform != "win32":
    import resource

#: the documents whose sheets are looked at unless a folder is given
FOLDER = Path(__file__).resolve().parents[2] / "tests" / "notes"
ENDINGS = (".md", ".tex", ".ipynb", ".txt")
WRONG = ("FAIL", "ILL-TYPED", "SCALAR", "CIRCULAR", "DISAGREE")
HOLDS = ("PASS", "PROVED")
#: how a letter looks, what only spaces, and what a sheet leaves out
_DRESS = re.compile(
    r"\\(?:mathbf|mathrm|mathcal|boldsymbol|text|mathit|underbrace|left|right|[bB]igg?[lr]?|displaystyle)\b|\\[,;!]"
)
#: bytes that judging one document may take beyond what the process has already
MEMORY = 4 << 30


@dataclass
class Answer:
    """What the command said: its exit code (None where it was ended), its object, its words, and how it was ended."""

    code: int | None
    report: dict[str, Any]
    said: str

    @property
    def broken(self) -> str:
        """What must never happen, in words; empty where it did not."""
        if self.code is None:
            return "no answer in time"
        if self.code < 0 or self.code == cli.UNEXPECTED or "Traceback" in self.said or "more memory than" in self.said:
            return "unexpected error"
        return ""


def ask(path: Path, seconds: float = 60.0) -> Answer:
    """`verify PATH --json` in a child of this process, which is ended after so many seconds."""
    out, said = path.with_name(path.name + ".out"), path.with_name(path.name + ".err")
    child = multiprocessing.get_context("fork").Process(target=_verify, args=(str(path), str(out), str(said)))
    child.start()
    child.join(seconds)
    ended = child.is_alive()
    if ended:
        child.kill()
        child.join()
    words = said.read_text(encoding="utf-8", errors="replace") if said.exists() else ""
    try:
        report = json.loads(out.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        report = {}
    return Answer(None if ended else child.exitcode, report, words)


def _verify(path: str, out: str, said: str) -> None:
    if sys.platform != "win32":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    for name, stream in ((out, 1), (said, 2)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8")
    code = cli.main(["verify", path, "--json"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the parent's buffers and exit handlers are not the child's


# -- answer sheets ----------------------------------------------------------------------------------------------------
def sheets(folder: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Every document of a folder that has an answer sheet, and the sheet's claims."""
    for sheet in sorted(folder.glob("*.expected.json")):
        stem = sheet.name.removesuffix(".expected.json")
        for path in (folder / (stem + ending) for ending in ENDINGS):
            if path.exists():
                yield path, json.loads(sheet.read_text(encoding="utf-8"))["claims"]


def paired(
    expected: list[dict[str, Any]], found: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Each claim of the sheet with the one of the report at its line: in order where there are as many, else the
    most alike.
    """
    lines: dict[tuple[Any, int], list[dict[str, Any]]] = defaultdict(list)
    asked: dict[tuple[Any, int], list[dict[str, Any]]] = defaultdict(list)
    for claim in found:
        lines[claim.get("cell"), claim["line"]].append(claim)
    for claim in expected:
        asked[claim.get("cell"), claim["line"]].append(claim)
    pairs = []
    for place, claims in asked.items():
        rest = list(lines[place])
        if len(rest) == len(claims):
            pairs += list(zip(claims, rest, strict=True))
            continue
        for claim in claims:
            best = max(rest, key=lambda other: likeness(claim["latex"], other["latex"]), default=None)
            pairs.append((claim, best))
            if best is not None:
                rest.remove(best)
    return pairs


def likeness(a: str, b: str) -> float:
    """How much two formulas are the same letters, between 0 and 1; blanks, braces and alignment do not count."""
    return SequenceMatcher(None, _letters(a), _letters(b), autojunk=False).ratio()


def _letters(latex: str) -> str:
    return _DRESS.sub("", latex).translate(str.maketrans("", "", " \n\t{}&")).removeprefix("...")
