"""The soak: random files by the thousand, and what must never happen to one of them.

python -m benchmarks soak [--seed N] [--count N] [--minutes M] [--verdicts] [--save FOLDER] [--notes FOLDER] [PART ...]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import table
from benchmarks.soak import (
    documents,
    domains,
    faults,
    judging,
    laws,
    layers,
    loops,
    note_answers,
    note_damage,
    note_slips,
    programs,
    threads,
)
from benchmarks.soak.judging import Tally

Part = Callable[[Iterator[str], Tally], None]


def _each(compare: Callable[[str, Tally], None]) -> Part:
    """A part that looks at one seed after the other."""

    def compare_all(seeds: Iterator[str], tally: Tally) -> None:
        for seed in seeds:
            compare(seed, tally)

    return compare_all


#: what each part does, and how many of it unless `--count` says so
PARTS: dict[str, tuple[Part, int]] = {
    "right": (judging.judge_right, 100),
    "wrong": (judging.judge_wrong, 100),
    "prove": (judging.prove_random, 100),
    "derived": (judging.judge_derived, 100),
    "domains": (_each(domains.compare), 1000),
    "programs": (_each(programs.compare), 20000),
    "loops": (_each(loops.compare), 5000),
    "jitted": (_each(loops.compare_jitted), 500),
    "layers": (_each(layers.compare), 1000),
    "threads": (threads.call_at_once, 1600),
    "kills": (faults.kill_runs, 10),
    "bits": (faults.flip_bits, 4000),
    "laws": (laws.check, 1000),
    "notes": (note_answers.compare_sheets, 100),
    "slips": (note_slips.mutate_claims, 700),
    "damage": (note_damage.damage_documents, 20000),
}
#: the parts whose files are Python
SCRIPTS = ("programs", "loops", "jitted", "layers")
#: the parts whose files are lecture notes
DOCUMENTS = ("notes", "slips", "damage")


def main(arguments: list[str]) -> None:
    """Run the parts that are named, or all, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--seed", type=int, default=0, help="where the random numbers start (0)")
    counts = ", ".join(f"{part} {count}" for part, (_, count) in PARTS.items())
    parser.add_argument("--count", type=int, default=None, help=f"how many of each part ({counts})")
    parser.add_argument("--minutes", type=float, default=None, help="end each part after so long, with what it has")
    parser.add_argument("--verdicts", action="store_true", help="numbers alone: no explanations, no proofs")
    parser.add_argument("--save", type=Path, default=None, help="a folder for the files that were judged wrongly")
    parser.add_argument("--notes", type=Path, default=documents.FOLDER, help="documents with answer sheets")
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; the parts are {', '.join(PARTS)}")
    for part in options.parts or PARTS:
        folder = options.save / part if options.save else None
        start = time.perf_counter()
        count = options.count or PARTS[part][1]
        tally = soak(part, options.seed, count, folder, options.minutes, options.verdicts, options.notes)
        print(f"## {part}: {tally.files} files, seed {options.seed}, {time.perf_counter() - start:.0f} s\n")
        print(report(tally), flush=True)


def soak(
    part: str,
    seed: int,
    count: int,
    folder: Path | None = None,
    minutes: float | None = None,
    verdicts_only: bool = False,
    notes: Path = documents.FOLDER,
) -> Tally:
    """One part of it; the seeds of its files are `SEED-0`, `SEED-1`, …"""
    ending = ".py" if part in SCRIPTS else ".txt" if part in DOCUMENTS else ".rnn"
    tally = Tally(folder=folder, verdicts_only=verdicts_only, ending=ending, notes=notes)
    seeds = _seeds(seed, count, tally, minutes)
    judge, _ = PARTS[part]
    judge(seeds, tally)
    return tally


def report(tally: Tally) -> str:
    """A table of verdicts by what was done, the share proved, and every counterexample in one line."""
    verdicts = sorted({verdict for counter in tally.counts.values() for verdict in counter})
    rows = []
    for title, counter in sorted(tally.counts.items()):
        proved, decided = counter["PROVED"] + counter["PROVED if"], sum(counter.values()) - counter["refused"]
        share = f"{proved / decided:.0%}" if proved else ""
        rows.append([title, *(str(counter[verdict] or "") for verdict in verdicts), share])
    text = table.aligned(["", *verdicts, "proved"], rows)
    lines = [f"- {finding.what} (seed {finding.seed}): {finding.said[:300]}" for finding in tally.findings]
    return "\n".join([text, "", *(lines or ["Nothing was found."]), ""])


def _seeds(seed: int, count: int, tally: Tally, minutes: float | None) -> Iterator[str]:
    start = time.perf_counter()
    for number in range(count):
        if minutes is not None and time.perf_counter() - start > 60 * minutes:
            return
        tally.files += 1
        yield f"{seed}-{number}"
