"""The laws of the tests on all of their cases; each run of the tests looks at a sample (`tests/sweep.py`)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.soak.judging import Tally

TESTS = Path(__file__).resolve().parents[2] / "tests"


def check(seeds: Iterable[str], tally: Tally) -> None:
    """Run one test file for each seed, in turn: each that samples its cases."""
    sampled = [path for path in sorted(TESTS.glob("test_*.py")) if "tests.sweep" in path.read_text(encoding="utf-8")]
    for seed, path in zip(seeds, sampled, strict=False):
        for law, verdict, said in _every_case_of(path):
            tally.count(path.stem, verdict)
            if verdict == "failed":
                tally.find(f"a law fails: {law}", seed, said, law)


def _every_case_of(path: Path) -> list[tuple[str, str, str]]:
    """Test, `held`, `failed` or `skipped`, and what was said."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={written}", str(path)]
        environment = os.environ | {"TINYGRAD_RNN_EVERY_CASE": "1"}
        done = subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False)
        if not written.exists():
            return [(path.stem, "failed", done.stdout[-300:] + done.stderr[-300:])]
        cases = ElementTree.parse(written).getroot().iter("testcase")
        return [(f"{path.stem}::{case.get('name')}", *_outcome(case)) for case in cases]


def _outcome(case: ElementTree.Element) -> tuple[str, str]:
    for verdict, tags in {"failed": ("failure", "error"), "skipped": ("skipped",)}.items():
        for tag in tags:
            if (element := case.find(tag)) is not None:
                return verdict, element.get("message") or ""
    return "held", ""
