"""Every formula of document 004 is found from docs/nn.md: section, class or function, equation file."""

from __future__ import annotations

import inspect
import re
from functools import reduce
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "nn.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Document 004, section by section")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in TABLE.splitlines() if line[:2] == "| "
]
#: the sections with something to compute
SECTIONS = {
    "1", "2.1.1", "2.1.2", "2.1.3", "2.2", "2.2.1–2.2.3", "2.3", "2.4", "2.5.1", "2.5.2", "2.6", "2.7", "2.8", "3.1",
    "3.2.1", "3.2.2", "3.2.3", "3.3", "3.4", "4.1", "5", "6.2", "7.1.1", "7.1.2", "7.1.3", "7.2.1–7.2.3", "8",
}  # fmt: skip
#: questions and rules about any system, no system themselves
WITHOUT_FILE = {"3.1, item 3", "3.3", "3.4", "6.2, item 2"}


def named(code: str) -> object:
    """What `nn.LSTMCell` or `tg.train.clip.by_norm` stands for."""
    first, *rest = code.split(".")
    return reduce(getattr, rest, {"nn": nn, "tg": tg}[first])


def test_every_section_has_a_row() -> None:
    assert {row[0].partition(",")[0] for row in ROWS[1:]} == SECTIONS


@pytest.mark.parametrize("row", ROWS[1:], ids=lambda row: row[0])
def test_a_row_leads_to_code_and_to_equations(row: list[str]) -> None:
    section, _, code, files = row
    names = re.findall(r"\b(?:nn|tg)(?:\.\w+)+", code)
    assert names and all(callable(named(name)) for name in names)
    links = re.findall(r"\[(\w+)\]\(([^)]+)\)", files)
    assert bool(links) != (section in WITHOUT_FILE)
    assert all((DOCS / path).is_file() and path.endswith(f"/{name}.rnn") for name, path in links)


def test_every_class_of_a_formula_and_every_option_in_the_page_exists() -> None:
    for cell, option in re.findall(r"`(?:nn\.)?([A-Z]\w+)\((?:[^`()]*?, )?(\w+)=", TABLE):
        given = inspect.signature(getattr(nn, cell)).parameters
        assert option in given or "noise" in given, f"{cell} has no {option}"


def test_every_shipped_system_of_document_004_is_in_the_table() -> None:
    listed = set(re.findall(r"/(\w+)\.rnn\)", TABLE))
    shipped = {path.stem for path in (DOCS.parent / "tinygrad_rnn" / "models").glob("*.rnn")}
    assert shipped - listed <= {"lstm_002", "lstm_003"}, "these two are other documents' letters for the LSTM"
