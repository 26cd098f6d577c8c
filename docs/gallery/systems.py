"""The list of systems as data: what `systems.toml` says, and where the things it names are.

Nothing is written or drawn here.
"""

from __future__ import annotations

import importlib
import inspect
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tinygrad_rnn as tg
from tinygrad_rnn.language import Model

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures" / "systems"


@dataclass(frozen=True)
class System:
    """One recurrent system: what it is called, where it comes from, and where it lives in this project."""

    name: str
    title: str
    source: str  # document and section
    layer: str  # dotted name of the class
    demo: str  # file in demos/
    summary: str
    code: str  # a doctest
    steps: int = 3  # how long its picture is unfolded where there is no circuit
    equations: str = ""  # file in tinygrad_rnn/models/, unless that is called as the system is

    @property
    def equation_file(self) -> Path:
        return ROOT / "tinygrad_rnn" / "models" / f"{self.equations or self.name}.rnn"

    @property
    def demo_file(self) -> Path:
        return ROOT / "demos" / self.demo

    @property
    def picture_file(self) -> Path:
        return PICTURES / f"{self.name}.svg"

    @cached_property
    def class_file(self) -> Path | None:
        """The source of the class; None when there is no such class."""
        module, _, name = self.layer.rpartition(".")
        try:
            return Path(inspect.getsourcefile(getattr(importlib.import_module(module), name)) or "").resolve()
        except (ImportError, AttributeError):
            return None

    @cached_property
    def model(self) -> Model:
        return tg.load(self.equation_file)


@dataclass(frozen=True)
class Chapter:
    """Systems that answer the same question."""

    title: str
    text: str
    systems: tuple[System, ...]


@dataclass(frozen=True)
class Around:
    """A demo of what is done with the systems."""

    title: str
    source: str
    demo: str


def chapters() -> list[Chapter]:
    """The list, in its order."""
    return [
        Chapter(chapter["title"], chapter["text"], tuple(System(**system) for system in chapter["system"]))
        for chapter in _listed()["chapter"]
    ]


def systems() -> list[System]:
    """All systems, chapter by chapter."""
    return [system for chapter in chapters() for system in chapter.systems]


def around() -> list[Around]:
    """Demos that belong to no single system."""
    return [Around(**entry) for entry in _listed()["around"]]


def _listed() -> dict[str, Any]:
    with (Path(__file__).parent / "systems.toml").open("rb") as file:
        return tomllib.load(file)
