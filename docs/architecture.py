"""The list of modules in `docs/architecture.md`, made of their own first sentences, and the picture of the packages.

    python -m docs.architecture

writes them; `tests/test_project.py` compares them with what is committed.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import tinygrad_rnn as tg
from tinygrad_rnn.core.atomic_files import write_atomically
from tinygrad_rnn.drawing.writers.svg import to_svg

PICTURE = Path(__file__).parent / "pictures" / "architecture.svg"
PAGE = Path(__file__).parent / "architecture.md"
PACKAGE = Path(__file__).parents[1] / "tinygrad_rnn"
#: in the page, the list stands behind this line, up to its end
MARK = "<!-- written by `python -m docs.architecture` -->\n"
#: the packages from the ground up; what is not named stands in the package's own folder
ORDER = (
    "core", "compiler", "nn", "drawing", "analysis", "train", "language", "models", "system", "derivation",
    "verification", "",
)  # fmt: skip


def page() -> str:
    """The page with the list as it has to be now."""
    return written().partition(MARK)[0] + MARK + "".join(map(_section, ORDER))


def picture() -> str:
    """The picture of the packages, as SVG."""
    placed = tg.draw(Packages()).placed
    placed.legend = []  # boxes of one kind need none, nor the space for it
    placed.height = max(y for _, y in placed.positions) + 45.0
    return to_svg(placed)


def written() -> str:
    """The page as it is."""
    return PAGE.read_text(encoding="utf-8")


def modules(package: str) -> list[Path]:
    """The files of a package, its subpackages after its own modules; of "" those that stand beside the packages."""
    folder = PACKAGE / package
    files = folder.rglob("*.py") if package else folder.glob("*.py")
    shown = [path for path in files if path.name not in ("__init__.py", "__main__.py")]
    return sorted(shown, key=lambda path: (path.parent != folder, path.parent, path.name))


def first_sentence(path: Path) -> str:
    """What a module says of itself in one sentence.

    >>> first_sentence(PACKAGE / "core" / "extras.py")
    'Packages that only some features need: imported where they are used, with an error that says what to install.'
    """
    told = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return told.partition(". ")[0].removesuffix(".") + "."


def _section(package: str) -> str:
    folder = PACKAGE / package
    rows = "".join(f"| {_said(path, folder)} | {first_sentence(path)} |\n" for path in modules(package))
    title = f"`{package}`" if package else "Beside the packages"
    told = f"\n{first_sentence(folder / '__init__.py')}\n" if package else ""
    return (
        f"\n### {title}\n{told}\n| Module | What stands there |\n|---|---|\n{rows}"
        if rows
        else f"\n### {title}\n{told}"
    )


def _said(path: Path, folder: Path) -> str:
    return "`" + ".".join(path.relative_to(folder).with_suffix("").parts) + "`"


class Packages:
    """Which package imports which, type-checking imports included; what follows from other arrows is left out."""

    def __picture__(self) -> dict[str, Any]:
        reads = {name: _read_by(name) for name in ORDER[:-1]}
        nodes = [
            {"id": name, "text": name, "lines": [f"{len(modules(name))} modules"]}
            for name in ORDER[:-1]
            if modules(name)
        ]
        shown = {node["id"] for node in nodes}
        above = {name: others & shown for name, others in reads.items() if name in shown}
        edges = [
            (low, high)
            for high, lows in above.items()
            for low in sorted(lows)
            if not any(low in _all_below(other, above) for other in lows - {low})
        ]
        return {"title": "from what is imported to what imports it", "nodes": nodes, "edges": edges}


def _read_by(package: str) -> set[str]:
    """The packages that files of this one import."""
    found = set()
    for path in (PACKAGE / package).rglob("*.py"):
        depth = len(path.relative_to(PACKAGE).parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == depth:
                found |= {node.module.partition(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def _all_below(package: str, reads: dict[str, set[str]]) -> set[str]:
    found, ahead = set(), [package]
    while ahead:
        new = reads[ahead.pop()] - found
        found |= new
        ahead += new
    return found


if __name__ == "__main__":
    write_atomically(PAGE, page().encode())
    write_atomically(PICTURE, picture().encode())
