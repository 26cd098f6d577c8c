"""The pytest plugin as a user meets it: in a process of its own, over a folder of files."""

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RIGHT = "sizes: h = 2\nh[t] = W @ h[t-1]\nL = sum(h[T])\ngradients:\ndW = sum(t, dh[t] @ h[t-1].T)\n"
RIGHT += "dh[T] = ones_like(h[T])\ndh[t] = W.T @ dh[t+1]    for t < T\n"
WRONG = RIGHT.replace("W.T @", "W @")
FORMULAS = r"$$h_t = \tanh(W h_{t-1} + U x_t)$$ $$a_t = W h_{t-1} + U x_t$$ $$L = \sum_{t=1}^T \ell(h_t)$$" "\n\n"
FALSE = FORMULAS.replace(r"$$a_t", r"$$\tanh'(a) = 1 + \tanh^2(a)$$ $$a_t")
FILES = {
    "right.rnn": RIGHT,
    "wrong.rnn": WRONG,
    "meant.rnn": f"# wrong: W for its transpose\n{WRONG}",
    "mended.rnn": f"# wrong\n{RIGHT}",
    "open.rnn": RIGHT.partition("gradients:")[0],
    "blocks.md": f"# Net\n```rnn\n{RIGHT}```\n```rnn wrong\n{WRONG}```\n# Other\n```rnn\nh[t] = = 1\n```\n",
    "false.md": FALSE,
    "meant.md": f"<!-- wrong -->\n{FALSE}",
    "meant.tex": f"% wrong\n{FALSE}",
    "plain.md": "# Nothing to judge\n",
    "broken.ipynb": "{",
    "test_own.py": "def test_own():\n    pass\n",
}


def run(folder: Path, *options: str) -> str:
    """What pytest prints over a folder, with a plugin that may not be installed yet."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tinygrad_rnn_pytest",
        "-p",
        "no:cacheprovider",
        *(options or ["-v"]),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return tmp_path


def outcomes(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^(\S+::\S+) (PASSED|FAILED|XFAIL|SKIPPED|ERROR)", printed, re.MULTILINE))


def test_nothing_is_collected_or_imported_until_asked(folder: Path) -> None:
    own = "import sys\ndef test_own():\n    assert 'tinygrad_rnn_pytest' in sys.modules\n"
    own += "    assert not {'numpy', 'tinygrad_rnn', 'graphviz'} & set(sys.modules)\n"
    (folder / "test_own.py").write_text(own, encoding="utf-8")
    assert outcomes(run(folder)) == {"test_own.py::test_own": "PASSED"}


def test_models_and_documents_are_items(folder: Path) -> None:
    (folder / "pytest.ini").write_text("[pytest]\nrnn = true\n", encoding="utf-8")
    printed = run(folder, "-v", "--rnn-notes", "--continue-on-collection-errors")
    assert outcomes(printed) == {
        "right.rnn::model": "PASSED",
        "wrong.rnn::model": "FAILED",
        "meant.rnn::model": "XFAIL",
        "mended.rnn::model": "FAILED",
        "open.rnn::model": "PASSED",
        "blocks.md::Net": "PASSED",
        "blocks.md::Net-2": "XFAIL",
        "blocks.md::Other": "FAILED",
        "false.md::formulas": "FAILED",
        "meant.md::formulas": "XFAIL",
        "meant.tex::formulas": "XFAIL",
        "test_own.py::test_own": "PASSED",
    }
    assert "XPASS(strict)" in printed and "Traceback" not in printed
    assert re.search(r"ERROR collecting broken\.ipynb", printed)
    assert re.search(r"false\.md:1:\d+: FAIL ", printed) and re.search(r"wrong\.rnn:7:1: FAIL dh\[t\]", printed)
    assert re.search(r"open\.rnn.*\n.*OpenClaimsWarning: nothing is wrong", printed)


def test_one_option_collects_one_kind(folder: Path) -> None:
    ids = set(re.findall(r"^\S+::\S+", run(folder, "--rnn", "--collect-only", "-q"), re.MULTILINE))
    models = {f"{name}::model" for name in FILES if name.endswith(".rnn")}
    assert ids == {"test_own.py::test_own", *models}


def test_the_entry_point_is_named_like_the_module() -> None:
    """Else `-p` and the entry point would register one module twice, which pytest refuses."""
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    assert settings["options.entry_points"]["pytest11"].strip() == "tinygrad_rnn_pytest = tinygrad_rnn_pytest"
    assert settings["options"]["py_modules"] == "tinygrad_rnn_pytest"
