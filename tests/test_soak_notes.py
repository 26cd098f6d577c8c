"""The answer sheets of the lecture notes are about what stands in them, and the soak's slips change right claims."""

from __future__ import annotations

import json
from random import Random

import pytest

from benchmarks.soak import documents, note_damage, note_slips
from benchmarks.soak.note_answers import judged, weighed

DOCUMENTS = dict(documents.sheets(documents.FOLDER))
WORDS = {"PASS", "FAIL", "SCALAR", "CONDITIONAL", "UNATTACHED", "DISAGREE", "NOTATION", "ANY"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_claim_of_a_sheet_stands_at_its_line(path):
    sheet = json.loads(path.with_suffix(".expected.json").read_text(encoding="utf-8"))
    assert sheet["document"] == path.name
    assert {claim["expected"] for claim in DOCUMENTS[path]} <= WORDS
    assert sheet["right"] is not any(c["expected"] in ("FAIL", "SCALAR", "DISAGREE") for c in DOCUMENTS[path])
    for claim in DOCUMENTS[path]:
        assert note_slips.right_side(note_slips.source_of(path, claim)[0], claim) is not None, claim


def test_the_sheets_hold_what_an_empty_pass_would_show():
    claims = [claim for sheet in DOCUMENTS.values() for claim in sheet]
    guarded = [claim for claim in claims if claim["expected"] in ("CONDITIONAL", "UNATTACHED")]
    extended = [claim for claim in claims if "once the recurrence is extended" in claim.get("why", "")]
    assert len(guarded) >= 30 and len(extended) >= 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_passes_that_is_wrong_or_holds_under_a_condition_only(path):
    answer = judged(path)
    assert not answer.broken and answer.report, (answer.broken, answer.said)
    pairs = documents.paired(DOCUMENTS[path], answer.report["claims"])
    empty = [claim for claim, found in pairs if found and weighed(claim, found["verdict"]) == "empty PASS"]
    assert not empty


@pytest.mark.parametrize("name", note_slips.SLIPS)
def test_every_slip_changes_claims_and_nothing_else(name):
    changed = 0
    for path, claims in DOCUMENTS.items():
        for claim in claims:
            source, whole = note_slips.source_of(path, claim)
            start, end = note_slips.right_side(source, claim)
            text = note_slips.SLIPS[name](source[start:end], Random(0))
            changed += text is not None and text != source[start:end]
            assert whole(source) == path.read_text(encoding="utf-8") or path.suffix == ".ipynb"
    assert changed > 5


def test_claims_of_one_line_are_paired_in_order_or_by_likeness():
    asked = [{"line": 3, "latex": "a = b"}, {"line": 3, "latex": r"\delta_t = W^T \delta_{t+1}"}]
    found = [{"line": 3, "latex": r"\delta _t=W^T\delta_{t+1}", "verdict": "PASS"}]
    assert [pair[1] for pair in documents.paired(asked[1:], found)] == found
    assert documents.paired(asked[:1], []) == [(asked[0], None)]


@pytest.mark.parametrize(
    ("expected", "verdict", "word"),
    [
        ("PASS", "PROVED", "agreed"),
        ("PASS", "FAIL", "false alarm"),
        ("PASS", "CONDITIONAL", "not judged"),
        ("FAIL", "ILL-TYPED", "agreed"),
        ("FAIL", "PASS", "empty PASS"),
        ("FAIL", "UNREAD", "missed"),
        ("CONDITIONAL", "PASS", "empty PASS"),
        ("UNATTACHED", "PROVED", "empty PASS"),
    ],
)
def test_a_verdict_is_weighed_against_its_sheet(expected, verdict, word):
    assert weighed({"expected": expected}, verdict) == word


@pytest.mark.parametrize("name", [name for name in note_damage.DAMAGES if name != "huge"])
def test_damage_neither_breaks_the_command_nor_holds_it_up(name, tmp_path):
    text = next(iter(DOCUMENTS)).read_text(encoding="utf-8")
    for seed in range(3):
        file = tmp_path / f"{seed}.md"
        file.write_bytes(note_damage.DAMAGES[name](text, Random(seed)).encode("utf-8", "replace"))
        answer = documents.ask(file, note_damage.LONGEST)
        assert not answer.broken, (answer.broken, answer.said)
