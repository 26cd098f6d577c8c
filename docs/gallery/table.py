"""The table of all systems, `docs/systems.md`: one row a system, a link in every cell."""

from __future__ import annotations

import os
from pathlib import Path

from .systems import DOCS, ROOT, Around, Chapter, System

HEAD = """\
# Every recurrent system of the documents

Each is an equation file with its gradients derived by hand, a layer composed from the same primitives, a picture, and a
demo. [The gallery](gallery.html) shows them one by one: picture, equations, verified derivation, code.

This page is written by `python -m docs.gallery.build`; the list is [systems.toml](gallery/systems.toml).
"""
_COLUMNS = ("System", "From", "Class", "Equations", "Picture", "Demo")
_AROUND = ("What is done with them", "From", "Demo")


def table(chapters: list[Chapter], around: list[Around]) -> str:
    """The whole page."""
    rows = [[entry.title, entry.source, _link(entry.demo, ROOT / "demos" / entry.demo)] for entry in around]
    return HEAD + "".join(_chapter(chapter) for chapter in chapters) + "\n## Around them\n\n" + _rows(_AROUND, rows)


def cells(system: System) -> list[str]:
    """One row: a cell is empty when what it should link to does not exist."""
    title = f"[{system.title}](gallery.html#{system.name})"
    layer = _link(f"`{system.layer.removeprefix('tinygrad_rnn.')}`", system.class_file)
    files = (system.equation_file, system.picture_file, system.demo_file)
    names = (system.equation_file.name, "circuit and unfolded", system.demo)
    return [title, system.source, layer, *(_link(name, file) for name, file in zip(names, files, strict=True))]


def _chapter(chapter: Chapter) -> str:
    rows = [cells(system) for system in chapter.systems]
    return f"\n## {chapter.title}\n\n{chapter.text}\n\n{_rows(_COLUMNS, rows)}"


def _rows(head: tuple[str, ...], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *rows))


def _link(text: str, file: Path | None) -> str:
    if file is None or not file.is_file():
        return ""
    return f"[{text}]({Path(os.path.relpath(file, DOCS)).as_posix()})"
