"""Every demo runs as a reader would run it, writes its picture and prints its number."""

from __future__ import annotations

import ast
import io
import os
import re
import runpy
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

from docs.gallery.systems import ROOT, around, systems
from tests.sweep import sample

DEMOS = sorted((ROOT / "demos").glob("*.py"))
#: run to their end in a process of their own
WHOLE = sample(DEMOS, 2, "whole", always=DEMOS[:1])
each_demo = pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.stem)


#: loops of so many rounds are training
MANY = 100


class FewRounds(ast.NodeTransformer):
    """A demo whose training ends after three rounds: what it calls is the same, and it takes a tenth of the time."""

    def visit_For(self, node: ast.For) -> ast.For:
        self.generic_visit(node)
        rounds = ast.unparse(node.iter)
        if rounds == "range(UPDATES)" or any(bound >= MANY for bound in self._bounds(node.iter)):
            node.iter = ast.parse(f"[*{rounds}[:2], {rounds}[-1]]", mode="eval").body
        return node

    @staticmethod
    def _bounds(iterated: ast.expr) -> list[int]:
        """The whole numbers of a `range`."""
        called = isinstance(iterated, ast.Call) and ast.unparse(iterated.func) == "range"
        given = iterated.args if called else []
        return [bound.value for bound in given if isinstance(bound, ast.Constant) and isinstance(bound.value, int)]


def run_as_a_reader_would(demo: Path, folder: Path) -> str:
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error", str(demo), "pictures"]
    done = subprocess.run(command, cwd=folder, env=os.environ | one_thread, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_shortly(demo: Path, elsewhere: Path) -> str:
    """In this process, with little training; the shortened demo stands elsewhere."""
    short = elsewhere / demo.name
    short.write_text(ast.unparse(FewRounds().visit(ast.parse(demo.read_text(encoding="utf-8")))), encoding="utf-8")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()) as printed, mock.patch("sys.argv", ["", "pictures"]):
        warnings.simplefilter("error")
        runpy.run_path(str(short), run_name="__main__")
    return printed.getvalue()


@pytest.mark.slow
@each_demo
def test_the_demo_runs_writes_its_picture_and_prints_its_number(
    demo: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ".plot(" in demo.read_text(encoding="utf-8"):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[train]'")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    printed = (
        run_as_a_reader_would(demo, tmp_path) if demo in WHOLE else run_shortly(demo, tmp_path_factory.mktemp("short"))
    )
    written = [file for file in (tmp_path / "pictures").iterdir() if file.stat().st_size > 500]
    assert written, "no picture"
    assert re.search(r"\d", printed), "no number"
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
