"""Macros of a document: their definitions, and formulas with them written out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .latex_tokens import LatexToken, Unread, group, optional, tokens

#: more than this is a macro that calls itself, or a bomb
MOST_EXPANDED = 20_000

_DEFINES = re.compile(
    r"\\(?:(?:re|provide)?newcommand\*?|providecommand\*?|def|let|DeclareMathOperator\*?|DeclarePairedDelimiter)(?![A-Za-z])"
)


@dataclass(frozen=True)
class Macro:
    """What a command stands for: `body` with #1, #2 ... for its arguments, the first of which may have a `default`."""

    arguments: int
    body: tuple[LatexToken, ...]
    default: tuple[LatexToken, ...] | None = None


def definitions(text: str) -> tuple[dict[str, Macro], list[tuple[int, int]]]:
    """The macros that a text defines, and where the definitions stand; one that cannot be read is left alone.

    >>> made, _ = definitions(r"\\newcommand{\\dd}[2]{\\frac{\\partial #1}{\\partial #2}} $\\dd{L}{h}$")
    >>> made["\\\\dd"].arguments
    2
    """
    macros: dict[str, Macro] = {}
    extents: list[tuple[int, int]] = []
    for found in _DEFINES.finditer(text):
        if extents and found.start() < extents[-1][1]:
            continue
        try:
            name, macro, end = _definition(text, found)
        except Unread:
            continue
        macros[name] = macro
        extents.append((found.start(), end))
    return macros, extents


def _definition(text: str, found: re.Match[str]) -> tuple[str, Macro, int]:
    limit = min(len(text), found.end() + 2000)
    source = tokens(text, found.end(), limit)
    command = found[0].rstrip("*")
    if command == "\\let":
        name, body, at = source[0], [t for t in source[1:3] if t.text != "="][:1], 2
        at += source[1].text == "="
        return name.text, Macro(0, tuple(body)), source[at - 1].end
    named, at = group(source, 0)
    if len(named) != 1 or named[0].kind != "command":
        raise Unread("no command is defined here", found.start(), found.end())
    arguments, default = 0, None
    if command == "\\def":
        while at + 1 < len(source) and source[at].text == "#":
            arguments, at = arguments + 1, at + 2
    elif command not in ("\\DeclareMathOperator",):
        count, at = optional(source, at)
        if count and count[0].kind == "number":
            arguments = int(count[0].text)
            held, at = optional(source, at)
            default = None if held is None else tuple(held)
    body, after = group(source, at)
    if command == "\\DeclareMathOperator":
        start, end = (body[0].start, body[-1].end) if body else (0, 0)
        body = [LatexToken("text", "".join(t.text for t in body), start, end)]
    return named[0].text, Macro(arguments, tuple(body), default), source[after - 1].end


def written_out(source: Sequence[LatexToken], macros: Mapping[str, Macro]) -> list[LatexToken]:
    """The tokens with every macro replaced by its body; what comes from a body stands where the macro is called.

    Raises `Unread` for a macro without its arguments and for one that does not end.
    """
    todo = list(reversed(source))
    done: list[LatexToken] = []
    expanded = 0
    while todo:
        token = todo.pop()
        macro = macros.get(token.text) if token.kind == "command" else None
        if macro is None:
            done.append(token)
            continue
        expanded += 1 + len(macro.body)
        if expanded > MOST_EXPANDED:
            raise Unread(f"{token.text} does not end when it is written out", token.start, token.end)
        todo += reversed(_body(token, macro, todo))
    return done


def _body(call: LatexToken, macro: Macro, todo: list[LatexToken]) -> list[LatexToken]:
    """The body with the arguments put in, which are taken off `todo`."""
    arguments: list[list[LatexToken]] = []
    ahead = todo[::-1][:4000] if macro.arguments else []
    at = 0
    if macro.default is not None:
        held, at = optional(ahead, 0)
        arguments.append(list(macro.default) if held is None else held)
    while len(arguments) < macro.arguments:
        if at >= len(ahead):
            raise Unread(f"{call.text} takes {macro.arguments} arguments", call.start, call.end)
        argument, at = group(ahead, at)
        arguments.append(argument)
    if at:
        del todo[len(todo) - at :]
    body: list[LatexToken] = []
    parts = iter(macro.body)
    for part in parts:
        if part.text != "#":
            body.append(part.at(call))
            continue
        number = next(parts, None)
        if number is None or not number.text.isdigit() or not 1 <= int(number.text) <= len(arguments):
            raise Unread(f"{call.text} names an argument that it does not take", call.start, call.end)
        body += [LatexToken("sign", "{", call.start, call.end), *arguments[int(number.text) - 1]]
        body.append(LatexToken("sign", "}", call.start, call.end))
    return body
