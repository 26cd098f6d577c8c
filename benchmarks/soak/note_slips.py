"""Right claims of lecture notes, changed on the source text by one of the mistakes that people make."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.soak.documents import HOLDS, WRONG, ask, likeness, paired, sheets
from benchmarks.soak.judging import Tally
from benchmarks.soak.note_answers import judged

#: the right side of a link -> one changed version, or None where the mistake does not fit
Slip = Callable[[str, Random], str | None]
SLIPS: dict[str, Slip] = {}
#: how alike the source and the sheet must be for a link to be found
ALIKE = 0.7
_TRANSPOSE = re.compile(r"\^(\\top\b|\{\s*(?:\\top|T|\\mathsf\{?T\}?)\s*\}|T(?![a-z]))|\\T\b")
_SIGN = re.compile(r"(?<![_^{(,\w])\s[-+]\s")
_STEP = re.compile(r"(?<=[{(<,])\s*([tjk])\s*(?:([-+])\s*1)?\s*(?=[})>,])|(?<=[_^])([tjk])(?!\w)")
_NAME = re.compile(r"(?<![\\A-Za-z{])([a-zA-Z])(?=_\{?t|\^\{[(<]?t|\^\{?\(?t)")
_SLOPE = re.compile(r"\(1\s*-\s*((?:[^()]|\([^()]*\))+?)\)")
_SUM = re.compile(r"\\sum(?:\\limits)?_\{[^{}]*\}(?:\^\{[^{}]*\}|\^\w)?")
_SCRIPT = re.compile(r"_\{[^{}]*\}")
_LINK = re.compile(r"(?<![\\<>!:+])=|\\approx\b")
_ROW_END = re.compile(r"\\\\(?=\s|\[|$)|\$\$|\\\]|\\end\{|\n\s*\n|```")
_END = re.compile(r"\\\\(?=\s|\[|$)|\$|\\\]|\\\)|\\end\{|\\qquad|\\quad|`|,\s*$", re.MULTILINE)


def slip(name: str) -> Callable[[Slip], Slip]:
    """Enter a mistake into the table."""

    def keep(function: Slip) -> Slip:
        SLIPS[name] = function
        return function

    return keep


def _drawn(pattern: re.Pattern[str], text: str, rng: Random) -> re.Match[str] | None:
    """One of the matches outside of the bounds of sums, which say over what, not what."""
    bounds = [match.span() for match in _SUM.finditer(text)] if pattern is not _SUM else []
    found = [m for m in pattern.finditer(text) if not any(start <= m.start() < end for start, end in bounds)]
    return rng.choice(found) if found else None


def _put(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


@slip("transpose dropped")
def _transpose(rhs: str, rng: Random) -> str | None:
    match = _drawn(_TRANSPOSE, rhs, rng)
    return _put(rhs, match, "") if match else None


@slip("sign")
def _sign(rhs: str, rng: Random) -> str | None:
    match = _drawn(_SIGN, rhs, rng)
    return _put(rhs, match, match[0].translate(str.maketrans("+-", "-+"))) if match else "-" + rhs


@slip("step shifted")
def _step(rhs: str, rng: Random) -> str | None:
    match = _drawn(_STEP, rhs, rng)
    if match is None:
        return None
    if match[3]:
        return _put(rhs, match, f"{{{match[3]}-1}}")
    return _put(rhs, match, match[1] if match[2] else f"{match[1]}-1")


@slip("name swapped")
def _name(rhs: str, rng: Random) -> str | None:
    names = {match[1] for match in _NAME.finditer(rhs)}
    match = _drawn(_NAME, rhs, rng)
    if match is None or len(names) < 2:
        return None
    return _put(rhs, match, rng.choice(sorted(names - {match[1]})))


@slip("factor dropped")
def _factor(rhs: str, rng: Random) -> str | None:
    places = [at for sign in (r"\odot", r"\had", " * ") for at in _outside(rhs, sign)]
    if not places:
        return None
    start = rng.choice(places)
    stops = [at for sign in (r"\odot", r"\had", " * ", "+", " - ") for at in _outside(rhs, sign) if at > start]
    return rhs[:start] + rhs[min(stops, default=len(rhs)) :]


@slip("term dropped")
def _term(rhs: str, rng: Random) -> str | None:
    places = [at for sign in ("+", " - ") for at in _outside(rhs, sign)]
    if not places:
        return None
    start = rng.choice(places)
    return rhs[:start] + rhs[min((at for at in places if at > start), default=len(rhs)) :]


@slip("wrong slope")
def _slope(rhs: str, rng: Random) -> str | None:
    match = _drawn(_SLOPE, rhs, rng)
    if match is None:
        return None
    inside = match[1]
    squared = re.fullmatch(r"(.*)\^\{?2\}?(.*)", inside)
    return _put(rhs, match, f"(1 - {squared[1]}{squared[2]})" if squared else f"(1 - {inside}^2)")


@slip("sum forgotten")
def _sum(rhs: str, rng: Random) -> str | None:
    match = _drawn(_SUM, rhs, rng)
    return _put(rhs, match, "") if match else None


@slip("factor two")
def _two(rhs: str, rng: Random) -> str | None:
    return rf" 2\, \left({rhs}\right)" if "&" not in rhs and r"\\" not in rhs else None


def _outside(text: str, sign: str) -> list[int]:
    """Where a sign stands outside of all brackets and scripts."""
    depth, places = 0, []
    for at, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if not depth and text.startswith(sign, at):
            places.append(at)
    return places


# -- where a link stands in its source --------------------------------------------------------------------------------
def right_side(source: str, claim: dict[str, Any]) -> tuple[int, int] | None:
    """Where in the source (of the cell) the right side of a claim begins and ends; None where it cannot be told."""
    source = _SCRIPT.sub(lambda script: script[0].replace("=", "~"), source)
    start = sum(map(len, source.splitlines(keepends=True)[: claim["line"] - 1]))
    limit = _row_end(source, start)
    best, span, at = ALIKE, None, start
    while link := _LINK.search(source, at, limit):
        ahead = _LINK.search(source, link.end(), limit)
        end = _END.search(source, link.end(), limit)
        stop = min((m.start() for m in (ahead, end) if m), default=limit)
        before = max([start, *(m.end() for m in _END.finditer(source, start, link.start()))])
        for left in (before, link.start()):
            alike = likeness(claim["latex"], source[left:stop])
            if alike > best:
                best, span = alike, (link.end(), link.end() + len(source[link.end() : stop].rstrip(" \n,.;&")))
        at = stop
    return span


def _row_end(source: str, start: int) -> int:
    """Where the row that begins on a line ends: with the line, or later where its formula does."""
    opened = re.compile(r"[\s>]*(?:\$\$|\\\[|\\begin\{\w+\*?\})?").match(source, start)
    closed = _ROW_END.search(source, opened.end() if opened else start)
    line = source.find("\n", start)
    return max(closed.start() if closed else len(source), line if line >= 0 else len(source))


# -- the part ---------------------------------------------------------------------------------------------------------
@cache
def _right(path: Path) -> tuple[dict[str, Any], ...]:
    """The claims of a document that are right by its sheet and hold by the judge."""
    expected = dict(sheets(path.parent))[path]
    pairs = paired(expected, judged(path).report.get("claims", []))
    return tuple(claim for claim, found in pairs if claim["expected"] == "PASS" and found and found["verdict"] in HOLDS)


def mutate_claims(seeds: Iterator[str], tally: Tally) -> None:
    """One slip in one claim for each seed; every document in its turn."""
    documents = [path for path, _ in sheets(tally.notes)]
    for number, seed in enumerate(seeds):
        path, rng = documents[number % len(documents)], Random(seed)
        if claims := _right(path):
            _mutate(path, rng.choice(claims), rng, seed, tally)
        else:
            tally.count("no right claim that is judged so", "left out")


def _mutate(path: Path, claim: dict[str, Any], rng: Random, seed: str, tally: Tally) -> None:
    source, whole = source_of(path, claim)
    span = right_side(source, claim)
    if span is None:
        tally.count("claim not found in its source", "left out")
        return
    rhs = source[span[0] : span[1]]
    for name in rng.sample(sorted(SLIPS), len(SLIPS)):
        changed = SLIPS[name](rhs, rng)
        if changed is not None and likeness(changed, rhs) < 1.0:
            break
    else:
        tally.count("no slip fits", "left out")
        return
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob("*.tex"):
            shutil.copy(file, folder)
        mutant = Path(folder) / path.name
        mutant.write_text(whole(source[: span[0]] + changed + source[span[1] :]), encoding="utf-8")
        answer = ask(mutant, 120.0)
    verdict = _verdict(path, claim, answer.report.get("claims", []))
    tally.count(name, answer.broken or verdict)
    if answer.broken or verdict in HOLDS:
        what = answer.broken or ("equal by proof" if verdict == "PROVED" else "a wrong claim passes")
        (tally.note if verdict == "PROVED" else tally.find)(
            what, f"{seed}, {path.name}:{claim['line']}", f"{name}: {rhs.strip()} -> {changed.strip()}", source
        )


def _verdict(path: Path, claim: dict[str, Any], found: list[dict[str, Any]]) -> str:
    """What is said of the changed claim; the worst of what stands in its row, for a chain blames the later side."""
    place = (claim.get("cell"), claim["line"])
    row = [c["verdict"] for c in found if (c.get("cell"), c["line"]) == place]
    asked = [c for c in dict(sheets(path.parent))[path] if (c.get("cell"), c["line"]) == place]
    mine = [other for c, other in paired(asked, found) if c == claim]
    wrong = [verdict for verdict in row if verdict in WRONG]
    return wrong[0] if wrong else mine[0]["verdict"] if mine and mine[0] else "no claim"


def source_of(path: Path, claim: dict[str, Any]) -> tuple[str, Callable[[str], str]]:
    """The text that a claim's line counts in, and the whole document with that text changed."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text, lambda changed: changed
    notebook = json.loads(text)
    cell = notebook["cells"][claim["cell"] - 1]
    kept = "".join(cell["source"])

    def whole(changed: str) -> str:
        cell["source"] = changed.splitlines(keepends=True)
        return json.dumps(notebook, ensure_ascii=False)

    return kept, whole
