"""Trees of notation as MathML: the page shows what was read, sign by sign. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .notation import (
    Added,
    Array,
    BigOperator,
    Braced,
    Brackets,
    Differentiation,
    Ellipsis,
    Letters,
    Multiplied,
    Notation,
    Numeral,
    Over,
    Related,
    Slicing,
    Statement,
    WithScripts,
    Words,
)

_ACCENTS = {
    "hat": "^", "tilde": "~", "bar": "¯", "dot": "˙", "ddot": "¨", "rightarrow": "→", "leftarrow": "←", "check": "ˇ",
}  # fmt: skip
_SIGNS = {
    "*": "∗", "\\cdot": "⋅", "\\odot": "⊙", "\\circ": "∘", "\\times": "×", "\\otimes": "⊗", "\\bullet": "∙", "dot": "⋅",
    "-": "−", ":=": "≔", "\\equiv": "≡", "\\leftarrow": "←", "\\approx": "≈", "\\to": "→", "\\in": "∈",
    "\\notin": "∉", "\\ne": "≠", "\\le": "≤", "\\ge": "≥", "\\ll": "≪", "\\gg": "≫", "\\sim": "∼", "\\propto": "∝",
}  # fmt: skip
_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon "
    "phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_GREEK = dict(zip(_NAMES.split(), "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", strict=True))
_GREEK |= {"ell": "ℓ", "partial": "∂", "nabla": "∇", "infty": "∞", "top": "⊤", "forall": "∀"}
_FENCES = {"(": "()", "[": "[]", "{": "{}", "<": "⟨⟩", "|": "||", "||": "‖‖", "floor": "⌊⌋", "ceil": "⌈⌉"}
_BIG = {"sum": "∑", "prod": "∏", "int": "∫", "bigodot": "⨀", "bigotimes": "⨂"}


def statement_mathml(statement: Statement) -> str:
    """A `<math>` element for one row: its sides, the signs between them, and the remarks beside it.

    >>> from .notation import Extent, Letters, Link
    >>> here = Extent(0, 1)
    >>> statement_mathml(Statement((Letters(here, "h"), Letters(here, "W")), (Link("=", here),), (), here))
    '<math display="block"><mi>h</mi><mo>=</mo><mi>W</mi></math>'
    """
    body = "".join(
        (mathml_of(side) if side is not None else "") + (f"<mo>{_sign(link.sign)}</mo>" if link is not None else "")
        for side, link in zip(statement.sides, [*statement.links, None], strict=False)
    )
    remarks = "".join(f'<mspace width="1.2em"/>{mathml_of(remark)}' for remark in statement.remarks)
    return f'<math display="block">{body}{remarks}</math>'


def _sign(sign: str) -> str:
    return escape(_SIGNS.get(sign, sign))


def mathml_of(node: Notation) -> str:
    """The elements of one tree."""
    match node:
        case Numeral():
            return f"<mn>{escape(node.text)}</mn>"
        case Letters():
            return _letters(node)
        case WithScripts():
            return _scripted(_row(mathml_of(node.base)), node.lower, node.upper, node.primes)
        case Brackets():
            opening, closing = tuple(_FENCES.get(node.opening, "()"))
            signs = [*node.separators, *[","] * len(node.parts)]
            parts = "".join(
                (f"<mo>{escape(signs[i - 1])}</mo>" if i else "") + mathml_of(part) for i, part in enumerate(node.parts)
            )
            return f"<mrow><mo>{opening}</mo>{parts}<mo>{closing}</mo></mrow>"
        case Multiplied():
            return "".join(
                (f"<mo>{_sign(operator)}</mo>" if operator else "") + mathml_of(factor)
                for operator, factor in zip(["", *node.operators], node.factors, strict=True)
            )
        case Added():
            first = node.signs[0] if node.signs[0] != "+" else ""
            return "".join(
                (f"<mo>{_sign(sign)}</mo>" if sign else "") + mathml_of(term)
                for sign, term in zip([first, *node.signs[1:]], node.terms, strict=True)
            )
        case Over():
            return f"<mfrac>{_row(mathml_of(node.top))}{_row(mathml_of(node.bottom))}</mfrac>"
        case Differentiation():
            return _derivative(node)
        case BigOperator():
            sign = _BIG.get(node.kind)
            big = f"<mo>{sign}</mo>" if sign else f"<mi>{escape(node.kind)}</mi>"
            below, above = (_row(mathml_of(limit)) if limit else "<mrow></mrow>" for limit in (node.lower, node.upper))
            return f"<munderover>{big}{below}{above}</munderover>{mathml_of(node.body)}"
        case Array():
            rows = ("".join(f"<mtd>{mathml_of(cell)}</mtd>" for cell in row) for row in node.rows)
            table = f"<mtable>{''.join(f'<mtr>{row}</mtr>' for row in rows)}</mtable>"
            opening, closing = ("{", "") if "cases" in node.kind else ("[", "]")
            return f"<mrow><mo>{opening}</mo>{table}<mo>{closing}</mo></mrow>"
        case Related():
            signs = [*node.relations, ""]
            return "".join(
                (mathml_of(side) if side is not None else "") + (f"<mo>{_sign(sign)}</mo>" if sign else "")
                for side, sign in zip(node.sides, signs, strict=True)
            )
        case Braced():
            body = f"<munder>{_row(mathml_of(node.body))}<mo>⏟</mo></munder>"
            return f"<munder>{body}{_row(mathml_of(node.remark))}</munder>"
        case Words():
            return f"<mtext>\u00a0{escape(node.text)}\u00a0</mtext>"
        case Ellipsis():
            return "<mo>…</mo>"
        case Slicing():
            first, last = (mathml_of(end) if end is not None else "" for end in (node.first, node.last))
            return f"{first}<mo>:</mo>{last}"
        case _:
            return f"<mtext>{escape(repr(node))}</mtext>"


def _row(body: str) -> str:
    return f"<mrow>{body}</mrow>"


def _letters(node: Letters) -> str:
    command = f"\\{node.name}"
    if command in _SIGNS and not node.run:
        return f"<mo>{_sign(command)}</mo>"  # a sign that is spoken of
    name = _GREEK.get(node.name) if not node.run else None
    upright = ' mathvariant="normal"' if node.upright and len(node.name) == 1 else ""
    base = f"<mi{upright}>{escape(name or node.name)}</mi>"
    for accent in node.accents:
        base = f'<mover accent="true">{base}<mo>{_ACCENTS.get(accent, "^")}</mo></mover>'
    return _scripted(base, node.lower, node.upper, node.primes)


def _scripted(base: str, lower: Sequence[Notation], upper: Sequence[Notation], primes: int) -> str:
    above = (f"<mo>{'′' * primes}</mo>" if primes else "") + _list(upper)
    if lower and above:
        return f"<msubsup>{base}{_row(_list(lower))}{_row(above)}</msubsup>"
    if lower:
        return f"<msub>{base}{_row(_list(lower))}</msub>"
    return f"<msup>{base}{_row(above)}</msup>" if above else base


def _list(parts: Sequence[Notation]) -> str:
    return "<mo>,</mo>".join(map(mathml_of, parts))


def _derivative(node: Differentiation) -> str:
    of = mathml_of(node.of) if node.of is not None else ""
    if node.kind == "nabla":
        nabla = "<mo>∇</mo>"
        lower = _row(_list(node.by))
        note = _row(_list(node.note))
        sign = f"<msubsup>{nabla}{lower}{note}</msubsup>" if node.note else f"<msub>{nabla}{lower}</msub>"
        return (sign if node.by else nabla) + of
    sign = "<mo>∂</mo>" if node.kind == "partial" else '<mi mathvariant="normal">d</mi>'
    power = f"<msup>{sign}<mn>{node.order}</mn></msup>" if node.order > 1 else sign
    below = "".join(sign + mathml_of(variable) for variable in node.by)
    if isinstance(node.of, (Letters, WithScripts)):
        return f"<mfrac>{_row(power + of)}{_row(below)}</mfrac>"
    return f"<mfrac>{_row(power)}{_row(below)}</mfrac>{of}"
