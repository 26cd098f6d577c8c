"""Delimiters, damage and prose around formulas: small documents with one right claim, found at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import documents

MODEL = "$$h_t = \\tanh(W h_{t-1} + U x_t + b)$$\n\n$$L = \\sum_{t=1}^{T} \\ell(h_t)$$\n\n"
RIGHT = r"\frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(1 - h_t^2) W"
WRONG = r"\frac{\partial h_t}{\partial h_{t-1}} = W \mathrm{diag}(1 - h_t^2)"
#: name -> what stands behind the model (from line 5 on), the line of the claim
DELIMITERS = {
    "dollars that touch characters": (f"可见${RIGHT}$成立。\n", 5),
    "two dollars within a line": (f"so that $${RIGHT}$$ holds.\n", 5),
    "dollars on lines of their own": (f"$$\n{RIGHT}\n$$\n", 6),
    "round brackets": (f"so \\( {RIGHT} \\) holds\n", 5),
    "square brackets": (f"\\[\n{RIGHT}\n\\]\n", 6),
    "brackets of kramdown": (f"\\\\[ {RIGHT} \\\\]\n", 5),
    "a fence of math": (f"```math\n{RIGHT}\n```\n", 6),
    "a bare environment": (f"\\begin{{align}}\n{RIGHT.replace('=', '&=', 1)} \\\\\n\\end{{align}}\n", 6),
    "an environment with a star": (f"\\begin{{equation*}}\n  {RIGHT}\n\\end{{equation*}}\n", 6),
    "a quotation": (f"> As one sees,\n>\n> $${RIGHT}$$\n", 7),
    "an item": (f"1. first\n2. then\n   $${RIGHT}$$\n", 7),
    "a tag and a label": (f"$${RIGHT} \\tag{{7}} \\label{{eq:j}}$$\n", 5),
    "prices": (f"It costs $5, or $6 with tax.\n\n$${RIGHT}$$\n", 7),
    "an escaped dollar": (f"It costs \\$5.\n\n$${RIGHT}$$\n", 7),
    "code that is no mathematics": (f"`$h_t = 0$`\n\n```python\nh = '$$ h_t = 3 $$'\n```\n\n$${RIGHT}$$\n", 11),
    "a formula that ends in the middle": (f"$$\\frac{{\\partial h_t}}{{ = W$$\n\n$${RIGHT}$$\n", 7),
    "brackets that do not close": (f"$$h_t = (W h_{{t-1}}$$\n\n$${RIGHT}$$\n", 7),
    "a script in a heading": (f"# <script>alert(1)</script>\n\n$${RIGHT}$$\n", 7),
    "spaces that a converter put": (f"$$ {RIGHT.replace('_', ' _ ')} $$\n", 5),
}


def judged(tmp_path: Path, text: str, ending: str = ".md") -> list[tuple[int, str]]:
    file = tmp_path / f"notes{ending}"
    file.write_bytes(text.encode("utf-8"))
    answer = documents.ask(file)
    assert not answer.broken and answer.report, (answer.broken, answer.said)
    return [(claim["line"], claim["verdict"]) for claim in answer.report["claims"]]


@pytest.mark.parametrize("name", DELIMITERS)
def test_a_claim_is_found_at_its_line(name, tmp_path):
    behind, line = DELIMITERS[name]
    found = judged(tmp_path, MODEL + behind)
    assert any(at == line and verdict in documents.HOLDS for at, verdict in found), found
    parts = behind.replace("&=", "=").replace(" _ ", "_").partition(RIGHT)
    found = judged(tmp_path, MODEL + parts[0] + WRONG + parts[2])
    assert not any(at == line and verdict in documents.HOLDS for at, verdict in found), found


@pytest.mark.parametrize("change", ["crlf", "mark", "plain text", "tex"])
def test_line_ends_marks_and_endings_change_nothing(change, tmp_path):
    text = f"{MODEL}$${RIGHT}$$\n"
    if change == "tex":
        text = f"% $${WRONG}$$\n{text}"
    text = {"crlf": text.replace("\n", "\r\n"), "mark": "\ufeff" + text}.get(change, text)
    found = judged(tmp_path, text, {"plain text": ".txt", "tex": ".tex"}.get(change, ".md"))
    assert [verdict for _, verdict in found if verdict not in ("NOTATION",)] in (["PASS"], ["PROVED"]), found
