"""What a long run has to tell, and the file that remembers it."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
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
    partial.write_text(json.dumps([asdict(each) for each in kept], indent=1) + "\n", encoding="utf-8")
    partial.replace(FILE)
    print(
        f"{outcome.experiment}, {outcome.form}, seed {outcome.seed}: {outcome.measure} {outcome.number:.4g}", flush=True
    )


def recall() -> list[Outcome]:
    """Every outcome there is."""
    return [Outcome(**each) for each in json.loads(FILE.read_text(encoding="utf-8"))] if FILE.exists() else []


def markdown() -> str:
    """One row for each form of an experiment: all its seeds, and what was published."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in recall():
        groups[outcome.experiment, outcome.form].append(outcome)
    header = ("experiment", "form", "setting", "measure", "published", "reached (each seed)", "median", "minutes a run")
    rows = []
    for (experiment, form), runs in groups.items():
        reached = ", ".join(f"{run.number:.3g}" for run in runs)
        minutes = median(run.minutes for run in runs)
        first = runs[0]
        rows.append((
            experiment, form, first.setting, first.measure, first.published, reached,
            f"{median(run.number for run in runs):.3g}", f"{minutes:.1f}",
        ))  # fmt: skip
    return table.aligned(header, rows)


def write_table() -> None:
    """Print the table and put it into docs/papers.md."""
    print(markdown())
    table.keep("papers", markdown(), PAGE)
