"""A document judged from the command line: text, data, annotations, exit codes, and the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tinygrad_rnn import cli

FORWARD = r"""# Echo <script>alert(1)</script>

The state is
$$h_t = \tanh(W h_{t-1} + U x_t + b), \qquad L = \sum_{t=1}^T \frac{1}{2} (h_t - y_t)^\top (h_t - y_t).$$

With $a_t = W h_{t-1} + U x_t + b$ and $\delta_t = \frac{\partial L}{\partial a_t}$:

"""
RIGHT = r"$$\frac{\partial L}{\partial W} = \sum_{t=1}^T \delta_t h_{t-1}^\top$$" + "\n"
WRONG = r"$$\frac{\partial L}{\partial U} = \sum_{t=1}^T \delta_t x_{t-1}^\top$$" + "\n"
BLOCK = "\n```rnn\nsizes: h = 2\nh[t] = W @ h[t-1]\nL = sum(h[T])\ngradients:\ndW = W\n```\n"


def run(capsys: Any, tmp_path: Path, text: str, *options: str, name: str = "notes.md") -> tuple[int, str]:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    code = cli.main(["verify", str(file), *options])
    return code, capsys.readouterr().out


def test_a_wrong_claim_is_told_at_its_line_and_a_right_one_passes(capsys: Any, tmp_path: Path) -> None:
    code, said = run(capsys, tmp_path, FORWARD + RIGHT)
    assert (code, re.findall(r"md:(\d+):\d+: (\w+)", said)) == (0, [("6", "NOTATION"), ("8", "PASS")])
    code, said = run(capsys, tmp_path, FORWARD + RIGHT + WRONG)
    assert code == 1
    assert re.findall(r"md:(\d+):\d+: (\w+)", said)[-1] == ("9", "FAIL")


def test_json_has_claims_and_blocks_and_both_count(capsys: Any, tmp_path: Path) -> None:
    code, said = run(capsys, tmp_path, FORWARD + RIGHT + BLOCK, "--json")
    found = json.loads(said)
    assert (code, found["ok"]) == (1, False)
    assert [(claim["line"], claim["cell"], claim["verdict"]) for claim in found["claims"]][-1] == (8, None, "PASS")
    assert [block["verdict"] for block in found["blocks"]] == ["FAIL"]
    assert {"line", "column", "cell", "latex", "verdict", "model", "reading", "explanation"} <= found["claims"][
        0
    ].keys()
    assert {"ok", "file", "conventions", "models", "claims", "blocks"} <= found.keys()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no formula at all", 2), ("$h_t$ and nothing claimed", 3), (FORWARD, 3), (FORWARD + "$$a = \\foo$$", 3),
        (FORWARD + RIGHT + r"$$\frac{\partial L}{\partial V} = \sum_t \delta_t q_t^\top$$", 3),
    ],
)  # fmt: skip
def test_exit_codes(capsys: Any, tmp_path: Path, text: str, code: int) -> None:
    assert run(capsys, tmp_path, text)[0] == code


def test_a_line_that_states_a_convention_is_refused_not_read_past(capsys: Any, tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    for stated in ("<!-- rnn: rows -->\n", "---\nrnn: loss = E\n---\n"):
        file.write_text(stated + FORWARD + RIGHT, encoding="utf-8")
        assert cli.main(["verify", str(file)]) == 2
        assert re.search(r"notes\.md:\d+:1: conventions cannot be stated yet", capsys.readouterr().err)


def test_annotations_and_explanations(capsys: Any, tmp_path: Path) -> None:
    code, said = run(capsys, tmp_path, FORWARD + WRONG, "--github")
    assert code == 1
    assert re.search(r"^::error file=.*notes\.md,line=8,col=\d+,title=FAIL::", said, re.MULTILINE)
    _, said = run(capsys, tmp_path, FORWARD + WRONG, "--explain", "8")
    assert "line 8: Dpartial(L; U) = sum[t = 1..T]([delta_t · x_{+ t - 1}^top])" in said


def test_the_page_shows_every_formula_and_runs_nothing(capsys: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run(
        capsys,
        tmp_path,
        FORWARD + RIGHT + WRONG + "here $\\odot$ is $$a = \\foo$$ ]]>&lt;b onload=x&gt;\n",
        "--html",
        str(page),
    )
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?!#)\w", text)
    assert "&lt;script&gt;" in text
    assert text.count('class="line wrong"') == 1
    assert "\\foo is no command" in unescape(text)
    for tag in ("math", "mrow", "mfrac", "msub", "div", "p", "li"):
        assert len(re.findall(rf"<{tag}\b", text)) == text.count(f"</{tag}>"), tag
    assert text.count("<math") >= 7
    assert "<mo>⊙</mo>" in text


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_shows_the_page_without_a_complaint(capsys: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run(capsys, tmp_path, FORWARD + RIGHT + WRONG, "--html", str(page))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=500,900",
        "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count("<math") == page.read_text(encoding="utf-8").count("<math")
