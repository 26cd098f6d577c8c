"""Every demo runs as a reader would run it, writes its picture and prints its number."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.gallery.systems import ROOT, around, systems

DEMOS = sorted((ROOT / "demos").glob("*.py"))
each_demo = pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.stem)


@each_demo
def test_the_demo_runs_writes_its_picture_and_prints_its_number(demo: Path, tmp_path: Path) -> None:
    if ".plot(" in demo.read_text(encoding="utf-8"):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[train]'")
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error", str(demo), str(tmp_path / "pictures")]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | one_thread, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = [file for file in (tmp_path / "pictures").iterdir() if file.stat().st_size > 500]
    assert written, "no picture"
    assert re.search(r"\d", done.stdout), "no number"
    assert [file.name for file in tmp_path.iterdir()] == ["pictures"], "a demo writes into its folder only"


@each_demo
def test_the_demo_is_one_page_that_says_what_one_learns(demo: Path) -> None:
    text = demo.read_text(encoding="utf-8")
    said = ast.get_docstring(ast.parse(text)) or ""
    assert len(text.splitlines()) < 60
    assert f"python demos/{demo.name} [folder]" in said
    assert len(said.splitlines()[0]) <= 120 and said.count("\n") >= 3


@each_demo
def test_the_demo_uses_public_names_only(demo: Path) -> None:
    tree = ast.parse(demo.read_text(encoding="utf-8"))
    used = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    taken = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert [name for name in [*used, *taken] if name.startswith("_") and not name.startswith("__")] == []


def test_demos_are_numbered_without_gaps() -> None:
    assert [int(demo.name[:2]) for demo in DEMOS] == list(range(1, len(DEMOS) + 1))


def test_every_demo_is_listed() -> None:
    assert {demo.name for demo in DEMOS} == {entry.demo for entry in [*systems(), *around()]}
