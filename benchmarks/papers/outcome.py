"""What a long run has to tell, and the file that remembers it."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from math import inf, isfinite, isnan
from pathlib import Path
from statistics import median

from benchmarks import table

FILE = Path(__file__).with_name("outcomes.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "papers.md"


@dataclass(frozen=True)
class Outcome:
    """One run: which experiment and form of it, its seed, the number reached, and how long it took."""

    experiment: str
    form: str
    setting: str
    measure: str
    published: str
    seed: int
    number: float
    updates: int
    minutes: float


def remember(outcome: Outcome) -> None:
    """Put the outcome into the file, in place of an earlier one of the same run."""
    kept = [
        other for other in recall()
        if (other.experiment, other.form, other.seed) != (outcome.experiment, outcome.form, outcome.seed)
    ]  # fmt: skip
    kept.append(outcome)
    kept.sort(key=lambda each: (each.experiment, each.form, each.seed))
    partial = FILE.with_suffix(".partial")
    rows = [asdict(each) | {"number": None if isnan(each.number) else each.number} for each in kept]
    partial.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(FILE)
    print(
        f"{outcome.experiment}, {outcome.form}, seed {outcome.seed}: {outcome.measure} {outcome.number:.4g}", flush=True
    )


def recall() -> list[Outcome]:
    """Every outcome there is."""
    rows = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    return [Outcome(**row | {"number": float("nan") if row["number"] is None else row["number"]}) for row in rows]


def markdown() -> str:
    """One row for each form of an experiment: all its seeds, and what was published."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in recall():
        groups[outcome.experiment, outcome.form].append(outcome)
    header = ("experiment", "form", "setting", "measure", "published", "reached (each seed)", "median", "minutes a run")
    rows = []
    for (experiment, form), runs in groups.items():
        reached = ", ".join(_told(run.number) for run in runs)
        minutes = median(run.minutes for run in runs)
        first = runs[0]
        rows.append((
            experiment, form, first.setting, first.measure, first.published, reached,
            _told(median(inf if isnan(run.number) else run.number for run in runs)), f"{minutes:.1f}",
        ))  # fmt: skip
    return table.aligned(header, rows)


def _told(number: float) -> str:
    """Three digits; what was never reached is said to be so."""
    return "never" if not isfinite(number) else f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def write_table() -> None:
    """Print the table and put it into docs/papers.md."""
    print(markdown())
    table.keep("papers", markdown(), PAGE)
