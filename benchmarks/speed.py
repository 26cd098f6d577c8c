"""One training step of each cell at six sizes, compiled, against everybody who does the same.

All contestants of a race run in this process, on one thread, in the same rounds; they must agree with the eager engine
in the loss and in every gradient before they are timed. What is counted is processor time, of all threads: on a quiet
machine it is the time that passes, on a busy one it leaves out what others take.
"""

import math
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time

import numpy as np

from benchmarks import peers, table, timing
from benchmarks.networks import CELLS, Problem, Size, problem

SIZES = (
    Size(16, 1, 25, 16),
    Size(100, 1, 25, 65),
    Size(64, 16, 50, 64),
    Size(128, 32, 100, 128),
    Size(256, 64, 100, 256),
    Size(512, 64, 50, 512),
)
OURS = {"numpy": "compiled, numpy", "jit": "compiled, jit"}
HAND = "hand-tuned"  # the faster of its two layouts
#: how far two float results of the same sum may lie apart, relative to the largest entry
AGREEMENT = {"float32": 2e-4, "float64": 1e-11}


@dataclass(frozen=True)
class Target:
    """The highest ratio allowed over all races (or those of one cell): for the geometric mean, or for each."""

    executor: str
    peer: str
    limit: float
    each: bool = False
    cell: str = ""

    def __str__(self) -> str:
        return f"{self.cell or 'all cells'}, {'each' if self.each else 'geometric mean'}"


TARGETS = (
    Target("numpy", HAND, 1.0, each=True),
    Target("numpy", HAND, 0.75),
    Target("numpy", "torch.nn", 0.42),
    Target("numpy", "torch.nn", 1.0, cell="LSTM"),
    Target("numpy", "torch cells", 0.5, each=True),
    Target("numpy", "jax.jit(scan)", 0.9),
    Target("numpy", "HIPS/autograd", 0.1),
    Target("numpy", "MyGrad", 0.1),
    Target("jit", HAND, 0.55),
    Target("jit", "torch.nn", 0.25),
    Target("jit", "torch.nn", 0.68, cell="LSTM"),
    Target("jit", "torch.nn", 1.12, each=True),
    Target("jit", "torch cells", 0.45, each=True),
    Target("jit", "torch cells", 0.2),
    Target("jit", "jax.jit(scan)", 0.6),
)


@dataclass
class Race:
    """One problem: seconds of each round by contestant, and why others did not take part."""

    cell: str
    size: Size
    dtype: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.cell} {self.size}"

    def times(self, who: str) -> list[float] | None:
        """Seconds of a contestant; `HAND` is the faster layout."""
        if who != HAND:
            return self.seconds.get(who)
        layouts = [times for name, times in self.seconds.items() if name.startswith(HAND)]
        return min(layouts, key=statistics.median, default=None)

    def ratio(self, ours: str, theirs: str) -> float | None:
        """Our time to theirs, if both ran."""
        a, b = self.times(ours), self.times(theirs)
        return timing.ratio(a, b) if a and b else None


def main(rounds: int, write: bool, only: str = "") -> None:
    """Run the races whose title has `only` in it, print the tables, and keep them in docs/benchmarks.md if all ran."""
    races = []
    for dtype in AGREEMENT:
        for cell in CELLS:
            for size in SIZES:
                race = Race(cell, size, dtype)
                if only in f"{race.title} {dtype}":
                    run(race, rounds)
                    races.append(race)
                    print(_line(race), file=sys.stderr, flush=True)
    text = report(races, rounds)
    print(text)
    if write and not only:
        table.keep("speed", text)


def run(race: Race, rounds: int) -> None:
    """Gather who can take part, see that all agree, and take their times."""
    case = problem(race.cell, race.size, race.dtype)
    present = {}
    for name, make in peers.CONTESTANTS.items():
        try:
            present[name] = make(case)
        except peers.Unavailable as reason:
            race.absent[name] = str(reason)
    agree(case, present)
    race.seconds = timing.interleaved(
        {name: contestant.run for name, contestant in present.items()}, rounds, clock=process_time
    )


