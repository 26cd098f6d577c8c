"""LaTeX mathematics as tokens, each with the characters of the page that it was written with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...core.errors import LanguageError

#: letters and signs typed as such, by the command that sets the same
UNICODE = {
    "∂": "\\partial", "∇": "\\nabla", "∑": "\\sum", "Σ": "\\sum", "∏": "\\prod", "·": "\\cdot", "⋅": "\\cdot",
    "∙": "\\cdot", "⊙": "\\odot", "∘": "\\circ", "×": "\\times", "⊗": "\\otimes", "≤": "\\le", "≥": "\\ge",
    "≠": "\\ne", "≈": "\\approx", "≡": "\\equiv", "∈": "\\in", "→": "\\to", "←": "\\leftarrow", "⇒": "\\Rightarrow",
    "∀": "\\forall", "…": "\\dots", "⋯": "\\dots", "∞": "\\infty", "√": "\\sqrt", "ᵀ": "\\top", "⊤": "\\top",
    "∝": "\\propto", "≪": "\\ll", "≫": "\\gg", "ℓ": "\\ell", "α": "\\alpha", "β": "\\beta", "γ": "\\gamma",
    "δ": "\\delta", "ε": "\\epsilon", "ϵ": "\\epsilon", "ζ": "\\zeta", "η": "\\eta", "θ": "\\theta", "ι": "\\iota",
    "κ": "\\kappa", "λ": "\\lambda", "μ": "\\mu", "ν": "\\nu", "ξ": "\\xi", "π": "\\pi", "ρ": "\\rho",
    "σ": "\\sigma", "τ": "\\tau", "υ": "\\upsilon", "φ": "\\phi", "ϕ": "\\phi", "χ": "\\chi", "ψ": "\\psi",
    "ω": "\\omega", "Γ": "\\Gamma", "Δ": "\\Delta", "Θ": "\\Theta", "Λ": "\\Lambda", "Ξ": "\\Xi", "Φ": "\\Phi",
    "Ψ": "\\Psi", "Ω": "\\Omega",
}  # fmt: skip
#: what stands for another character, typed by habit or by an editor
SAME = {
    "−": "-", "–": "-", "′": "'", "’": "'", "（": "(", "）": ")", "，": ",", "；": ";", "＝": "=", "：": ":", "［": "[",
    "］": "]", "＋": "+", "。": ",", "、": ",", "＜": "<", "＞": ">", "～": "~",
}  # fmt: skip

_PIECE = re.compile(
    r"(?P<comment>(?<!\\)%[^\n]*\n?)|(?P<space>[ \t\r\n~]+)|(?P<command>\\(?:[A-Za-z]+\*?|.|$))"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<dots>\.\.\.+)|(?P<letter>[A-Za-z])|(?P<sign>.)",
    re.DOTALL,
)
_ENTITY = re.compile(r"&(?:(lt|gt|amp|nbsp|quot)|#(\d{1,7})|#x([0-9a-fA-F]{1,6}));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "nbsp": " ", "quot": '"'}
#: commands whose argument is text, not mathematics
TEXTUAL = (
    "\\text", "\\textrm", "\\textbf", "\\textit", "\\textsf", "\\texttt", "\\mbox", "\\hbox", "\\intertext",
    "\\shortintertext",
)  # fmt: skip
#: more of what a formula holds is no mathematics, or a bomb
MOST_TOKENS = 60_000


class Unread(LanguageError):
    """A formula that the reader does not follow: `reason`, and the characters at which it stopped."""

    def __init__(self, reason: str, start: int, end: int) -> None:
        super().__init__(reason)
        self.reason, self.start, self.end = reason, start, end


@dataclass(frozen=True)
class LatexToken:
    """`kind` is command, letter, number, sign or text; `spaced` says whether a space stands before it."""

    kind: str
    text: str
    start: int
    end: int
    spaced: bool = False

    def at(self, other: LatexToken) -> LatexToken:
        """The same, written where `other` is: a token of a macro stands where the macro is called."""
        return replace(self, start=other.start, end=other.end)


def tokens(text: str, start: int, end: int) -> list[LatexToken]:
    """The tokens of a stretch of a page.

    Raises `Unread` for more than there is in any formula.

    >>> [token.text for token in tokens("h_t = \\\\tanh(Wh)", 0, 15)]
    ['h', '_', 't', '=', '\\\\tanh', '(', 'W', 'h', ')']
    """
    made: list[LatexToken] = []
    spaced = False
    at = start
    while at < end:
        entity = _ENTITY.match(text, at, end)
        if entity:
            made += _of_entity(entity, spaced)
            at, spaced = entity.end(), False
            continue
        piece = _PIECE.match(text, at, end)
        assert piece is not None  # the last form takes any character
        kind, word, at = piece.lastgroup or "", piece[0], piece.end()
        if kind in ("comment", "space"):
            spaced = True
            continue
        if kind == "command" and word.endswith("*") and word not in ("\\\\*", "\\tag*", "\\operatorname*", "\\hspace*"):
            word, at = word[:-1], at - 1
        if kind == "command" and word in TEXTUAL and (closing := _closing(text, at, end)) is not None:
            inner = text.index("{", at) + 1
            made.append(LatexToken("text", text[inner:closing], piece.start(), closing + 1, spaced))
            at, spaced = closing + 1, False
            continue
        made.append(_token(kind, word, piece.start(), at, spaced))
        spaced = False
        if len(made) > MOST_TOKENS:
            raise Unread(f"more than {MOST_TOKENS:,} signs in one formula", start, end)
    return made


def _token(kind: str, word: str, start: int, end: int, spaced: bool) -> LatexToken:
    word = SAME.get(word, word)
    if word in UNICODE:
        kind, word = "command", UNICODE[word]
    elif kind == "dots":
        kind, word = "command", "\\dots"
    return LatexToken(kind, word, start, end, spaced)


def _of_entity(entity: re.Match[str], spaced: bool) -> list[LatexToken]:
    name, decimal, hexadecimal = entity.groups()
    code = int(decimal) if decimal else int(hexadecimal, 16) if hexadecimal else 0
    sign = _NAMED[name] if name else chr(code) if 32 <= code <= 0x10FFFF else ""
    if not sign.strip():
        return []
    kind = "letter" if sign.isascii() and sign.isalpha() else "sign"
    return [_token(kind, sign, entity.start(), entity.end(), spaced)]


def _closing(text: str, at: int, end: int) -> int | None:
    """Where the group closes that opens at `at`, blanks skipped; None if none opens or it does not close."""
    while at < end and text[at] in " \t\n":
        at += 1
    if at >= end or text[at] != "{":
        return None
    depth = 0
    for i in range(at, end):
        if text[i] == "{" and text[i - 1] != "\\":
            depth += 1
        elif text[i] == "}" and text[i - 1] != "\\":
            depth -= 1
            if depth == 0:
                return i
    return None


def group(source: Sequence[LatexToken], at: int) -> tuple[list[LatexToken], int]:
    """What the group in braces that begins at `at` holds, or the single token there; and where it ends.

    Raises `Unread` if nothing stands there or the group does not close.
    """
    if at >= len(source):
        last = source[-1] if source else None
        raise Unread("an argument is missing at the end", last.start if last else 0, last.end if last else 0)
    if source[at].text != "{":
        return [source[at]], at + 1
    depth = 0
    for i in range(at, len(source)):
        depth += {"{": 1, "}": -1}.get(source[i].text, 0) if source[i].kind == "sign" else 0
        if depth == 0:
            return list(source[at + 1 : i]), i + 1
    raise Unread("a brace is not closed", source[at].start, source[at].end)


def optional(source: Sequence[LatexToken], at: int) -> tuple[list[LatexToken] | None, int]:
    """What the square brackets that begin at `at` hold, None if there are none; and where they end."""
    if at < len(source) and source[at].text == "[" and source[at].kind == "sign":
        for i in range(at + 1, len(source)):
            if source[i].text == "]":
                return list(source[at + 1 : i]), i + 1
    return None, at


def flat(source: Sequence[LatexToken]) -> Iterator[tuple[int, LatexToken]]:
    """Tokens with how deep they stand in braces and environments; a brace has the depth outside of it."""
    depth = 0
    for token in source:
        closes = (token.kind == "sign" and token.text == "}") or token.text == "\\end"
        depth -= closes
        yield depth, token
        depth += (token.kind == "sign" and token.text == "{") or token.text == "\\begin"
