"""The corpus of wrong derivations: each file holds one classic mistake and names, in a comment, the equation to be flagged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tinygrad_rnn as tg

CORPUS = Path(__file__).parent / "corpus"
WRONG = sorted((CORPUS / "wrong").glob("*.rnn"))
ILLTYPED = sorted((CORPUS / "illtyped").glob("*.rnn"))


def header(path: Path, key: str) -> str:
    found = re.search(rf"^# {key}: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{path.name} does not say '# {key}:'"
    return found.group(1).strip()


def test_the_corpus_is_large_enough():
    assert len(WRONG) >= 12
    assert ILLTYPED


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_the_wrong_equation_is_flagged_and_no_other(path):
    report = tg.verify(path)
    assert [row.name for row in report.rows if row.verdict == "FAIL"] == [header(path, "flagged")]
    assert all(row.verdict == "PASS" for row in report.rows if row.name != header(path, "flagged"))
    assert not report.ok


@pytest.mark.parametrize("path", ILLTYPED, ids=lambda path: path.stem)
def test_an_ill_typed_equation_is_refused_with_both_shapes(path):
    with pytest.raises(tg.LanguageError, match=r"\d+ x \d+.*\d+ x \d+") as caught:
        tg.verify(path)
    assert caught.value.line > 1