def agree(case: Problem, contestants: Mapping[str, peers.Contestant]) -> None:
    """Raise unless everybody finds the loss and the gradients of the eager engine."""
    allowed = AGREEMENT[case.dtype.name]
    eager = peers.ours(case)
    value, gradients = eager.read(eager.run())
    scale = float(np.abs(case.weights).sum())
    for name, contestant in contestants.items():
        found, theirs = contestant.read(contestant.run())
        worst = {"the loss": abs(found - value) / scale}
        for key, gradient in gradients.items():
            worst[key] = float(np.abs(theirs[key] - gradient).max() / np.abs(gradient).max())
        where = max(worst, key=worst.__getitem__)
        if not worst[where] <= allowed:
            raise AssertionError(f"{name} and the eager engine differ in {where} by {worst[where]:.1e}: not timed")


def report(races: Sequence[Race], rounds: int) -> str:
    """All that goes into the page."""
    packages = ("numpy", "numba", "scipy", "torch", "jax", "autograd", "mygrad")
    rule = f"Processor time, medians of {rounds} interleaved rounds; a ratio is the median of the rounds' ratios."
    parts = [f"{table.setting(packages)} {rule}"]
    singles = [race for race in races if race.dtype == "float32"]
    parts += [table.aligned(("float32, ratio of", "to", "over", "found", "target", "met"), judged(singles))]
    for dtype in AGREEMENT:
        chosen = [race for race in races if race.dtype == dtype]
        if chosen:
            parts += [f"### {dtype}", milliseconds(chosen), ratios(chosen)]
    reasons = {f"{name}: {why}" for race in races for name, why in race.absent.items()}
    return "\n\n".join(parts + sorted(reasons))


def judged(races: Sequence[Race]) -> list[list[str]]:
    """A line for each target."""
    rows = []
    for target in TARGETS:
        chosen = [race for race in races if target.cell in ("", race.cell)]
        found = _found(chosen, OURS[target.executor], target.peer)
        who = [OURS[target.executor], target.peer, str(target)]
        if not found:
            rows.append([*who, "", f"≤ {target.limit:.2f}", "not measured"])
            continue
        value = max(found) if target.each else geometric_mean(found)
        above = sum(ratio > target.limit for ratio in found)
        told = f"{value:.2f}" + (f" ({above} of {len(found)} above)" if target.each and above else "")
        rows.append([*who, told, f"≤ {target.limit:.2f}", "yes" if value <= target.limit else "**no**"])
    return rows


def milliseconds(races: Sequence[Race]) -> str:
    """Medians of everybody."""
    names = [name for name in peers.CONTESTANTS if any(name in race.seconds for race in races)]
    rows = []
    for race in races:
        medians = {name: statistics.median(times) * 1e3 for name, times in race.seconds.items()}
        rows.append([race.title, *(table.three(medians.get(name)) for name in names)])
    return table.aligned(["ms; H, B, T", *names], rows)


def ratios(races: Sequence[Race]) -> str:
    """Both executors against everybody else, with geometric means for each cell and over all."""
    others = ["eager", HAND, *(name for name in peers.CONTESTANTS if "compiled" not in name and HAND not in name)]
    others = list(dict.fromkeys(others))
    columns = [(short, ours, peer) for short, ours in OURS.items() for peer in others]
    columns = [c for c in columns if any(race.ratio(c[1], c[2]) is not None for race in races)]
    rows = [[race.title, *(_two(race.ratio(ours, peer)) for _, ours, peer in columns)] for race in races]
    for cell in (*dict.fromkeys(race.cell for race in races), ""):
        chosen = [race for race in races if cell in ("", race.cell)]
        means = [_found(chosen, ours, peer) for _, ours, peer in columns]
        title = f"**geometric mean, {cell or 'all'}**"
        rows.append([title, *(_two(geometric_mean(values) if values else None) for values in means)])
    return table.aligned(["ratio", *(f"{short} / {peer}" for short, _, peer in columns)], rows)


def geometric_mean(values: Iterable[float]) -> float:
    """exp of the mean of the logarithms."""
    return math.exp(statistics.fmean(map(math.log, values)))


def _found(races: Iterable[Race], ours: str, theirs: str) -> list[float]:
    """The ratios of those races in which both ran."""
    return [value for race in races if (value := race.ratio(ours, theirs)) is not None]


def _line(race: Race) -> str:
    times = ", ".join(f"{name} {table.three(statistics.median(t) * 1e3)}" for name, t in race.seconds.items())
    return f"{race.title} {race.dtype}: {times}"


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
