"""The rows a benchmark produces, as one table on the terminal and in docs/benchmarks.md."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from importlib.metadata import PackageNotFoundError, version
from math import floor, log10
from pathlib import Path

from benchmarks import timing

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
HEADER = ("what", "ours", "theirs", "ratio", "target", "met")


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is yes, no, or empty where nothing was asked or measured."""

    what: str
    ours: str
    theirs: str = ""
    ratio: str = ""
    target: str = ""
    met: str = ""


def against(what: str, ours: str, theirs: str, ratio: float, target: float) -> Row:
    """A comparison with a peer: the target is the highest ratio allowed."""
    return Row(what, ours, theirs, f"{ratio:.2f}", f"≤ {target:.2f}", _met(ratio <= target))


def alone(what: str, ours: str, target: str, met: bool, theirs: str = "") -> Row:
    """A figure of ours with a target of its own."""
    return Row(what, ours, theirs, "", target, _met(met))


def missing(what: str, peer: str) -> Row:
    """A peer that is not installed is reported, not left out."""
    return Row(what, "", f"{peer} is not installed", "", "", "not measured")


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table with aligned columns."""
    return aligned(HEADER, [astuple(row) for row in rows])


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Any cells as a Markdown table with aligned columns."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]

    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(value.ljust(width) for value, width in zip(values, widths, strict=True)) + " |"

    return "\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def setting(packages: Iterable[str]) -> str:
    """On what the figures were taken: processor, threads, versions."""
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    python = ".".join(map(str, sys.version_info[:2]))
    return f"{timing.processor()}, 1 thread, Python {python}, {', '.join(versions)}."


def three(value: float | None) -> str:
    """Three significant digits without an exponent; nothing for None."""
    if not value:
        return ""
    return f"{value:,.{max(0, 2 - floor(log10(value)))}f}"


def keep(section: str, text: str, page: Path = PAGE) -> None:
    """Put `text` between the markers of its section of the page; the other sections stay as they are."""
    begin, end = f"<!-- {section}:begin -->", f"<!-- {section}:end -->"
    before, opened, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"{page.name} has no section between {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _met(met: bool) -> str:
    return "yes" if met else "**no**"
