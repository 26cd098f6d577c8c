"""Characters to tokens: Greek letters, ⊙, ᵀ, ∇, superscripts and primes become the ASCII spelling they stand for.

So do commands of LaTeX that stand for one sign, by the tables of `commands`.

Nothing here knows what an equation is, beyond where one ends: lines join while a bracket is open, before a line that
begins with an operator, and after one that ends with an operator. Python never sees the text, so neither its keywords
nor its silent normalisation of letters (`Wᵀ` would become the name `WT`) can reach a user's names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from ...core.errors import LanguageError
from .commands import ACCENT_COMMANDS, ATTRIBUTES, COMMANDS, FONTS, SPACES, STRUCTURES
from .source import Source, Span

MOST_TOKENS = 2000
LONGEST_NAME = 100
DEEPEST = 100

OPERATORS = {"+", "-", "*", "/", "@", "**"}
_SPELLINGS = {
    "⊙": "*",
    "∘": "*",
    "×": "*",
    "·": "@",
    "⋅": "@",
    "−": "-",
    "–": "-",
    "^": "**",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "ᵀ": ".T",
    "…": "..",
    "...": "..",
    ":=": "=",
    "≔": "=",
    "←": "=",
}
#: signs that cannot be read, and what is written for them
_MEANT = {
    "$": "write the formula without dollar signs",
    "|": "write norm(v) for the length of a column, abs(x) entry by entry",
    "‖": "write norm(v) for the length of a column",
    "½": "write 0.5",
    "¼": "write 0.25",
    "→": "write an equation, as in h[t] = tanh(a[t])",
    "√": "write sqrt(x)",
    "⊗": "write outer(v, w)",
    "∫": "write sum(t, …)",
    "!": "write != for unequal",
    "&": "write and between two conditions",
    "~": "write = for an equation",
    "≈": "write = for an equation",
}
_SIGNS = {"∑": "sum", "∏": "prod", "∂": "partial", "∇": "nabla", "⊤": "top"}
_SUPERSCRIPT = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵗᵀ", "0123456789+-[]tT", strict=True))
_RAISED = "".join(_SUPERSCRIPT)
#: a raised sign, or the underscore of a subscript that is more than letters
_NO_LETTER = rf"[{_RAISED}]|_\s{{0,3}}[{{\\]"
_PATTERN = re.compile(
    rf"""
      (?P<blank>\s+|\#[^\n]*|\\[,;:!>]|&(?==)|\\\\(?=[^\S\n]*(?:\n|$)))
    | (?P<number>(?:[0-9]+\.[0-9]+|[0-9]+\.(?![.\w])|[0-9]+|(?<!\.)\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[∇∂]?(?!{_NO_LETTER})[^\W0-9](?:(?!{_NO_LETTER})\w|[\u0300-\u036f])*['′’]*)
    | (?P<command>\\[A-Za-z]+'*|[∑∏∂∇⊤])
    | (?P<attribute>\.(?!T\b)[A-Za-z]\w*)
    | (?P<step>⁽[^⁾\n]{{0,20}}⁾)
    | (?P<power>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)
    | (?P<operator>\.T(?!\w)|\.\.\.?|\*\*|<=|>=|!=|:=|[-+*/@%()\[\],;:=<>{{}}_]|[⊙∘×·⋅−–^≤≥≠ᵀ…≔←])
    | (?P<wrong>.)
    """,
    re.VERBOSE | re.DOTALL,
)
#: headers whose value is read token by token, over as many lines as it takes
READ = ("sizes", "indices", "inputs", "fixed", "bounds", "labels", "given")
_HEADER = re.compile(r"[^\S\n]*(?P<key>[A-Za-z]\w*)[^\S\n]*:(?!=)(?P<value>[^\n]*)")


class Token(NamedTuple):
    """`kind` is name, number or operator; `text` is the ASCII spelling, `span` where the user wrote it.

    A command of LaTeX that is read together with what follows it (`frac`), and an attribute (`.dot`), are kinds of
    their own; `desugar` puts names and operators in their place.
    """

    kind: str
    text: str
    span: Span


class TokenLine(NamedTuple):
    """One logical line: a header with its `key` and raw `value`, or an equation (`key` is empty); never both empty."""

    key: str
    value: str
    tokens: tuple[Token, ...]
    span: Span


def tokenise(source: Source, start: int = 0, stop: int | None = None) -> Iterator[Token]:
    """Yield the tokens one by one, in time linear in the text; line ends and comments are passed over.

    >>> [token.text for token in tokenise(Source("∇h[t] = Wᵀ·δ²  # comment"))]
    ['dh', '[', 't', ']', '=', 'W', '.T', '@', 'δ', '**', '2']
    """
    for found in _PATTERN.finditer(source.text, start, len(source.text) if stop is None else stop):
        kind = found.lastgroup or "wrong"
        if kind != "blank":
            yield from _token(source, kind, found[0], source.span(found.start(), found.end()))


def _token(source: Source, kind: str, text: str, span: Span) -> Iterator[Token]:
    if kind == "name":
        yield Token("name", _name(source, text, span), span)
    elif kind == "power":
        yield Token("operator", "**", span)
        yield Token("number", "".join(_SUPERSCRIPT[c] for c in text), span)
    elif kind == "step":
        yield from _raised(source, text, span)
    elif kind == "command":
        yield from _command(source, text, span)
    elif kind == "attribute" and text[1:] in ATTRIBUTES:
        yield Token(kind, text, span)
    elif kind in ("wrong", "attribute"):
        raise _unreadable(source, text, span)
    else:
        yield Token(kind, _SPELLINGS.get(text, text), span)


def _name(source: Source, text: str, span: Span) -> str:
    name = unicodedata.normalize("NFC", re.sub("[′’]", "'", text))
    if len(name) > LONGEST_NAME:
        raise source.error(f"a name of {len(name):,} characters", span, hint=f"names have at most {LONGEST_NAME}")
    if name[0] in "∇∂":
        name = "d" + name[1:]
    first = text.lstrip("∇∂")[0]
    if first != "_" and not unicodedata.category(first).startswith("L"):
        raise _unreadable(source, first, span)
    if "ₜ" in name:
        raise source.error("a time index goes in brackets", span, hint=f"write {name[: name.index('ₜ')]}[t]")
    return name


def _command(source: Source, text: str, span: Span) -> Iterator[Token]:
    """A command of LaTeX, or a sign that stands for one."""
    plain = text.lstrip("\\").rstrip("'")
    name = _SIGNS.get(plain, plain)
    if name in COMMANDS:
        kind, said = COMMANDS[name]
        yield Token(kind, said + text[len(text.rstrip("'")) :], span)
    elif name in FONTS or name in STRUCTURES or name in ACCENT_COMMANDS:
        yield Token("command", name, span)
    elif name not in SPACES:
        known = [*COMMANDS, *FONTS, *STRUCTURES, *ACCENT_COMMANDS]
        close = get_close_matches(name[:40], known, 1)
        hint = "write it as it is called here, as in tanh, sum or W.T"
        if name in ("begin", "end"):
            hint = "write each equation on a line of its own"
        elif close:
            hint = f"did you mean \\{close[0]} ?"
        raise source.error(f"the command \\{name[:40]} has no meaning in an equation", span, hint=hint)


def _raised(source: Source, text: str, span: Span) -> Iterator[Token]:
    """h⁽ᵗ⁻¹⁾ is h[t-1]."""
    plain = "".join(_SUPERSCRIPT.get(c, "?") for c in text if not c.isspace())
    if "?" in plain:
        raise source.error("this raised index cannot be read", span, hint="write it in brackets, as in h[t-1]")
    for piece in re.findall(r"[0-9]+|.", plain):
        kind = "number" if piece.isdigit() else "name" if piece in "tT" else "operator"
        yield Token(kind, piece, span)


def _unreadable(source: Source, text: str, span: Span) -> LanguageError:
    if text[0] == ".":
        rest = re.match(r"\.[^\S\n]*\w{0,30}", source.text[span.start : span.start + 40])
        found = rest[0] if rest else text
        return source.error(
            f"unexpected {found}",
            span,
            hint="the only attribute is .T, the transpose; a function is written before its argument, as in tanh(a[t])",
        )
    if text in _MEANT:
        return source.error(f"unexpected character: {text} ({unicodedata.name(text).lower()})", span, hint=_MEANT[text])
    if text == "'":
        hint = "write .T for the transpose"
        return source.error(
            "text in quotes has no meaning in an equation", span, hint=f"expected names, numbers and operators; {hint}"
        )
    if text in "'\"`":
        return source.error(
            "text in quotes has no meaning in an equation", span, hint="expected names, numbers and operators"
        )
    name = unicodedata.name(text, "a control character").lower()
    shown = f"{text} ({name})" if text.isprintable() else name
    return source.error(
        f"unexpected character: {shown}", span, hint="expected a name, a number, an operator or a bracket"
    )


# -- logical lines ----------------------------------------------------------------------------------------------------
def lines(source: Source) -> Iterator[TokenLine]:
    """Yield the headers and the equations, each as one logical line.

    Raises `LanguageError` for brackets that do not match or nest too deep, and for an equation of too many tokens.
    """
    collector = _Collector(source)
    start = 0
    for text in source.text.split("\n"):
        stop = start + len(text)
        header = _HEADER.match(source.text, start, stop)
        if header:
            yield from collector.finish()
            span = source.span(header.start("key"), stop)
            if header["key"] in READ:
                collector.begin(header["key"], span)
                start = header.start("value")
            else:
                value = re.split(r"(?:^|\s)#", header["value"])[0]
                yield TokenLine(header["key"], value.strip(), (), span)
                start = stop
        fresh = not header
        for token in tokenise(source, start, stop):
            if fresh and not collector.continues_with(token):
                yield from collector.finish()
            collector.add(token)
            fresh = False
        start = stop + 1
    yield from collector.finish()


class _Collector:
    """The logical line being read, and the brackets still open in it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.key, self.span = "", source.span(0, 0)
        self.tokens: list[Token] = []
        self.open: list[Token] = []

    def begin(self, key: str, span: Span) -> None:
        self.key, self.span = key, span

    def continues_with(self, token: Token) -> bool:
        if self.open:
            return True
        last = self.tokens[-1].text if self.tokens else ""
        return last in OPERATORS or last in ("=", ",") or token.text in OPERATORS or token.text == "for"

    def add(self, token: Token) -> None:
        if token.kind == "operator":
            self._match(token)
        self.tokens.append(token)
        if len(self.tokens) > MOST_TOKENS:
            if self.open and self.open[0].span.line < token.span.line:
                raise self._unclosed()
            raise self.source.error(
                f"this equation is longer than {MOST_TOKENS} tokens",
                self.tokens[0].span,
                hint="split it into several equations",
            )

    def _match(self, token: Token) -> None:
        if token.text in ("(", "[", "{"):
            self.open.append(token)
            if len(self.open) > DEEPEST:
                raise self.source.error(
                    f"brackets are nested more than {DEEPEST} deep", token.span, hint="name the inner parts"
                )
        elif token.text in (")", "]", "}"):
            if not self.open:
                opening = {")": "(", "]": "[", "}": "{"}[token.text]
                raise self.source.error(
                    f"{token.text!r} closes nothing", token.span, hint=f"write the {opening!r} that it closes before it"
                )
            opened = self.open.pop()
            wanted = {"(": ")", "[": "]", "{": "}"}[opened.text]
            if token.text != wanted:
                hint = (
                    f"expected {wanted!r}, which closes the {opened.text!r} at {opened.span.line}:{opened.span.column}"
                )
                raise self.source.error(f"unexpected {token.text!r}", token.span, hint=hint, marks=[opened.span])

    def _unclosed(self) -> LanguageError:
        closes = {"(": ")", "[": "]", "{": "}"}[self.open[-1].text]
        said = f"{self.open[-1].text!r} is never closed"
        return self.source.error(said, self.open[-1].span, hint=f"write the {closes!r} that closes it")

    def finish(self) -> Iterator[TokenLine]:
        if self.open:
            raise self._unclosed()
        if self.tokens or self.key:
            span = self.tokens[0].span.to(self.tokens[-1].span) if self.tokens else self.span
            yield TokenLine(self.key, "", tuple(self.tokens), span)
        self.key, self.tokens = "", []
