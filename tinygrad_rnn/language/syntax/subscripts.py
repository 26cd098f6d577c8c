"""Which scripts are steps, for a whole file at once: `h_t` is `h[t]`, `W_i` a name, `h^t` a power or a step.

What a file in plain spelling means is never changed but for one case: `a_t` is `a[t]` where t is an index, unless the
file has a plain `a_t`: a name in a header, or the left side of an equation without any time.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from ..functions import ALIASES, FUNCTIONS, REDUCTIONS
from .commands import ACCENT_COMMANDS, FONTS
from .source import Source, Span
from .tokens import Token, TokenLine

OPENING, CLOSING = ("(", "[", "{"), (")", "]", "}")
#: the last step in some books
TAU = ("τ", "tau")


def split(token: Token) -> tuple[str, str]:
    """`h_t` as h and t; a name without an underscore has no second part."""
    if "_" not in token.text or token.kind != "name":
        return token.text, ""
    base, _, below = token.text.rpartition("_")
    return (base, below) if base and below else (token.text, "")


def is_caret(source: Source, token: Token) -> bool:
    """Whether a power is written `^`, which may also begin a superscript."""
    return token.text == "**" and source.text[token.span.start] == "^"


def pair_brackets(tokens: Sequence[Token]) -> dict[int, int]:
    """Where the bracket closes that opens at a place."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for at, token in enumerate(tokens):
        if token.kind == "operator" and token.text in OPENING:
            opened.append(at)
        elif token.kind == "operator" and token.text in CLOSING and opened:
            pairs[opened.pop()] = at
    return pairs


def cut(tokens: Sequence[Token], at: int, pairs: Mapping[int, int]) -> tuple[int, int, int]:
    """The script or argument that begins at a place: where its content begins and ends, and the place behind it."""
    while at < len(tokens) and tokens[at].kind == "command" and tokens[at].text in FONTS:
        at += 1
    if at < len(tokens) and tokens[at].text == "{" and at in pairs:
        return at + 1, pairs[at], pairs[at] + 1
    return at, at + 1, at + 1


def adjacent(tokens: Sequence[Token], at: int) -> bool:
    """Whether a name is the script of what stands before it: `_t` behind a closing brace or a command."""
    token = tokens[at]
    return token.kind == "name" and token.text[:1] == "_" and at > 0 and tokens[at - 1].span.stop == token.span.start


def are_digits(tokens: Sequence[Token]) -> bool:
    """Whether tokens are whole numbers, with commas between them."""
    return bool(tokens) and all(token.text.isdigit() or token.text == "," for token in tokens)


def is_function(name: str) -> bool:
    """Whether a bracket behind a name is that of a call."""
    return name in FUNCTIONS or name in ALIASES or name in REDUCTIONS


