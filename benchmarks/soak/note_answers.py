"""Answer sheets: what the judge says of each claim of a document, against what a careful reader found.

An empty PASS, of what is wrong or holds under a condition only, is the worst.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.soak.documents import HOLDS, WRONG, Answer, ask, paired, sheets
from benchmarks.soak.judging import Tally


def compare_sheets(seeds: Iterator[str], tally: Tally) -> None:
    """One document for each seed, in the order of their names, and no more than there are."""
    for (path, expected), _ in zip(sheets(tally.notes), seeds, strict=False):
        answer = judged(path)
        if answer.broken or not answer.report:
            tally.count(path.name, "no report")
            tally.find(answer.broken or "no report", path.name, answer.said, "")
            continue
        for claim, found in paired(expected, answer.report["claims"]):
            verdict = found["verdict"] if found else "no claim"
            word = weighed(claim, verdict)
            tally.count(path.name, word)
            if word not in ("agreed", "open"):
                place = f"{path.name}:{claim['line']}" + (f" of cell {claim['cell']}" if "cell" in claim else "")
                said = f"{claim['latex']} is {claim['expected']}, judged {verdict}: {(found or {}).get('explanation')}"
                tally.find(word, place, said, "")


def judged(path: Path) -> Answer:
    """A document with the files beside it, judged in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.iterdir():
            if file.suffix == ".tex" or file == path:
                shutil.copy(file, folder)
        return ask(Path(folder) / path.name, 120.0)


def weighed(claim: dict[str, Any], verdict: str) -> str:
    """A verdict against the sheet: agreed, false alarm, missed, empty PASS, not judged, or open where both are fair."""
    expected, fair = claim["expected"], claim.get("accept", [])
    if expected == "ANY":
        return "open"
    if verdict == expected or verdict in fair or ("FAIL" in fair and verdict in WRONG):
        return "agreed"
    if verdict in HOLDS:
        return "agreed" if expected in ("PASS", "NOTATION") else "empty PASS"
    if verdict in WRONG:
        return "agreed" if expected in ("FAIL", "SCALAR", "DISAGREE") else "false alarm"
    return "missed" if expected in ("FAIL", "SCALAR") else "agreed" if expected == "NOTATION" else "not judged"
