"""Expressions and equations as MathML, which a browser typesets by itself: the look of `latex`, nothing to load.

Parts can be marked: `marks` gives an expression of the tree a class name, and that part is wrapped in an `mrow` of this
class. What a mark looks like is decided by the page. Every name and number is escaped here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ...core.symbols import name_parts
from ..affine import Affine
from ..expressions import Binary, Call, Equation, Expr, Ref
from ..rewriting import addends_as_written
from ..syntax.indices import Condition
from ..types.typed_document import TypedDocument
from .printer import ATOM
from .typesetter import Typesetter

_ACCENTS = {"\u0303": "~", "\u0302": "^", "\u0304": "\u00af", "\u0307": "\u02d9"}
_RELATIONS = {"<=": "≤", ">=": "≥", "!=": "≠"}
_SIGNS = {"-": "\u2212", "*": "⊙"}
_SAID = {"sigmoid": "σ", "softplus": "ζ", "maximum": "max", "minimum": "min", "log_softmax": "log softmax"}
_REDUCTIONS = {"sum": "<mo>∑</mo>", "prod": "<mo>∏</mo>", "mean": "<mi>mean</mi>"}
_COMMA = "<mo>,</mo>"
_APPLY = "<mo>\u2061</mo>"
_NABLA = '<mi mathvariant="normal">∇</mi>'
_TALL = ("<mo>(", "<mfrac", "<mtable", "<munder")


def mathml(node: Expr | Equation, model: TypedDocument | None = None, marks: Mapping[int, str] | None = None) -> str:
    """A `<math>` element for an expression or equation.

    With `model`, types decide what is a matrix (bold) and which products are entry by entry, and dX is the gradient of
    X; without it a capital letter is a matrix. `marks` maps `id(part)` to the class of a part of `node`.

    >>> from tinygrad_rnn.language import parse
    >>> print(mathml(parse("h = 2 * x").forward[0].rhs))
    <math displaystyle="true"><mn>2</mn><mspace width="0.17em"/><mi>x</mi></math>
    """
    writer = _MathmlTypesetter(model, node, marks or {})
    if isinstance(node, Equation):
        when = f'<mspace width="1.2em"/>{_conditions(writer, node.when)}' if node.when else ""
        body = f"{writer.ref(node.target)}<mo>=</mo>{writer.expr(node.rhs)}{when}"
    else:
        body = writer.expr(node)
    return _whole(body)


def pieces(
    equation: Equation, model: TypedDocument | None = None, marks: Mapping[int, str] | None = None
) -> tuple[str, list[tuple[Expr, str]], str]:
    """An equation as several `<math>` elements, so that a narrow page can break it between its terms.

    Returns the left side with its `=`; each additive term with its sign, beside its expression; the condition or "".
    """
    writer = _MathmlTypesetter(model, equation, marks or {})
    parts = []
    for sign, addend in addends_as_written(equation.rhs):
        bracketed = writer.expr(addend) if not sign else writer.within(addend, 2)
        lead = f'<mo lspace="0" rspace="0.25em">{_SIGNS.get(sign, sign)}</mo>' if sign else ""
        parts.append((addend, _whole(lead + bracketed)))
    when = _whole(_conditions(writer, equation.when)) if equation.when else ""
    return _whole(f'{writer.ref(equation.target)}<mo form="postfix">=</mo>'), parts, when


def _whole(body: str) -> str:
    return f'<math displaystyle="true">{body}</math>'


def _conditions(writer: Typesetter, when: tuple[Condition, ...]) -> str:
    return f"<mtext>for\u00a0</mtext>{writer.listed(map(writer.condition, when))}"


class _MathmlTypesetter(Typesetter):
    def __init__(self, model: TypedDocument | None, node: Expr | Equation, marks: Mapping[int, str]) -> None:
        super().__init__(model, node)
        self.marks = marks

    def marked(self, expr: Expr, said: str) -> str:
        mark = self.marks.get(id(expr))
        return said if mark is None else f'<mrow class="{escape(mark)}">{said}</mrow>'

    def number(self, value: int | float) -> str:
        return f"<mn>{escape(str(value))}</mn>"

    def index(self, index: Affine) -> str:
        return "".join(_piece(piece) for piece in re.findall(r"[+-]|\d+|\w+", str(index)))

    def variable(self, name: str) -> str:
        return f"<mi>{escape(name)}</mi>"

    def sign(self, op: str) -> str:
        return f'<mo form="prefix">{_SIGNS.get(op, op)}</mo>'

    def relation(self, relation: str) -> str:
        return f"<mo>{escape(_RELATIONS.get(relation, relation))}</mo>"

    def modulus(self, modulus: int) -> str:
        return f"<mo>mod</mo><mn>{modulus}</mn>"

    def phrase(self, *parts: str) -> str:
        return "".join(parts)

    def listed(self, parts: Iterable[str]) -> str:
        return _COMMA.join(parts)

    def brackets(self, said: str) -> str:
        """Brackets that grow only around what is tall, as a book sets them."""
        tall = any(part in said for part in _TALL) or said.count('<mo stretchy="false">(') > said.count("<msup><mi>")
        fixed = "" if tall else ' stretchy="false"'
        return f"<mrow><mo{fixed}>(</mo>{said}<mo{fixed}>)</mo></mrow>"

    def quantity(self, name: str, bold: bool, above: str) -> str:
        letter, below = _symbol(name, bold)
        time = self.brackets(above) if above else ""
        if below and time:
            return f"<msubsup>{letter}{below}{time}</msubsup>"
        if below or time:
            kind = "msub" if below else "msup"
            return f"<{kind}>{letter}{below or time}</{kind}>"
        return letter

    def gradient(self, said: str) -> str:
        return f"<msub>{_NABLA}{_row(said)}</msub><mi>L</mi>"

    def transpose(self, inner: Expr) -> str:
        said = self.within(inner, ATOM, bracketed=self.is_gradient(inner))
        if said.startswith("<msub>") and isinstance(inner, Ref):  # the sign stands above the index, not after it
            return f"<msubsup>{said.removeprefix('<msub>').removesuffix('</msub>')}<mo>⊤</mo></msubsup>"
        return f"<msup>{_row(said)}<mo>⊤</mo></msup>"

    def inverse(self, inner: Expr) -> str:
        return f"<msup>{_row(self.within(inner, ATOM))}<mrow><mo>{_SIGNS['-']}</mo><mn>1</mn></mrow></msup>"

    def norm(self, said: str) -> str:
        return f"<mrow><mo>‖</mo>{said}<mo>‖</mo></mrow>"

    def applied(self, function: str, args: Sequence[str]) -> str:
        plain = function.rstrip("'")
        letter = f'<mi mathvariant="normal">{escape(_SAID.get(plain, plain).replace("_", " "))}</mi>'
        primes = "′" * (len(function) - len(plain))
        letter = f"<msup>{letter}<mo>{primes}</mo></msup>" if primes else letter
        return letter + _APPLY + self.brackets(self.listed(args))

    def stack(self, parts: Sequence[str]) -> str:
        rows = "".join(f"<mtr><mtd>{part}</mtd></mtr>" for part in parts)
        return f"<mrow><mo>[</mo><mtable>{rows}</mtable><mo>]</mo></mrow>"

    def fraction(self, above: str, below: str) -> str:
        return f"<mfrac>{_row(above)}{_row(below)}</mfrac>"

    def power(self, base: str, exponent: str, entrywise: bool) -> str:
        circle = "<mo>⊙</mo>" if entrywise else ""
        return f"<msup>{base if base.startswith('<mrow>') else _row(base)}{_row(circle + exponent)}</msup>"

    def operator(self, node: Binary, plain: bool) -> str:
        if node.op in "+-":
            return f"<mo>{_SIGNS.get(node.op, node.op)}</mo>"
        if node.op == "@":
            return f'<mspace width="{0.17 if isinstance(node.right, Call) else 0.08}em"/>'
        return '<mspace width="0.17em"/>' if plain else "<mo>⊙</mo>"

    def reduction(self, kind: str, below: str, above: str, body: str) -> str:
        element = "munderover" if above else "munder"
        return f"<{element}>{_REDUCTIONS[kind]}{_one(below)}{_one(above) if above else ''}</{element}>{body}"


def _row(said: str) -> str:
    return f"<mrow>{said}</mrow>"


def _one(said: str) -> str:
    """What is one element, for a place that takes one."""
    return said if said.count("<m") == 1 else _row(said)


def _piece(piece: str) -> str:
    if piece in "+-":
        return f"<mo>{piece if piece == '+' else _SIGNS['-']}</mo>"
    return f"<mn>{piece}</mn>" if piece.isdigit() else f"<mi>{escape(piece)}</mi>"


def _symbol(name: str, bold: bool) -> tuple[str, str]:
    """The letter of a name, and what stands below it or nothing."""
    parts = name_parts(name)
    said = _letters(parts.base, bold)
    for accent in parts.accents:
        said = f'<mover accent="true">{said}<mo stretchy="false">{_ACCENTS[accent]}</mo></mover>'
    said = f"<msup>{said}<mo>{'′' * parts.primes}</mo></msup>" if parts.primes else said
    return said, _one(_COMMA.join(_letters(word, False) for word in parts.below.split(","))) if parts.below else ""


def _letters(word: str, bold: bool) -> str:
    said = escape(word)
    if bold:
        # browsers know no variant but "normal": the weight is a matter of style
        return f'<mi mathvariant="normal" style="font-weight:bold">{said}</mi>'
    if len(word) > 1 and not word.isdigit():
        return f'<mi style="font-style:italic">{said}</mi>'
    return f"<mn>{said}</mn>" if word.isdigit() else f"<mi>{said}</mi>"