class Subscripts:
    """What the names of a file are: those with a time, those that are plain, whether τ stands for T."""

    def __init__(self, source: Source, lines: Sequence[TokenLine]) -> None:
        self.source = source
        headers = [line for line in lines if line.key]
        self.running, self.lengths = _indices(headers)
        #: names that stand in a header, each with its place
        self.declared = {
            token.text: token.span
            for line in headers
            if line.key != "indices"
            for token in line.tokens
            if token.kind == "name"
        }
        #: bases that have a time for certain, those that have it in a script, those that have it raised
        self.timed: set[str] = set()
        self.scripted: set[str] = set()
        self.raised: set[str] = set()
        #: names that stand somewhere without any script
        self.bare: set[str] = set()
        equations = [line.tokens for line in lines if not line.key]
        self.tau = any(self._bounds_by_tau(tokens) for tokens in equations)
        for tokens in equations:
            self._look(tokens)
        self._plain: dict[str, Span] = {}
        self._find_plain(equations)

    def letters(self, tokens: Sequence[Token]) -> set[str]:
        """The running indices that an equation may use: those declared, those of its sums, and that of its target."""
        equals = next((at for at, token in enumerate(tokens) if token.text == "="), 0)
        target = {
            after.text for before, after in pairwise(tokens[:equals]) if before.text == "[" and after.kind == "name"
        }
        known = self.running | target | self.scripted_sums(tokens) | self._plain_sums(tokens)
        return known - self.lengths - {"in", "and"} - set(TAU if self.tau else ())

    def scripted_sums(self, tokens: Sequence[Token]) -> set[str]:
        """The letters of sums that have their limits in scripts."""
        heads = [(at, token) for at, token in enumerate(tokens[:-1]) if split(token)[0] in REDUCTIONS]
        pairs, letters = pair_brackets(tokens) if heads else {}, set()
        for at, token in heads:
            first, last = at + 1, at + 1
            if split(token)[1]:
                letters.add(split(token)[1])
            elif tokens[at + 1].text == "_":
                first, last, _ = cut(tokens, at + 2, pairs)
            elif adjacent(tokens, at + 1):
                letters.add(tokens[at + 1].text[1:])
            letters |= {inner.text for inner in tokens[first:last] if inner.kind == "name"}
        return letters - self.lengths - {"in", "and"}

    def _plain_sums(self, tokens: Sequence[Token]) -> set[str]:
        heads = [at for at, token in enumerate(tokens[:-1]) if token.text in REDUCTIONS]
        pairs, letters = pair_brackets(tokens) if heads else {}, set()
        for at in heads:
            inside = tokens[at + 2 : pairs.get(at + 1, 0)]
            comma = next((i for i, inner in enumerate(inside) if inner.text == ","), 0)
            letters |= {inner.text for inner in inside[:comma] if inner.kind == "name"}
        return letters

    def is_time(self, tokens: Sequence[Token], letters: Collection[str]) -> bool:
        """Whether tokens are a step, or several, with at least one letter in them."""
        names = [token.text for token in tokens if token.kind == "name"]
        known = {*letters, *self.lengths, *(TAU if self.tau else ())}
        others = [token.text for token in tokens if token.kind not in ("name", "number")]
        return bool(names) and known.issuperset(names) and all(text in ("+", "-", "*", ",") for text in others)

    def has_time(self, base: str) -> bool:
        """Whether a quantity, or what it is the gradient of, is written with a time somewhere."""
        return bool({base, base.removeprefix("d"), "d" + base} & self.timed)

    def is_scripted(self, base: str) -> bool:
        """Whether the steps of a quantity are written in scripts, be it `a_t` alone."""
        return bool({base, base.removeprefix("d"), "d" + base} & self.scripted)

    def is_raised(self, base: str) -> bool:
        """Whether the steps of a quantity are written as superscripts."""
        return bool({base, base.removeprefix("d"), "d" + base} & self.raised)

    def is_step(self, token: Token, letters: Collection[str], scripted: Collection[str]) -> bool:
        """Whether `a_t` is `a[t]`, where the `scripted` letters belong to sums with their limits in scripts.

        Raises `LanguageError` where it may be both.
        """
        base, below = split(token)
        if not below or base in REDUCTIONS:
            return False
        if below.isdigit():
            return token.text not in self.declared and self.is_scripted(base)
        if below in self.lengths or (below in TAU and self.tau):
            return token.text not in self.declared and (self.has_time(base) or self.is_scripted(base))
        if below not in letters:
            return False
        plain = self.declared.get(token.text) or self._plain.get(token.text)
        if plain is None:
            return self.has_time(base) or below == "t" or base in self.declared or below in scripted
        if self.has_time(base):
            raise self.source.error(
                f"{token.text} may be {base}[{below}] or a name of its own",
                token.span,
                hint=f"write {base}[{below}] for the quantity at a step; the name on line {plain.line} "
                f"needs another spelling, such as {base}{below}",
            )
        return False

    # -- what the file shows ------------------------------------------------------------------------------------------
    def _bounds_by_tau(self, tokens: Sequence[Token]) -> bool:
        """Whether τ is the end of something that another letter runs over: `t < τ`, `t = 1..τ`, a sum up to τ."""
        summed = self.scripted_sums(tokens) | self._plain_sums(tokens)
        others = (summed | self.running) - set(TAU)
        raised = False
        for at, token in enumerate(tokens):
            raised = raised and token.text in ("{", *TAU)
            if token.text in TAU and others & {other.text for other in tokens[max(at - 5, 0) : at + 3]}:
                before, after = tokens[at - 1].text if at else "", tokens[at + 1].text if at + 1 < len(tokens) else ""
                if raised or before in ("<", "<=", "..") or after in (">", ">="):
                    return not {*TAU} & {other.text for other in tokens[: at - 1]} or not summed & {*TAU}
            if is_caret(self.source, token) and summed:
                raised = True
        return False

    def _look(self, tokens: Sequence[Token]) -> None:
        """Note what one equation shows."""
        pairs, letters = pair_brackets(tokens), self.letters(tokens)
        for at, token in enumerate(tokens):
            base = _base(tokens, at - 1, letters) if at else ""
            if token.kind == "name" and not self._has_script(tokens, at + 1):
                self.bare.add(token.text)
            if split(token)[1] in letters and token.text not in self.declared:
                self.scripted.add(split(token)[0])
            if base and self._is_timed(tokens, at, pairs, letters, base):
                self.timed.add(base)
                if token.text != "[":
                    self.scripted.add(base)
                if is_caret(self.source, token):
                    self.raised.add(base)

    def _has_script(self, tokens: Sequence[Token], at: int) -> bool:
        if at >= len(tokens):
            return False
        return tokens[at].text in ("[", "_") or is_caret(self.source, tokens[at]) or adjacent(tokens, at)

    def _is_timed(
        self, tokens: Sequence[Token], at: int, pairs: Mapping[int, int], letters: Collection[str], base: str
    ) -> bool:
        """Whether what stands at a place, behind `base`, gives it a step for certain."""
        token = tokens[at]
        if token.text == "[":
            return True
        if adjacent(tokens, at):
            return token.text[1:] in {*letters, *self.lengths}
        if token.text == "(" and not is_function(base):
            return at in pairs and self.is_time(tokens[at + 1 : pairs[at]], letters)
        if token.text != "_" and not is_caret(self.source, token):
            return False
        first, last, behind = cut(tokens, at + 1, pairs)
        if tokens[first : first + 1] and tokens[first].text == "(" and first in pairs and behind == last:
            first, last, behind = first + 1, pairs[first], pairs[first] + 1
        inside = tokens[first:last]
        if token.text == "_":
            return self.is_time(inside, letters)
        if len(inside) > 2 and inside[0].text in ("(", "<"):
            return self.is_time(inside[1:-1], letters)
        on_the_left = behind < len(tokens) and tokens[behind].text == "="
        return on_the_left and "=" not in [before.text for before in tokens[:at]] and self.is_time(inside, letters)

    def _find_plain(self, equations: Sequence[Sequence[Token]]) -> None:
        """The names `a_t` that an equation without any time defines, and those that read only these."""
        targets = {
            tokens[0].text: tokens
            for tokens in equations
            if len(tokens) > 1 and tokens[1].text == "=" and split(tokens[0])[1] in self.running
        }
        before = -1
        while before < len(self._plain):
            before = len(self._plain)
            for name, tokens in targets.items():
                base, below = split(tokens[0])
                gradient = base[:1] == "d" and (self.has_time(base[1:]) or name[1:] in targets)
                if not gradient and not any(self._reads(token, below) for token in tokens[2:]):
                    self._plain[name] = tokens[0].span

    def _reads(self, token: Token, letter: str) -> bool:
        """Whether a token is something at a step, or the step itself."""
        named = split(token)[1] == letter and token.text not in self.declared and token.text not in self._plain
        return named or token.text in (letter, "_" + letter)


def _indices(headers: Sequence[TokenLine]) -> tuple[set[str], set[str]]:
    """The letters of the indices and of the lengths: those declared, else t and T."""
    declared = [line for line in headers if line.key == "indices"]
    if not declared:
        return {"t"}, {"T"}
    names = [token.text for line in declared for token in line.tokens if token.kind == "name"]
    return {name for name in names if not name[:1].isupper()}, {name for name in names if name[:1].isupper()}


def _base(tokens: Sequence[Token], at: int, letters: Collection[str]) -> str:
    """The name that ends at a place, whatever font or accent it is set in; empty if none does."""
    token = tokens[at]
    if token.kind == "name":
        return split(token)[0] if split(token)[1] in letters else token.text
    if token.text != "}" or at < 3 or tokens[at - 1].kind != "name" or tokens[at - 2].text != "{":
        return ""
    name, command = tokens[at - 1].text, tokens[at - 3]
    if command.kind != "command" or (command.text not in FONTS and command.text not in ACCENT_COMMANDS):
        return ""
    return unicodedata.normalize("NFC", name + ACCENT_COMMANDS.get(command.text, ""))
