"""Expressions and equations as MathML, which a browser typesets by itself: the look of `latex`, nothing to load.

Parts can be marked: `marks` gives an expression of the tree a class name, and that part is wrapped in an `mrow` of this
class. What a mark looks like is decided by the page. Every name and number is escaped here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from html import escape

from ..affine import Affine
from ..expressions import (
    Binary,
    Call,
    Equation,
    Expr,
    Number,
    Ref,
    Stack,
    Sum,
    Time,
    Transpose,
    Unary,
    spine,
)
from ..functions import FUNCTIONS
from ..syntax.indices import Comparison, Condition
from ..types.typed_document import TypedDocument
from .latex import SHORTEST_BELOW, entry_powers
from .printer import ATOM, LEVELS, SIGN, level, mixed

_ACCENTS = {"\u0303": "~", "\u0302": "^", "\u0304": "\u00af", "\u0307": "\u02d9"}
_RELATIONS = {"<=": "≤", ">=": "≥", "!=": "≠"}
_SIGNS = {"-": "\u2212", "*": "⊙"}
_SAID = {"sigmoid": "σ", "softplus": "ζ", "maximum": "max", "minimum": "min", "log_softmax": "log softmax"}
_ONE_NUMBER = ("entries", "entries of a column", "against", "equal", "dot")
_GREEK = {
    unicodedata.name(letter).rpartition(" ")[2].lower().replace("lamda", "lambda"): letter
    for letter in "αβγδεζηθικλμνξπρστυφχψω"
}
_GREEK |= {name.capitalize(): letter.upper() for name, letter in _GREEK.items()}
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
    writer = _Writer(model, marks or {}, node.rhs if isinstance(node, Equation) else node)
    if isinstance(node, Equation):
        when = f'<mspace width="1.2em"/>{_conditions(node.when)}' if node.when else ""
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
    writer = _Writer(model, marks or {}, equation.rhs)
    parts = []
    for sign, addend in addends(equation.rhs):
        bracketed = writer.expr(addend) if not sign else writer.within(addend, 2)
        lead = f'<mo lspace="0" rspace="0.25em">{_SIGNS.get(sign, sign)}</mo>' if sign else ""
        parts.append((addend, _whole(lead + bracketed)))
    when = _whole(_conditions(equation.when)) if equation.when else ""
    return _whole(f'{writer.ref(equation.target)}<mo form="postfix">=</mo>'), parts, when


def addends(expr: Expr) -> list[tuple[str, Expr]]:
    """The operands of the outermost sums and differences, each with the operator before it ("" for the first)."""
    first, operators = spine(expr)
    last = max((i for i, node in enumerate(operators) if node.op not in ("+", "-")), default=-1)
    head = first if last < 0 else operators[last]
    return [("", head), *((node.op, node.right) for node in operators[last + 1 :])]


def _whole(body: str) -> str:
    return f'<math displaystyle="true">{body}</math>'


def _conditions(when: tuple[Condition, ...]) -> str:
    return f"<mtext>for\u00a0</mtext>{'<mo>,</mo>'.join(map(_bounds, when))}"


class _Writer:
    def __init__(self, model: TypedDocument | None, marks: Mapping[int, str], root: Expr) -> None:
        self.model, self.marks = model, marks
        self.entry_powers = entry_powers(root, model)

    def expr(self, expr: Expr) -> str:
        """An expression with its mark."""
        return self._marked(expr, self._chain(expr) if isinstance(expr, Binary) else self._plain(expr))

    def _marked(self, expr: Expr, said: str) -> str:
        mark = self.marks.get(id(expr))
        return said if mark is None else f'<mrow class="{escape(mark)}">{said}</mrow>'

    def _plain(self, expr: Expr) -> str:
        match expr:
            case Number():
                return _number(expr.value)
            case Time():
                return _index(expr.index)
            case Ref():
                return self.ref(expr)
            case Unary():
                return f'<mo form="prefix">{_SIGNS.get(expr.op, expr.op)}</mo>{self.within(expr.operand, SIGN)}'
            case Transpose():
                return self._transpose(expr.operand)
            case Call(function="norm"):
                return f"<mrow><mo>‖</mo>{self.expr(expr.args[0])}<mo>‖</mo></mrow>"
            case Call(function="inv"):
                return self._inverse(expr.args[0])
            case Call(function="solve"):
                return f"{self._inverse(expr.args[0])}{self.within(expr.args[1], ATOM)}"
            case Call():
                return f"{_function(expr.function)}{_APPLY}{_brackets('<mo>,</mo>'.join(map(self.expr, expr.args)))}"
            case Sum():
                return self._sum(expr)
            case Stack():
                rows = "".join(f"<mtr><mtd>{self.expr(part)}</mtd></mtr>" for part in expr.parts)
                return f"<mrow><mo>[</mo><mtable>{rows}</mtable><mo>]</mo></mrow>"
        raise TypeError(f"cannot print {expr!r}")  # pragma: no cover

    def ref(self, ref: Ref) -> str:
        """A quantity, or the gradient of one."""
        base = self.model.quantities.base(ref.key) if self.model else None
        if base is not None:
            return f"<msub>{_NABLA}{_row(self._quantity(base[0], ref.indices, base))}</msub><mi>L</mi>"
        return self._quantity(ref.name, ref.indices, ref.key)

    def _quantity(self, name: str, indices: tuple[Affine, ...], key: tuple[str, bool]) -> str:
        shape = self.model.shapes_.names.get(key) if self.model else None
        bold = min(shape) > 1 if shape else name[0].isupper() and not indices
        letter, below = _symbol(name, bold)
        time = _brackets("<mo>,</mo>".join(map(_index, indices))) if indices else ""
        if below and time:
            return f"<msubsup>{letter}{below}{time}</msubsup>"
        if below or time:
            kind = "msub" if below else "msup"
            return f"<{kind}>{letter}{below or time}</{kind}>"
        return letter

    def _transpose(self, inner: Expr) -> str:
        said = self.within(inner, ATOM, bracketed=self._is_gradient(inner))
        if said.startswith("<msub>") and isinstance(inner, Ref):  # the sign stands above the index, not after it
            return f"<msubsup>{said.removeprefix('<msub>').removesuffix('</msub>')}<mo>⊤</mo></msubsup>"
        return f"<msup>{_row(said)}<mo>⊤</mo></msup>"

    def _inverse(self, inner: Expr) -> str:
        return f"<msup>{_row(self.within(inner, ATOM))}<mrow><mo>{_SIGNS['-']}</mo><mn>1</mn></mrow></msup>"

    # -- operators: as in `latex`, along the left spine ---------------------------------------------------------------
    def _chain(self, expr: Binary) -> str:
        first, operators = spine(expr)
        said, binds, scalar = self.within(first, 0), level(first), self._is_scalar(first)
        gradient, before = self._is_gradient(first), ""
        for node in operators:
            here = LEVELS[node.op]
            if node.op == "/":
                said, binds = f"<mfrac>{_row(said)}{_row(self.expr(node.right))}</mfrac>", ATOM
            elif node.op == "**":
                bare = isinstance(node.left, Number | Time) or (isinstance(node.left, Ref) and node.left.index is None)
                base = _row(said) if bare and not gradient else _brackets(said)
                circle = "<mo>⊙</mo>" if id(node) in self.entry_powers else ""
                said = f"<msup>{base}{_row(circle + self.expr(node.right))}</msup>"
                binds = ATOM
            else:
                if binds < here or (gradient and here == 2) or mixed(before, node.op):
                    said = _brackets(said)
                right = self.within(node.right, here + 1, bracketed=here == 2 and self._is_gradient(node.right))
                said, binds = said + self._operator(node, scalar) + right, here
            scalar = scalar and self._is_scalar(node.right)
            gradient, before = False, "" if binds == ATOM else node.op
            if node is not expr:
                said = self._marked(node, said)
        return said

    def _operator(self, node: Binary, scalar: bool) -> str:
        if node.op in "+-":
            return f"<mo>{_SIGNS.get(node.op, node.op)}</mo>"
        if node.op == "@":
            return f'<mspace width="{0.17 if isinstance(node.right, Call) else 0.08}em"/>'
        return '<mspace width="0.17em"/>' if scalar or self._is_scalar(node.right) else "<mo>⊙</mo>"

    def _is_gradient(self, expr: Expr) -> bool:
        return isinstance(expr, Ref) and self.model is not None and self.model.quantities.base(expr.key) is not None

    def _is_scalar(self, expr: Expr) -> bool:
        """Whether it is one number, by the types of the names in it."""
        stack = [expr]
        while stack:
            node = stack.pop()
            if isinstance(node, Ref):
                base = self.model.quantities.base(node.key) or node.key if self.model else None
                if self.model is None or base is None or self.model.shapes_.names.get(base) != (1, 1):
                    return False
            elif not (isinstance(node, Call) and FUNCTIONS[node.function].rule in _ONE_NUMBER):
                stack += node.children
        return True

    def within(self, expr: Expr, least: int, bracketed: bool = False) -> str:
        """An expression, in brackets when its outermost operator binds less than `least`."""
        said = self.expr(expr)
        loose = level(expr) < least or isinstance(expr, Sum) or (isinstance(expr, Unary) and least >= 2)
        return _brackets(said) if loose or bracketed else said

    def _sum(self, expr: Sum) -> str:
        sign = {"sum": "<mo>∑</mo>", "prod": "<mo>∏</mo>"}.get(expr.kind, "<mi>mean</mi>")
        body = self.within(expr.body, 2)
        if expr.over.descending and len(expr.over.tests) == 2:
            high, low = (_index(test.bound) for test in expr.over.tests)
            start = f"<mi>{escape(expr.variable)}</mi><mo>=</mo>{high}"
            return f"<munderover>{sign}{_row(start)}{_row(low)}</munderover>{body}"
        if expr.over.tests:
            return f"<munder>{sign}{_row(_bounds(expr.over))}</munder>{body}"
        variable = f"<mi>{escape(expr.variable)}</mi>"
        if expr.kind == "mean":
            return f"<munder>{sign}{variable}</munder>{body}"
        first, last = _index(expr.over.within.first), _index(expr.over.within.last)
        last = last if last.count("<m") == 1 else _row(last)
        return f"<munderover>{sign}<mrow>{variable}<mo>=</mo>{first}</mrow>{last}</munderover>{body}"


def _row(said: str) -> str:
    return f"<mrow>{said}</mrow>"


def _brackets(said: str) -> str:
    """Brackets that grow only around what is tall, as a book sets them."""
    tall = any(part in said for part in _TALL) or said.count('<mo stretchy="false">(') > said.count("<msup><mi>")
    fixed = "" if tall else ' stretchy="false"'
    return f"<mrow><mo{fixed}>(</mo>{said}<mo{fixed}>)</mo></mrow>"


def _number(value: int | float) -> str:
    return f"<mn>{escape(str(value))}</mn>"


def _index(index: Affine) -> str:
    """The pieces of `T+1-t`, each in its element; no sign for a product."""
    said = [_piece(piece) for piece in re.findall(r"[+-]|\d+|\w+", str(index))]
    return "".join(said)


def _piece(piece: str) -> str:
    if piece in "+-":
        return f"<mo>{piece if piece == '+' else _SIGNS['-']}</mo>"
    return f"<mn>{piece}</mn>" if piece.isdigit() else f"<mi>{escape(piece)}</mi>"


def _test(test: Comparison) -> str:
    modulus = f"<mo>mod</mo><mn>{test.modulus}</mn>" if test.modulus else ""
    return f"{modulus}{_relation(test.relation)}{_index(test.bound)}"


def _relation(relation: str) -> str:
    return f"<mo>{escape(_RELATIONS.get(relation, relation))}</mo>"


def _bounds(when: Condition) -> str:
    variable = f"<mi>{escape(when.variable)}</mi>"
    if when.descending:
        high, low, *others = when.tests
        said = f"{variable}<mo>=</mo>{_index(high.bound)}<mo>,</mo><mo>…</mo><mo>,</mo>{_index(low.bound)}"
        return "<mo>,</mo>".join([said, *(f"{variable}{_test(test)}" for test in others)])
    if when.interval is not None:
        low, high = when.interval
        return f"{_index(low.bound)}{_relation(low.relation)}{variable}{_test(high)}"
    return "<mo>,</mo>".join(f"{variable}{_test(test)}" for test in when.tests)


def _function(name: str) -> str:
    plain = name.rstrip("'")
    letter = f'<mi mathvariant="normal">{escape(_SAID.get(plain, plain).replace("_", " "))}</mi>'
    primes = len(name) - len(plain)
    return f"<msup>{letter}<mo>{'′' * primes}</mo></msup>" if primes else letter


def _symbol(name: str, bold: bool) -> tuple[str, str]:
    """The letter of a name and what stands below it: `W_i` is W and i, `c̃` an accent, `delta` a Greek letter."""
    plain = name.rstrip("'")
    head, _, below = plain.partition("_")
    letters, lowered, accents = "", "", []
    for char in unicodedata.normalize("NFD", head):
        if char in _ACCENTS and letters:
            accents.append(_ACCENTS[char])
        elif unicodedata.decomposition(char).startswith("<sub>"):
            lowered += unicodedata.normalize("NFKC", char)
        else:
            letters += char
    said = _letters(letters, bold)
    for accent in accents:
        said = f'<mover accent="true">{said}<mo stretchy="false">{accent}</mo></mover>'
    primes = "′" * (len(name) - len(plain))
    said = f"<msup>{said}<mo>{primes}</mo></msup>" if primes else said
    lowered += below
    return said, _letters(lowered, False, SHORTEST_BELOW) if lowered else ""


def _letters(word: str, bold: bool, shortest: int = 1) -> str:
    said = escape(_GREEK.get(word, word) if len(word) >= shortest else word)
    if bold:
        # browsers know no variant but "normal": the weight is a matter of style
        return f'<mi mathvariant="normal" style="font-weight:bold">{said}</mi>'
    if len(said) > 1 and not word.isdigit():
        return f'<mi style="font-style:italic">{said}</mi>'
    return f"<mn>{said}</mn>" if word.isdigit() else f"<mi>{said}</mi>"
