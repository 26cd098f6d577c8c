"""How large the package is, and how much of it a reader meets: `python -m benchmarks size`; printed only.

A file counts as met where a function of it runs, not where it is imported.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.core.returns import on_return

PACKAGE = Path(tg.__file__).parent
#: words with a meaning of their own here once, whose place the field's own words, or the subject's, should take
WORDS = (
    "room", "house", "lane", "lanes", "turn", "straight", "moves", "letters", "gutters", "alone", "found", "place",
    "given",
)  # fmt: skip


def lines() -> dict[str, tuple[int, int]]:
    """For each package (those beside them as "."), how many files and lines it has."""
    sizes: dict[str, list[int]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        sizes.setdefault(parts[0] if len(parts) > 1 else ".", []).append(len(path.read_text("utf-8").splitlines()))
    return {name: (len(counts), sum(counts)) for name, counts in sizes.items()}


def files_met(call: Callable[[], Any]) -> list[str]:
    """The files of the package whose functions run in a call."""
    met: set[str] = set()

    def note(frame: FrameType, result: Any) -> None:
        if frame.f_code.co_name != "<module>" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            met.add(Path(frame.f_code.co_filename).relative_to(PACKAGE).as_posix())

    with on_return(note):
        call()
    return sorted(met - {"core/returns.py"})  # which looks


def words() -> dict[str, int]:
    """How often each of the private words stands in the package, as a name or in prose."""
    counts: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        counts.update(word for word in re.findall(r"[a-z]+", path.read_text("utf-8").lower()) if word in WORDS)
    return {word: counts[word] for word in WORDS}


def _network(p: dict[str, Any], xs: Any) -> Any:
    """The loss of a plain recurrent network, as one would write it."""
    h = np.zeros((xs.shape[1], 4))
    for x in xs:
        h = np.tanh(h @ p["W"].T + x @ p["U"].T)
    return np.sum(h * h)


def _layer(lstm: Any, xs: Any) -> Any:
    return np.sum(lstm(xs)[0] ** 2)


def main() -> None:
    """Print the three tables."""
    sizes = lines()
    print(f"{'package':<14}{'files':>7}{'lines':>9}")
    for name, (files, count) in [*sizes.items(), ("together", tuple(map(sum, zip(*sizes.values(), strict=True))))]:
        print(f"{name:<14}{files:>7,}{count:>9,}")
    for path in PACKAGE.rglob("*.py"):  # what is imported late is imported now, so that only calls are seen
        if path.name != "__main__.py":
            import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"))
    plain, layer = tg.compile(tg.value_and_grad(_network)), tg.compile(tg.value_and_grad(_layer))
    xs = np.ones((5, 2, 3))
    for said, call in (
        ("a first compiled call", lambda: plain({"W": np.eye(4), "U": np.ones((4, 3))}, xs)),
        ("that of a layer", lambda: layer(tg.nn.LSTM(3, 4), xs)),
        ('tg.verify("vanilla")', lambda: tg.verify("vanilla")),
    ):
        met = files_met(call)
        packages = Counter(name.partition("/")[0] for name in met)
        print(f"\n{len(met)} files in {said}: {', '.join(f'{n} {name}' for name, n in packages.items())}")
    print("\n" + ", ".join(f"{word} {count}" for word, count in words().items()))
