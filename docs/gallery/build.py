"""Write `docs/systems.md`, `docs/gallery.html` and the pictures from the list of systems.

    python -m docs.gallery.build

The same list and the same package give the same bytes; `tests/test_gallery.py` compares them with what is committed.
"""

from __future__ import annotations

import tinygrad_rnn as tg
from tinygrad_rnn.core.atomic_files import write_atomically

from .page import page, section
from .pictures import picture
from .systems import DOCS, PICTURES, System, around, chapters, systems
from .table import table

T = 5


def build() -> None:
    """Write everything; pictures of systems that are no longer listed go."""
    listed = systems()
    PICTURES.mkdir(parents=True, exist_ok=True)
    for system in listed:
        write_atomically(system.picture_file, picture(system).svg.encode())
    for file in set(PICTURES.glob("*.svg")) - {system.picture_file for system in listed}:
        file.unlink()
    sections = (section(number, system, verified(system)) for number, system in enumerate(listed, start=1))
    write_atomically(DOCS / "gallery.html", page(chapters(), sections).encode())
    write_atomically(DOCS / "systems.md", table(chapters(), around()).encode())


def verified(system: System) -> tg.Report:
    """The verdict on the derivation in the equation file."""
    return tg.verify(system.model, T=T)


if __name__ == "__main__":
    build()
