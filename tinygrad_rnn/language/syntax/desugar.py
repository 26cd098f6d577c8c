r"""Equations as people write them to equations as the grammar has them: scripts, fractions, sums with limits, methods.

`h_{t-1}`, `h^{(t-1)}`, `h^{<t-1>}` and `h(t-1)` are `h[t-1]`; `\frac{\partial L}{\partial h_t}` and `dL/dh[t]` are
`dh[t]`; `\sum_{t=1}^{T} L_t` is `sum(t = 1..T, L[t])`; `W^T` is `W.T`; `, t < T` is `for t < T`. Tokens become tokens,
each with the place of what the user wrote. What a file in plain spelling means is left as it is: which
scripts are steps is for `subscripts` to say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.errors import LanguageError
from ..functions import REDUCTIONS
from .commands import ACCENT_COMMANDS, FONTS, FUNCTION_SPELLINGS, MODULES
from .indices import MIRRORED
from .source import Source, Span
from .subscripts import (
    CLOSING,
    OPENING,
    TAU,
    Subscripts,
    adjacent,
    are_digits,
    cut,
    is_caret,
    is_function,
    pair_brackets,
    split,
)
from .tokens import Token, TokenLine

_STARTS = ("for", "if", "where")
_WORDS = {"all", "each", "every"}
_EXPECTED = "expected a step, as in h_{t-1}, or a name, as in W_{hh}"


def desugared(source: Source, lines: Iterable[TokenLine]) -> Iterator[TokenLine]:
    r"""The lines of a file in the spelling of the grammar; raises `LanguageError` where a part cannot be read, at its
    turn.

    >>> from .tokens import lines
    >>> text = Source(r"dL/dh_t := W^T \cdot \delta_{t+1}, t < T")
    >>> " ".join(token.text for line in desugared(text, lines(text)) for token in line.tokens)
    'dh [ t ] = W .T @ δ [ t + 1 ] for t < T'
    """
    read, failed = [], None
    try:
        for line in lines:
            read.append(line._replace(tokens=tuple(_dots_joined(_words_bare(line.tokens)))))
    except LanguageError as error:
        failed = error
    names = Subscripts(source, read)
    for line in read:
        if line.key or not line.tokens:
            yield line
        else:
            yield line._replace(tokens=tuple(_Rewriter(source, names, line.tokens).equation()))
    if failed is not None:
        raise failed


def _words_bare(tokens: Sequence[Token]) -> Sequence[Token]:
    r"""`\text{for all}` as the words alone."""
    pairs = pair_brackets(tokens)
    gone: set[int] = set()
    for at, (font, brace, word) in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        if font.kind == "command" and font.text in FONTS and brace.text == "{" and word.text in (*_STARTS, "and"):
            gone |= {at, at + 1, pairs[at + 1]}
    return [token for at, token in enumerate(tokens) if at not in gone] if gone else tokens


def _dots_joined(tokens: Sequence[Token]) -> Iterator[Token]:
    """`1, ..., T` and `1, 2, ..., T` as `1 .. T`."""
    held: list[Token] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.text == "," and at + 1 < len(tokens) and tokens[at + 1].text == "..":
            while len(held) > 2 and held[-2].text == "," and held[-1].kind == "number" and held[-3].kind == "number":
                del held[-2:]
            held.append(tokens[at + 1])
            at += 3 if at + 2 < len(tokens) and tokens[at + 2].text == "," else 2
            continue
        held.append(token)
        at += 1
    yield from held


class _Script(NamedTuple):
    """A subscript or superscript: its sign, what it says (from `first` on), its closing brace, the place behind it."""

    raised: bool
    sign: Span
    inside: Sequence[Token]
    closes: Span | None
    behind: int
    first: int = 0

    @property
    def end(self) -> Span:
        """Where it ends."""
        return self.closes or self.inside[-1].span


@dataclass
class _Scripted:
    """A name with the index in brackets that its scripts amount to, and the transpose or power behind it."""

    name: Token | None
    index: list[Token] = field(default_factory=list)
    raised: list[Token] = field(default_factory=list)


def _kind(text: str) -> str:
    return "number" if text.isdigit() else "name"


class _Rewriter:
    """One equation."""

    def __init__(self, source: Source, names: Subscripts, tokens: Sequence[Token]) -> None:
        self.source, self.names, self.tokens = source, names, tokens
        self.pairs = pair_brackets(tokens)
        self.letters = names.letters(tokens)
        #: letters of sums that are written with scripts
        self.scripted = names.scripted_sums(tokens)

    def equation(self) -> list[Token]:
        """Both sides, and the condition behind them."""
        tokens = self.tokens
        equals = next((at for at in self._top(0) if tokens[at].text == "="), None)
        start, word = (len(tokens), None) if equals is None else self._condition(equals + 1)
        made = self._run(0, start if word is not None else len(tokens))
        if word is None:
            return made
        return [*made, word, *self._times(self.tokens[start:])]

    def _top(self, first: int) -> Iterator[int]:
        """The places outside of brackets."""
        at = first
        while at < len(self.tokens):
            yield at
            at = self.pairs.get(at, at) + 1

    # -- conditions ---------------------------------------------------------------------------------------------------
    def _condition(self, first: int) -> tuple[int, Token | None]:
        """Where the condition begins, if there is one, and the `for` that stands before it."""
        tokens, comma = self.tokens, None
        for at in self._top(first):
            token, before = tokens[at], tokens[at - 1]
            if token.kind == "name" and token.text in _STARTS and at > first and self._ends(before):
                return self._without(at, at + 1, token)
            if token.text == ",":
                following = tokens[at + 1].text if at + 1 < len(tokens) else ""
                if following in _STARTS:
                    return self._without(at, at + 2, tokens[at + 1])
                comma = at if comma is None else comma
            elif token.text in MIRRORED or (token.kind == "name" and token.text == "in"):
                if comma is None:
                    break
                return self._without(comma, comma + 1, Token("name", "for", tokens[comma].span))
        close = len(tokens) - 1
        at = next((start for start, stop in self.pairs.items() if stop == close), -1)
        if at > first and tokens[at].text == "(" and self._ends(tokens[at - 1]):
            inside = tokens[at + 1 : close]
            steps = [token for token in inside if token.text not in (*MIRRORED, "..", "in", "and", "%", "{", "}")]
            called = is_function(tokens[at - 1].text)
            if not called and len(steps) < len(inside) and self.names.is_time(steps, self.letters):
                return self._without(at, at + 1, Token("name", "for", tokens[at].span), close)
        return len(tokens), None

    def _without(self, limit: int, start: int, word: Token, stop: int | None = None) -> tuple[int, Token]:
        """The condition from `start` on, written behind what stands before `limit`."""
        tail = self.tokens[start:stop]
        self.tokens = [*self.tokens[:limit], *tail]
        return limit, word

    def _ends(self, token: Token) -> bool:
        """Whether an operand may end with a token."""
        return token.kind in ("name", "number") or token.text in (*CLOSING, ".T")

    def _times(self, tokens: Sequence[Token]) -> list[Token]:
        """Tokens of a step or a condition: τ is T, braces and words such as `all` are left out."""
        kept = []
        for token in tokens:
            if token.text in TAU and self.names.tau:
                kept.append(token._replace(text="T"))
            elif token.text in ("{", "}") or (token.kind == "command" and token.text in FONTS):
                continue
            elif not (token.kind == "name" and token.text in _WORDS):
                kept.append(token)
        return kept

    # -- formulas -----------------------------------------------------------------------------------------------------
    def _run(self, first: int, last: int) -> list[Token]:
        """The tokens from `first` to `last`; a sum with its limits in scripts ends where its term does."""
        made: list[Token] = []
        sums: list[int] = []
        at = first
        while at < last:
            token = self.tokens[at]
            ends = token.text in ("+", "-") and made and self._ends(made[-1]) and token.kind == "operator"
            if sums and (ends or (token.kind == "operator" and token.text in (",", ";", "=", *MIRRORED))):
                self._close(made, sums)
            head = self._sum_head(at, last)
            if head is not None:
                tokens, at = head
                made += tokens
                sums.append(len(made))
                continue
            at = self._part(at, last, made)
        self._close(made, sums)
        return made

    def _close(self, made: list[Token], sums: list[int]) -> None:
        for begin in reversed(sums):
            if len(made) == begin:
                raise self.source.error(
                    "this sum has nothing to add", made[-1].span, hint="write what is added, as in sum(t, L[t])"
                )
            made.append(self._behind(made[-1].span, ")"))
        sums.clear()

    def _behind(self, span: Span, text: str) -> Token:
        """A token of no width behind a place."""
        return Token("operator", text, self.source.span(span.stop, span.stop))

    def _part(self, at: int, last: int, made: list[Token]) -> int:
        token = self.tokens[at]
        if token.kind == "command":
            return self._command(at, last, made)
        if token.kind == "name":
            return self._name(token, at, last, made)
        if token.kind == "operator" and token.text in OPENING:
            close = self.pairs[at]
            inner = self._run(at + 1, close)
            if token.text == "{":
                if len(inner) == 1 and inner[0].kind == "name":
                    return self._scripts(inner[0], close + 1, last, made)
                made += [token._replace(text="("), *inner, self.tokens[close]._replace(text=")")]
            else:
                made += [token, *inner, self.tokens[close]]
            return self._scripts(None, close + 1, last, made)
        if token.text == "_" and token.kind == "operator":
            raise self.source.error("this subscript has nothing that it belongs to", token.span, hint=_EXPECTED)
        made.append(token)
        if token.kind == "number" or token.text in (".T",):
            return self._scripts(None, at + 1, last, made)
        return at + 1

    # -- names and their scripts --------------------------------------------------------------------------------------
    def _name(self, token: Token, at: int, last: int, made: list[Token]) -> int:
        tokens = self.tokens
        if token.text in MODULES and at + 1 < last and tokens[at + 1].kind == "attribute":
            return self._module(at, last, made)
        derived = self._quotient(at, last)
        if derived is not None:
            token, at = derived
        elif token.text[:2] == "d_" and self.source.text[token.span.start] == "∇":
            return self._nabla_of(at, last, made)
        return self._scripts(token, at + 1, last, made)

    def _module(self, at: int, last: int, made: list[Token]) -> int:
        """`np.tanh` is tanh."""
        first = self.tokens[at].span
        while at + 1 < last and self.tokens[at + 1].kind == "attribute":
            at += 1
        name = self.tokens[at].text[1:]
        span = first.to(self.tokens[at].span)
        if name not in FUNCTION_SPELLINGS:
            raise self.source.error(f"{name} is no function", span, hint="write the function's name, as in tanh(a[t])")
        made.append(Token("name", FUNCTION_SPELLINGS[name], span))
        opens = at + 1
        if FUNCTION_SPELLINGS[name] == "concat" and opens + 1 < last and self.tokens[opens + 1].text in ("(", "["):
            made += [self.tokens[opens], *self._run(opens + 2, self.pairs[opens + 1])]  # the parts of the tuple
            return self.pairs[opens + 1] + 1
        return at + 1

    def _scripts(self, name: Token | None, at: int, last: int, made: list[Token]) -> int:
        """Put a name with its index, transpose or power down; without a name it is what `made` ends with."""
        scripted = self._stepped(name)
        while at < last and (script := self._script(at, last)) is not None:
            if script.raised and not self._above(scripted, script):
                break
            if not script.raised:
                self._below(scripted, script)
            at = script.behind
        name = scripted.name
        bracket = self.tokens[at] if at < last and name is not None and not scripted.index else None
        if name is not None and bracket is not None and bracket.kind == "operator":
            called = bracket.text == "(" and not scripted.raised and self._is_step_call(name, at)
            if called or bracket.text == "[":
                close = self.pairs[at]
                opens, closes = bracket._replace(text="["), self.tokens[close]._replace(text="]")
                made += [name, opens, *self._times(self.tokens[at + 1 : close]), closes, *scripted.raised]
                return self._scripts(None, close + 1, last, made)
        made += [*([name] if name is not None else []), *scripted.index, *scripted.raised]
        return at

    def _stepped(self, name: Token | None) -> _Scripted:
        """A name as it begins: `h_t` as h with its index."""
        if name is None or not self.names.is_step(name, self.letters, self.scripted):
            return _Scripted(name)
        base, below = split(name)
        cutting = name.span.stop - len(below)
        inner = Token(_kind(below), below, self.source.span(cutting, name.span.stop))
        line = Token("operator", "[", self.source.span(cutting - 1, cutting))
        index = [line, *self._times([inner]), self._behind(name.span, "]")]
        return _Scripted(Token("name", base, self.source.span(name.span.start, cutting - 1)), index)

    def _script(self, at: int, last: int) -> _Script | None:
        """The script that begins at a place, if one does."""
        tokens, token = self.tokens, self.tokens[at]
        if adjacent(tokens, at):
            begin = token.span.start + 1
            inner = Token(_kind(token.text[1:]), token.text[1:], self.source.span(begin, token.span.stop))
            return _Script(False, self.source.span(begin - 1, begin), (inner,), None, at + 1)
        raised = is_caret(self.source, token)
        if not raised and (token.text != "_" or token.kind != "operator"):
            return None
        first, stop, behind = cut(tokens, at + 1, self.pairs)
        if stop > last and not raised:
            raise self.source.error("this subscript is empty", token.span, hint=_EXPECTED)
        if raised and stop <= last and tokens[first].text == "(" and first == at + 1:
            stop = behind = self.pairs[first] + 1
        elif raised and (stop > last or (tokens[first].kind == "operator" and first == at + 1)):
            return None
        closes = tokens[behind - 1].span if behind > stop else None
        return _Script(raised, token.span, tokens[first:stop], closes, behind, first)

    def _is_step_call(self, name: Token, at: int) -> bool:
        inside = self.tokens[at + 1 : self.pairs[at]]
        return not is_function(name.text) and (
            self.names.is_time(inside, self.letters) or (are_digits(inside) and self.names.has_time(name.text))
        )

    def _below(self, scripted: _Scripted, script: _Script) -> None:
        """A subscript: a step where it is one, else a part of the name."""
        name, inside = scripted.name, script.inside
        if name is None:
            hint = "write the step at each name in it, as in h[t-1]"
            raise self.source.error("a subscript belongs to a name", script.sign, hint=hint)
        numbered = self.names.has_time(name.text) or self.names.is_scripted(name.text)
        step = self.names.is_time(inside, self.letters) or (are_digits(inside) and numbered)
        if step and not scripted.index:
            scripted.index = self._index(script, inside)
            return
        plain = [token for token in inside if token.kind != "command" and token.text not in ("{", "}", ",")]
        known = self.letters | self.names.lengths
        word = not any(token.text in known for token in plain) or len(plain) == 1
        if plain and word and not scripted.index and all(token.text.isalnum() for token in plain):
            text = "".join(token.text for token in plain)
            scripted.name = Token("name", f"{name.text}_{text}", name.span.to(script.end))
            return
        hint = _EXPECTED
        unknown = [token for token in inside if token.kind == "name" and token.text not in known]
        if unknown:
            said = unknown[0].text
            hint = f"write t, T and numbers, as in {name.text}[t-1]; or declare   indices: {said} = 1..{said.upper()}"
        raise self.source.error("this subscript cannot be read", script.sign.to(script.end), hint=hint)

    def _index(self, script: _Script, inside: Sequence[Token]) -> list[Token]:
        """A script as the index in brackets, each where the user has its sign."""
        closing = Token("operator", "]", script.closes) if script.closes else self._behind(script.end, "]")
        return [Token("operator", "[", script.sign), *self._times(inside), closing]

    def _is_top(self, inside: Sequence[Token]) -> bool:
        """Whether a raised sign is that of the transpose."""
        texts = [token.text for token in inside if token.text not in FONTS and token.text not in ("{", "}")]
        return texts in (["T"], ["top"], ["intercal"])

    def _above(self, scripted: _Scripted, script: _Script) -> bool:
        """A superscript: a step, the transpose, a power, a layer; False for a power that the grammar reads itself."""
        inside = script.inside
        base = scripted.name.text if scripted.name is not None else ""
        stepless = bool(base) and not scripted.index
        raised = bool(base) and self.names.is_raised(base)
        if len(inside) > 2 and inside[0].text in ("(", "<", "["):
            content, braced = inside[1:-1], script.closes is not None
            certain = braced or raised or (self.names.has_time(base) and base not in self.names.bare)
            time = self.names.is_time(content, self.letters) or (are_digits(content) and raised)
            if stepless and certain and time:
                scripted.index = self._index(script, content)
                return True
            if scripted.name is not None and braced and are_digits(content) and len(content) == 1:
                text = base + ("_" if base[-1:].isdigit() else "") + content[0].text  # the layer
                span = scripted.name.span if scripted.index else scripted.name.span.to(script.end)
                scripted.name = Token("name", text, span)
                return True
        if self._is_top(inside) and not (raised and stepless and inside[0].text == "T"):
            scripted.raised.append(Token("operator", ".T", script.sign.to(script.end)))
            return True
        free = raised or (bool(self.names.raised) and base not in self.names.bare)
        if stepless and free and self.names.is_time(inside, self.letters):
            scripted.index = self._index(script, inside)
            return True
        if scripted.raised:
            return False
        power: list[Token] = list(inside)
        if script.closes is not None or len(inside) > 1:
            power = self._run(script.first, script.first + len(inside))
        if script.closes is not None:
            opened = self.source.span(script.sign.stop, script.sign.stop)
            power = [Token("operator", "(", opened), *power, Token("operator", ")", script.closes)]
        scripted.raised += [Token("operator", "**", script.sign), *power]
        return True

    # -- commands -----------------------------------------------------------------------------------------------------
    def _command(self, at: int, last: int, made: list[Token]) -> int:
        tokens, token = self.tokens, self.tokens[at]
        if token.text in ("partial", "nabla") or self._differential(at, last) is not None:
            derived = self._quotient(at, last)
            if derived is not None:
                return self._scripts(derived[0], derived[1] + 1, last, made)
            if token.text == "nabla":
                return self._nabla(at, last, made)
            simple = self._differential(at, last)
            if simple is not None and token.text == "partial":
                return self._scripts(simple[0], simple[1] + 1, last, made)
        if token.text.endswith("frac"):
            return self._fraction(at, last, made)
        if token.text == "sqrt":
            made.append(Token("name", "sqrt", token.span))
            return at + 1
        base = self._named(at, last)
        if base is not None:
            return self._name_from(base[0], base[1], last, made)
        if token.text in FONTS and at + 1 < last:
            if tokens[at + 1].text == "{":
                close = self.pairs[at + 1]
                made += self._run(at + 2, close)
                return self._scripts(None, close + 1, last, made) if made and self._ends(made[-1]) else close + 1
            return at + 1
        if token.text in ("top", "intercal"):
            raise self.source.error("the sign of a transpose is raised", token.span, hint="write W^\\top, or W.T")
        hint = "write what it stands for, as in tanh(a[t]) or h[t-1]"
        if token.text == "partial":
            hint = "write the gradient of a quantity with a name: a[t] = W @ h[t-1], and dL/da[t]"
        raise self.source.error(f"\\{token.text} cannot stand here", token.span, hint=hint)

    def _name_from(self, name: Token, at: int, last: int, made: list[Token]) -> int:
        if name.kind == "number":
            made.append(name)
            return self._scripts(None, at + 1, last, made)
        return self._scripts(name, at + 1, last, made)

    def _named(self, at: int, last: int) -> tuple[Token, int] | None:
        """A name at a place, whatever font or accent it is set in, and where it ends."""
        tokens = self.tokens
        accents: list[str] = []
        closes: list[int] = []
        begin = at
        while at < last and tokens[at].kind == "command" and tokens[at].text in (*FONTS, *ACCENT_COMMANDS):
            accents.append(ACCENT_COMMANDS.get(tokens[at].text, ""))
            at += 1
            if at < last and tokens[at].text == "{":
                closes.append(self.pairs[at])
                at += 1
        if at >= last or tokens[at].kind not in ("name", "number"):
            return None
        end = at
        for close in reversed(closes):
            if close != end + 1:
                return None
            end = close
        name = tokens[at]
        if name.kind == "number" and any(accents):
            return None
        text = unicodedata.normalize("NFC", name.text + "".join(reversed(accents)))
        return Token(name.kind, text, tokens[begin].span.to(tokens[end].span)), end

    def _fraction(self, at: int, last: int, made: list[Token]) -> int:
        tokens, token = self.tokens, self.tokens[at]
        parts = []
        behind = at + 1
        for _ in range(2):
            first, stop, behind = cut(tokens, behind, self.pairs)
            if stop > last:
                raise self.source.error("this fraction is not whole", token.span, hint="write \\frac{a}{b}, or a / b")
            parts.append((first, stop))
        (first, stop), (low, end) = parts
        upper, lower = self._differential(first, stop), self._differential(low, end)
        whole = token.span.to(tokens[behind - 1].span)
        if upper is not None and lower is not None:
            if upper[0].text != "dL" or upper[1] != stop - 1:
                raise self._no_gradient(upper[0], whole)
            inner: list[Token] = []
            rest = self._scripts(lower[0], lower[1] + 1, end, inner)
            if rest != end:
                raise self.source.error(
                    "this is no quantity", tokens[rest].span, hint="name it in an equation, and write dL/da[t]"
                )
            inner[0] = inner[0]._replace(span=token.span.to(inner[0].span))
            inner[-1] = inner[-1]._replace(span=inner[-1].span.to(tokens[behind - 1].span))
            made += inner
        else:
            comma = self._behind(tokens[stop - 1].span, ",")
            made += [
                Token("name", "divide", token.span),
                self._behind(token.span, "("),
                *self._run(first, stop),
                comma,
                *self._run(low, end),
                Token("operator", ")", tokens[behind - 1].span),
            ]
        return self._scripts(None, behind, last, made)

    # -- derivatives --------------------------------------------------------------------------------------------------
    def _differential(self, at: int, last: int) -> tuple[Token, int] | None:
        """`dh`, `∂h`, `\\partial h`, `\\mathrm{d}h` as the name dh, and where it ends."""
        if at >= last:
            return None
        token = self.tokens[at]
        if token.kind == "name" and token.text[:1] == "d" and len(token.text) > 1:
            return token, at
        if token.kind == "command":
            begin: int | None = at + 1 if token.text == "partial" else None
            named = self._named(at, last) if begin is None else None
            if named is not None and named[0].text == "d":
                begin = named[1] + 1
            elif named is not None and named[0].text[:1] == "d" and len(named[0].text) > 1:
                return named
            inner = self._named(begin, last) if begin is not None else None
            if inner is not None and inner[0].kind == "name":
                return Token("name", "d" + inner[0].text, token.span.to(inner[0].span)), inner[1]
        return None

    def _quotient(self, at: int, last: int) -> tuple[Token, int] | None:
        """`dL/dh` as the name dh, and where it ends; only the loss is differentiated."""
        tokens = self.tokens
        upper = self._differential(at, last)
        if upper is None or upper[1] + 1 >= last or tokens[upper[1] + 1].text != "/":
            return None
        lower = self._differential(upper[1] + 2, last)
        if lower is None:
            return None
        if upper[0].text != "dL":
            step = split(upper[0])[0] == "dL" and self.names.is_step(upper[0], self.letters, self.scripted)
            if step or self.source.text[upper[0].span.start] in "∂\\":
                raise self._no_gradient(upper[0], upper[0].span.to(lower[0].span))
            return None
        return lower[0]._replace(span=upper[0].span.to(lower[0].span)), lower[1]

    def _no_gradient(self, upper: Token, span: Span) -> LanguageError:
        return self.source.error(
            f"only L is differentiated here, not {upper.text[1:]}",
            span,
            hint="write dL/dh[t], or dh[t], for the gradient of the loss L",
        )

    def _nabla(self, at: int, last: int, made: list[Token]) -> int:
        r"""`\nabla_{h_t} L`, `\nabla h_t`."""
        tokens, token = self.tokens, self.tokens[at]
        if at + 1 < last and (tokens[at + 1].text == "_" or adjacent(tokens, at + 1)):
            if tokens[at + 1].text == "_":
                first, stop, behind = cut(tokens, at + 2, self.pairs)
                inner = self._run(first, min(stop, last))
            else:
                below = tokens[at + 1]
                inner, behind = [below._replace(text=below.text[1:])], at + 2
            return self._gradient_of(token.span, inner, behind, last, made)
        named = self._named(at + 1, last)
        if named is None or named[0].kind != "name":
            raise self.source.error("a gradient needs a quantity", token.span, hint="write \\nabla_{h_t} L, or dh[t]")
        name = Token("name", "d" + named[0].text, token.span.to(named[0].span))
        return self._scripts(name, named[1] + 1, last, made)

    def _nabla_of(self, at: int, last: int, made: list[Token]) -> int:
        """`∇_W L`: the name was read as d_W."""
        token = self.tokens[at]
        behind = at + 1
        if behind < last and self.tokens[behind].text == "[":
            behind = self.pairs[behind] + 1
        if behind >= last or self.tokens[behind].text != "L":
            return self._scripts(token, at + 1, last, made)
        inner: list[Token] = []
        self._scripts(token._replace(text=token.text[2:], span=token.span), at + 1, behind, inner)
        return self._gradient_of(token.span, inner, behind, last, made)

    def _gradient_of(self, sign: Span, inner: list[Token], behind: int, last: int, made: list[Token]) -> int:
        loss = self._named(behind, last)
        if not inner or inner[0].kind != "name" or loss is None or loss[0].text != "L":
            raise self.source.error(
                "this is no gradient of the loss", sign, hint="write \\nabla_{h_t} L, dL/dh[t] or dh[t]"
            )
        inner[0] = Token("name", "d" + inner[0].text, sign.to(inner[0].span))
        inner[-1] = inner[-1]._replace(span=inner[-1].span.to(loss[0].span))
        made += inner
        return self._scripts(None, loss[1] + 1, last, made)

    # -- sums ---------------------------------------------------------------------------------------------------------
    def _sum_head(self, at: int, last: int) -> tuple[list[Token], int] | None:
        r"""`\sum_{t=1}^{T}` as `sum(t = 1..T,`, and the place behind it; the sum itself is closed behind its term."""
        token = self.tokens[at]
        kind, letter = split(token)
        if kind not in REDUCTIONS or token.kind not in ("name", "command"):
            return None
        span, below, above, behind = token.span, list[Token](), list[Token](), at + 1
        if letter:
            if letter not in self.letters or not self._begins(behind, last):
                return None
            cutting = span.stop - len(letter)
            below = [Token("name", letter, self.source.span(cutting, span.stop))]
            span = self.source.span(span.start, cutting - 1)
        while behind < last:
            script = self.tokens[behind]
            if adjacent(self.tokens, behind):
                begin = script.span.start + 1
                below, behind = [Token("name", script.text[1:], self.source.span(begin, script.span.stop))], behind + 1
            elif script.text == "_" or (is_caret(self.source, script) and (below or self._limits(behind))):
                first, stop, behind = cut(self.tokens, behind + 1, self.pairs)
                limits = self._times(self.tokens[first:stop])
                below, above = (limits, above) if script.text == "_" else (below, limits)
            else:
                break
        if not below and not above and token.kind == "name":
            return None
        return self._limited(Token("name", kind, span), below, above), behind

    def _begins(self, at: int, last: int) -> bool:
        """Whether an operand, or the upper limit of a sum, begins at a place."""
        if at >= last:
            return False
        token = self.tokens[at]
        return token.kind != "operator" or token.text in ("(", "{") or is_caret(self.source, token)

    def _limits(self, at: int) -> bool:
        """Whether the lower limit of a sum stands behind its upper one."""
        _, _, behind = cut(self.tokens, at + 1, self.pairs)
        return behind < len(self.tokens) and self.tokens[behind].text == "_"

    def _limited(self, kind: Token, below: list[Token], above: list[Token]) -> list[Token]:
        """The head of a sum from its limits."""
        if not below:
            hint = f"write {kind.text}(t, …), or {kind.text}_{{t=1}}^T …"
            raise self.source.error("this sum has no index", kind.span, hint=hint)
        texts = [token.text for token in below]
        if above:
            sign = ".." if "=" in texts else "<="
            below = [*below, Token("operator", sign, above[0].span), *above]
        elif "=" in texts and ".." not in texts and "%" not in texts:
            said = " ".join(texts)
            hint = f"write {kind.text}({said}..T, …), or {kind.text}_{{{said}}}^T …"
            raise self.source.error("this sum has no last step", below[0].span, hint=hint)
        return [kind, self._behind(kind.span, "("), *below, self._behind(below[-1].span, ",")]
