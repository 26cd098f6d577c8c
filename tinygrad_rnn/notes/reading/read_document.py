"""Documents as pages of trees: Markdown, LaTeX, notebooks, plain text with formulas."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import LanguageError
from ...language.syntax.source import Source
from ..notation import (
    Directive,
    Extent,
    Fence,
    Formula,
    Page,
    Pages,
    Prose,
    Repair,
    Title,
    Unreadable,
)
from .expression_parser import Expressions
from .formula_rows import statements
from .latex_tokens import LatexToken, Unread, tokens
from .macros import Macro, definitions, written_out
from .splitting import PageStretch, stretches

SUFFIXES = {".md": "md", ".markdown": "md", ".txt": "md", ".tex": "tex", ".ltx": "tex", ".ipynb": "ipynb"}
#: files that are \\input are followed so far, and no further
MOST_FILES, DEEPEST_INPUT = 50, 5
_INPUT = re.compile(r"\\(?:input|include|subfile)\s*\{([^{}\n]{1,200})\}")
_MARKUP = re.compile(r"<[^<>\n]{0,300}>|\*\*|__|!?\[([^\]\n]*)\]\([^)\n]*\)|\\[A-Za-z]+\*?|[{}]")
#: a letter with a brace right behind it, as converters leave it that eat underscores
_LOST = re.compile(
    r"(?<![\\A-Za-z_^{])[A-Za-z]\{[tijk](?:\s*[-+]\s*1)?\}|\\(?:tilde|hat|bar)\{[A-Za-z]\}[tij](?![A-Za-z])"
)

Item = Title | Prose | Formula | Fence | Directive


def read_document(source: str | Path | Source, kind: str | None = None) -> Pages:
    """Read a document: a path, or a `Source` with its text.

    `kind` is md, tex or ipynb; the ending of the name says it if None.

    Raises `LanguageError` for a file that cannot be read, or is none of these.

    >>> page = read_document(Source("# Echo\\n$$h_t = \\\\tanh(W h_{t-1})$$", "echo.md")).pages[0]
    >>> [type(item).__name__ for item in page.items]
    ['Title', 'Formula']
    """
    if not isinstance(source, Source):
        source = Source.from_path(Path(source), "expected a document: .md, .tex, .ipynb or .txt")
    path = Path(source.name)
    kind = kind or SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise LanguageError(
            f"{path.suffix or 'no ending'} says no kind of document", source.name, hint="take .md, .tex, .ipynb or .txt"
        )
    if kind == "ipynb":
        return Pages(source.name, tuple(_cells(source)))
    folder = path.parent
    macros: dict[str, Macro] = {}
    others = (
        list(_inputs(source.text, folder, macros, 0, {path.resolve()}))
        if kind == "tex" or "\\input" in source.text
        else []
    )
    macros.update(definitions(source.text)[0])
    pages = [_page(source.name, source.text, kind, None, macros)]
    pages += [_page(str(other), text, "tex", None, macros) for other, text in others]
    return Pages(source.name, tuple(page for i, page in enumerate(pages) if i == 0 or page.items))


def _inputs(
    text: str, folder: Path, macros: dict[str, Macro], depth: int, seen: set[Path]
) -> Iterator[tuple[Path, str]]:
    """Files beside the document that it reads, with their macros; a file outside of its folder is left alone."""
    for found in _INPUT.finditer(text):
        name = found[1].strip()
        path = folder / (name if Path(name).suffix else name + ".tex")
        inside = path.resolve().is_relative_to(folder.resolve())
        if (
            not inside
            or path.resolve() in seen
            or len(seen) >= MOST_FILES
            or depth >= DEEPEST_INPUT
            or not path.is_file()
        ):
            continue
        seen.add(path.resolve())
        try:
            read = Source.from_path(path, "").text
        except LanguageError:
            continue
        yield from _inputs(read, folder, macros, depth + 1, seen)
        macros.update(definitions(read)[0])
        yield path, read


def _cells(source: Source) -> Iterator[Page]:
    try:
        notebook: Any = json.loads(source.text)
    except (ValueError, RecursionError) as error:
        raise LanguageError(f"this is no notebook: {error}", source.name) from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise LanguageError("this notebook has no list of cells", source.name)
    texts = [_text_of(cell) for cell in cells]
    macros: dict[str, Macro] = {}
    for text in texts:
        macros.update(definitions(text)[0])
    for number, (cell, text) in enumerate(zip(cells, texts, strict=True), start=1):
        if isinstance(cell, dict) and cell.get("cell_type") == "markdown":
            yield _page(source.name, text, "md", number, macros)
        elif isinstance(cell, dict) and cell.get("cell_type") == "code":
            yield Page(source.name, text, "code", number, (Fence(Extent(0, len(text)), "python", text),))


def _text_of(cell: Any) -> str:
    held = cell.get("source", "") if isinstance(cell, dict) else ""
    lines = held if isinstance(held, list) else [held]
    return "".join(line for line in lines if isinstance(line, str)).replace("\r\n", "\n")


def _page(file: str, text: str, kind: str, cell: int | None, macros: Mapping[str, Macro]) -> Page:
    damaged = len(_LOST.findall(text)) > 1
    defined = definitions(text)[1]
    items: list[Item] = []
    repairs: list[Repair] = []
    at = 0
    for part in stretches(text, kind):
        items += _prose(text, at, part.start)
        at = part.end
        if any(start <= part.start < end for start, end in defined):
            continue
        item = _item(text, part, kind, macros, damaged, repairs)
        if item is not None:
            items.append(item)
    items += _prose(text, at, len(text))
    return Page(file, text, kind, cell, tuple(items), tuple(repairs))


def _prose(text: str, start: int, end: int) -> Iterator[Prose]:
    words = html.unescape(_MARKUP.sub(lambda found: found[1] or " ", text[start:end]))
    if words.strip():
        yield Prose(Extent(start, end), " ".join(words.split()))


def _item(
    text: str, part: PageStretch, kind: str, macros: Mapping[str, Macro], damaged: bool, repairs: list[Repair]
) -> Item | None:
    extent = Extent(part.start, part.end)
    inner = text[part.inner : part.after]
    if part.kind == "title":
        return Title(extent, part.level, html.unescape(" ".join(inner.replace("$", "").split())))
    if part.kind == "fence":
        return Fence(Extent(part.inner, part.after), part.word, inner)
    if part.kind in ("comment", "front"):
        return _directive(extent, inner, front=part.kind == "front")
    if part.kind in ("inline", "display"):
        return _formula(text, part, kind, macros, damaged, repairs)
    return None


def _directive(extent: Extent, text: str, front: bool) -> Directive | None:
    """The settings of front matter (`rnn:` with its value, or a block below it) or of a comment that begins so."""
    settings: list[tuple[str, str]] = []
    if not front:
        if not text.strip().startswith("rnn:"):
            return None
        settings = [_setting(part) for part in re.split(r"[;\n]", text.strip().removeprefix("rnn:")) if part.strip()]
        return Directive(extent, tuple(settings))
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if not line.startswith("rnn:"):
            continue
        settings += [_setting(part) for part in line.removeprefix("rnn:").split(";") if part.strip()]
        for below in lines[i + 1 :]:
            if not below[:1].isspace() or not below.strip():
                break
            settings.append(_setting(below))
    return Directive(extent, tuple(settings)) if settings else None


def _setting(part: str) -> tuple[str, str]:
    key, sign, value = (
        re.sub(r"^\s*-\s+", "", part).strip().partition("=" if "=" in part and ":" not in part.split("=")[0] else ":")
    )
    return (key.strip().strip("\"'"), value.strip().strip("\"'")) if sign else (key.strip(), "")


def _formula(
    text: str, part: PageStretch, kind: str, macros: Mapping[str, Macro], damaged: bool, repairs: list[Repair]
) -> Formula:
    extent = Extent(part.start, part.end)
    latex = text[part.inner : part.after]
    parser = Expressions(damaged)
    try:
        source = tokens(text, part.inner, part.after)
        source = _repaired(source, kind, damaged, repairs)
        source = written_out(source, macros)
        made, unread = statements(source, parser)
    except Unread as error:
        return Formula(extent, part.kind, latex, (), (_unreadable(error, part),))
    repairs += [Repair(Extent(start, end), seen, taken) for start, end, seen, taken in parser.repairs]
    return Formula(extent, part.kind, latex, tuple(made), tuple(_unreadable(error, part) for error in unread))


def _unreadable(error: Unread, part: PageStretch) -> Unreadable:
    start, end = (error.start, error.end) if part.inner <= error.start <= part.after else (part.inner, part.after)
    return Unreadable(Extent(start, end), error.reason)


def _repaired(source: list[LatexToken], kind: str, damaged: bool, repairs: list[Repair]) -> list[LatexToken]:
    """Tokens with the damage undone that converters do: eaten backslashes, escaped underscores, braces left open."""
    made: list[LatexToken] = []
    for i, token in enumerate(source):
        extent = Extent(token.start, token.end)
        if kind != "tex" and token.text in ("\\_", "\\*") and i + 1 < len(source):
            repairs.append(Repair(extent, token.text, token.text[1:]))
            token = LatexToken("sign", token.text[1:], token.start, token.end, token.spaced)
        elif token.text in ("\\ ", "\\\n") and i + 1 < len(source) and source[i + 1].text in ("&", "=", "\\end"):
            repairs.append(Repair(extent, "a single backslash", "the end of a row"))
            token = LatexToken("command", "\\\\", token.start, token.end, token.spaced)
        made.append(token)
    depth = 0
    for token in made:
        depth += {"{": 1, "}": -1}.get(token.text, 0) if token.kind == "sign" else 0
    if depth > 0 and made:
        last = made[-1]
        repairs.append(Repair(Extent(last.end, last.end), "a brace left open", "closed at the end"))
        made += [LatexToken("sign", "}", last.end, last.end)] * depth
    return made
