"""The pytest plugin: equation files and lecture notes as test items, once they are asked for.

pytest loads this module in every run of everybody who has installed the package, and importing anything from
`tinygrad_rnn` imports numpy: it stands beside the package, and imports it where something is collected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tinygrad_rnn.language.syntax.markdown import Block
    from tinygrad_rnn.language.syntax.source import Source
    from tinygrad_rnn.notes.notation import Pages

NOTES = (".md", ".tex", ".ipynb")
#: what the first line of a file says that is meant to be wrong, as a comment of its own format
_WRONG = {
    ".rnn": re.compile(r"#\s*wrong\b"),
    ".md": re.compile(r"<!--\s*wrong\b"),
    ".tex": re.compile(r"%\s*wrong\b"),
}


class NotRightError(Exception):
    """A model or a document that is wrong or cannot be used; its message is the report."""


class OpenClaimsWarning(pytest.PytestWarning):
    """Nothing is wrong, but something is not decided; `-W error::tinygrad_rnn_pytest.OpenClaimsWarning` is strict."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rnn` and `--rnn-notes`, and `rnn` and `rnn_notes` of the ini file."""
    group = parser.getgroup("rnn", "derivations of recurrent networks (tinygrad_rnn)")
    for name, what in (("rnn", "equation files, *.rnn"), ("rnn_notes", f"documents, *{', *'.join(NOTES)}")):
        said = f"judge the derivations in {what}"
        group.addoption(f"--{name.replace('_', '-')}", action="store_true", dest=f"collect_{name}", help=said)
        parser.addini(name, said, type="bool", default=False)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect what was asked for."""
    suffix = file_path.suffix.lower()
    name = "rnn" if suffix == ".rnn" else "rnn_notes" if suffix in NOTES else None
    if name is None or not (parent.config.getoption(f"collect_{name}") or parent.config.getini(name)):
        return None
    made: pytest.Collector = DerivationFile.from_parent(parent, path=file_path)
    return made


class DerivationFile(pytest.File):
    """A file with derivations: one item for its formulas, and one for each model stated as equations."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the items, named after the headings they stand under."""
        from tinygrad_rnn.core.errors import LanguageError

        try:
            found = [*self._found()]
        except LanguageError as error:
            raise self.CollectError(str(error)) from error
        taken: Counter[str] = Counter()
        for kind, name, line, wrong, content in found:
            taken[name] += 1
            unique = name if taken[name] == 1 else f"{name}-{taken[name]}"
            item = kind.from_parent(self, name=unique, line=line, content=content)
            if wrong:
                item.add_marker(pytest.mark.xfail(strict=True, raises=NotRightError, reason="marked wrong"))
            yield item

    def _found(self) -> Iterator[tuple[type[Derivation], str, int, bool, Any]]:
        from tinygrad_rnn.language.syntax.markdown import Block, blocks
        from tinygrad_rnn.language.syntax.source import Source
        from tinygrad_rnn.notes.notation import Formula
        from tinygrad_rnn.notes.reading.read_document import read_document

        source = Source.from_path(self.path, "expected an equation file or a document")
        suffix = self.path.suffix.lower()
        wrong = suffix in _WRONG and _WRONG[suffix].match(source.text) is not None
        if suffix == ".rnn":
            yield ModelItem, "model", 1, wrong, (source, Block(source.text, 1, ""))
            return
        pages = read_document(source)
        if any(isinstance(item, Formula) for page in pages.pages for item in page.items):
            yield FormulasItem, "formulas", 1, wrong, pages
        for block in blocks(source) if suffix != ".ipynb" else ():
            heading = re.sub(r"\W+", "-", block.heading).strip("-") or "model"
            yield ModelItem, heading, block.first_line, block.wrong, (source, block)


class Derivation(pytest.Item):
    """What is judged at once; it fails with its report where something is wrong."""

    def __init__(self, *, line: int, content: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.line = line
        self.content = content

    def judged(self) -> tuple[int, str]:
        """The exit code that `tinygrad-rnn verify` would give, and the report."""
        raise NotImplementedError

    def runtest(self) -> None:
        """Judge; raises `NotRightError` where something is wrong or cannot be used."""
        code, report = self.judged()
        if code == 3:
            self.warn(OpenClaimsWarning(f"nothing is wrong, but not all is decided\n{report}"))
        elif code:
            raise NotRightError(report)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The report alone; a traceback only for a mistake of the program."""
        if isinstance(excinfo.value, NotRightError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the item stands."""
        return self.path, self.line - 1, self.name


class FormulasItem(Derivation):
    """All formulas of a document."""

    content: Pages

    def judged(self) -> tuple[int, str]:
        """Judge the claims as `tinygrad-rnn verify` does."""
        from dataclasses import replace

        from tinygrad_rnn.notes.document_report import DocumentReport
        from tinygrad_rnn.notes.judge_notes import judge_document

        report = DocumentReport(replace(judge_document(self.content), pages=self.content))
        return report.code, str(report)


class ModelItem(Derivation):
    """An equation file, or a block marked `rnn` in a document."""

    content: tuple[Source, Block]

    def judged(self) -> tuple[int, str]:
        """Judge the gradients that are stated; without one there is nothing decided."""
        from tinygrad_rnn.verification.notes import judge_blocks
        from tinygrad_rnn.verification.results import EMPTY, EXIT

        source, block = self.content
        (found,) = judge_blocks(source, [block], None, 3, None)
        wrong = [(row.line, f"{row.verdict} {row.name}") for row in found.report.failed] if found.report else []
        places = [f"{source.name}:{line}:1: {said}\n" for line, said in wrong or [(block.first_line, found.verdict)]]
        code = 3 if found.verdict == EMPTY else EXIT.get(found.verdict, 2)
        return code, "".join(places) + str(found.report or found.message)
