"""Expressions and equations as LaTeX: matrices bold, time as a raised index, gradients as nabla."""

from __future__ import annotations

import unicodedata

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
from ..types.powers import powers
from ..types.typed_document import TypedDocument
from .printer import ATOM, LEVELS, SIGN, level, mixed

_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "pi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Pi",
    "Sigma",
    "Upsilon",
    "Phi",
    "Psi",
    "Omega",
]
_LETTERS = {
    unicodedata.lookup(
        f"GREEK {'CAPITAL' if word[0].isupper() else 'SMALL'} LETTER {word.upper().replace('LAMBDA', 'LAMDA')}"
    ): word
    for word in _GREEK
}
_ACCENTS = {"\u0303": r"\tilde", "\u0302": r"\hat", "\u0304": r"\bar", "\u0307": r"\dot"}
#: below a letter, xi is x and i: W_xi goes from x to the gate i; longer names are Greek letters there as well
SHORTEST_BELOW = 3
_RELATIONS = {"<": "<", ">": ">", "<=": r"\le", ">=": r"\ge", "!=": r"\ne", "=": "="}


def latex(node: Expr | Equation, model: TypedDocument | None = None) -> str:
    r"""LaTeX for an expression or equation, without dollar signs.

    With `model`, types decide what is a matrix (bold) and which products are entry by entry, and dX is the gradient
    of X; without it a capital letter is a matrix.

    >>> from tinygrad_rnn.language import parse
    >>> print(latex(parse("h[t] = tanh(W.T @ h[t-1])").forward[0]))
    h^{(t)} = \tanh\left(\mathbf{W}^\top h^{(t-1)}\right)
    """
    writer = _Writer(model, node.rhs if isinstance(node, Equation) else node)
    if isinstance(node, Equation):
        when = rf" \quad \text{{for }} {', '.join(map(_condition, node.when))}" if node.when else ""
        return f"{writer.ref(node.target)} = {writer.expr(node.rhs)}{when}"
    return writer.expr(node)


def entry_powers(root: Expr, model: TypedDocument | None) -> set[int]:
    """The powers, by their id, that raise each entry of a square matrix."""
    return {id(node) for node, factor in powers(root) if not factor and _is_square(node.left, model)}


def _is_square(expr: Expr, model: TypedDocument | None) -> bool:
    if model is None:
        return False
    try:
        rows, columns = model.shapes_.of(expr)
    except KeyError:  # an expression made elsewhere
        return False
    return rows == columns > 1


class _Writer:
    def __init__(self, model: TypedDocument | None, root: Expr) -> None:
        self.model = model
        self.entry_powers = entry_powers(root, model)

    def expr(self, expr: Expr) -> str:
        match expr:
            case Number():
                return str(expr.value)
            case Time():
                return _step(expr.index)
            case Ref():
                return self.ref(expr)
            case Unary():
                return expr.op + self._within(expr.operand, SIGN)
            case Binary():
                return self._chain(expr)
            case Transpose(operand=Ref(index=None)):
                return self.expr(expr.operand) + r"^\top"
            case Transpose():
                return f"{{{self._within(expr.operand, ATOM)}}}^\\top"
            case Call(function="norm"):
                return rf"\left\lVert {self.expr(expr.args[0])} \right\rVert"
            case Call(function="inv"):
                return f"{self._within(expr.args[0], ATOM)}^{{-1}}"
            case Call(function="solve"):
                return f"{self._within(expr.args[0], ATOM)}^{{-1}} {self._within(expr.args[1], ATOM)}"
            case Call():
                name = FUNCTIONS[expr.function].latex.replace("_", r"\_")
                return rf"{name}\left({', '.join(map(self.expr, expr.args))}\right)"
            case Sum():
                return self._sum(expr)
            case Stack():
                return r"\begin{bmatrix} " + r" \\ ".join(map(self.expr, expr.parts)) + r" \end{bmatrix}"
        raise TypeError(f"cannot print {expr!r}")  # pragma: no cover

    def ref(self, ref: Ref) -> str:
        base = self.model.quantities.base(ref.key) if self.model else None
        if base is not None:
            return rf"\nabla_{{{self._quantity(base[0], ref.indices, base)}}} L"
        return self._quantity(ref.name, ref.indices, ref.key)

    def _quantity(self, name: str, indices: tuple[Affine, ...], key: tuple[str, bool]) -> str:
        said = symbol(name)
        shape = self.model.shapes_.names.get(key) if self.model else None
        if min(shape) > 1 if shape else name[0].isupper() and not indices:
            head, _, rest = said.partition("_{")
            said = rf"\mathbf{{{head}}}" + (f"_{{{rest}" if rest else "")
        return f"{said}^{{({', '.join(map(_step, indices))})}}" if indices else said

    def _chain(self, expr: Binary) -> str:
        first, operators = spine(expr)
        said, binds, scalar = self._within(first, 0), level(first), self._is_scalar(first)
        gradient, before = self._is_gradient(first), ""
        for node in operators:
            here = LEVELS[node.op]
            if node.op == "/":
                said, binds = rf"\frac{{{said}}}{{{self.expr(node.right)}}}", ATOM
            elif node.op == "**":
                if not isinstance(node.left, Number | Time) and not (
                    isinstance(node.left, Ref) and node.left.index is None
                ):
                    said = rf"\left({said}\right)"
                circle = r"\odot " if self._is_entry_power(node) else ""
                said, binds = f"{said}^{{{circle}{self.expr(node.right)}}}", ATOM
            else:
                if binds < here or (gradient and here == 2) or mixed(before, node.op):
                    said = rf"\left({said}\right)"
                right = self._within(node.right, here + 1)
                if here == 2 and self._is_gradient(node.right):
                    right = rf"\left({right}\right)"
                plain = node.op == "@" or scalar or self._is_scalar(node.right)
                sign = node.op if here == 1 else "" if node.op == "@" else r"\," if plain else r"\odot"
                said, binds = " ".join(part for part in (said, sign, right) if part), here
            scalar = scalar and self._is_scalar(node.right)
            gradient, before = False, "" if binds == ATOM else node.op
        return said

    def _is_entry_power(self, node: Binary) -> bool:
        """Whether it raises each entry of a square matrix, beside which the power of the matrix has to be told."""
        return id(node) in self.entry_powers

    def _is_gradient(self, expr: Expr) -> bool:
        return isinstance(expr, Ref) and self.model is not None and self.model.quantities.base(expr.key) is not None

    def _is_scalar(self, expr: Expr) -> bool:
        if self.model is not None:
            try:
                return self.model.shapes_.of(expr) == (1, 1)
            except KeyError:  # an expression made elsewhere
                pass
        return isinstance(expr, Number | Time)

    def _within(self, expr: Expr, least: int) -> str:
        said = self.expr(expr)
        loose = level(expr) < least or isinstance(expr, Sum) or (least == 2 and isinstance(expr, Unary))
        return rf"\left({said}\right)" if loose else said

    def _sum(self, expr: Sum) -> str:
        sign = {"sum": r"\sum", "prod": r"\prod"}.get(expr.kind, r"\operatorname*{mean}")
        first, last = _step(expr.over.within.first), _step(expr.over.within.last)
        bounds = f"_{{{_condition(expr.over)}}}" if expr.over.tests else f"_{{{expr.variable}={first}}}^{{{last}}}"
        if expr.over.descending and len(expr.over.tests) == 2:
            high, low = (_step(test.bound) for test in expr.over.tests)
            bounds = f"_{{{expr.variable}={high}}}^{{{low}}}"
        if expr.kind == "mean" and not expr.over.tests:
            bounds = f"_{{{expr.variable}}}"
        return f"{sign}{bounds} {self._within(expr.body, 2)}"


def _condition(condition: Condition) -> str:
    if condition.descending:
        high, low, *others = condition.tests
        said = [f"{condition.variable} = {_step(high.bound)}, \\dots, {_step(low.bound)}"]
        return ", ".join([*said, *(f"{condition.variable} {_test(test)}" for test in others)])
    if condition.interval is not None:
        low, high = condition.interval
        return f"{_step(low.bound)} {_RELATIONS[low.relation]} {condition.variable} {_test(high)}"
    return ", ".join(f"{condition.variable} {_test(test)}" for test in condition.tests)


def _test(test: Comparison) -> str:
    modulus = rf"\bmod {test.modulus} " if test.modulus else ""
    return f"{modulus}{_RELATIONS[test.relation]} {_step(test.bound)}"


def _step(index: Affine) -> str:
    """`2n+1` for `2*n+1`."""
    return str(index).replace("*", "")


def symbol(name: str) -> str:
    r"""A name as LaTeX: `W_i`, `c̃`, `λ`, `delta` become `W_{i}`, `\tilde{c}`, `\lambda`, `\delta`."""
    primes = len(name) - len(name.rstrip("'"))
    head, _, below = name.rstrip("'").partition("_")
    letters, lowered = "", ""
    for char in unicodedata.normalize("NFD", head):
        plain = unicodedata.normalize("NFKC", char)
        if char in _ACCENTS and letters:
            letters = f"{_ACCENTS[char]}{{{letters}}}"
        elif unicodedata.decomposition(char).startswith("<sub>"):
            lowered += plain
        else:
            letters += char
    below = lowered + below
    said = _word(letters) + "'" * primes
    return f"{said}_{{{_word(below, SHORTEST_BELOW)}}}" if below else said


def _word(letters: str, shortest: int = 1) -> str:
    if letters in _GREEK and len(letters) >= shortest:
        return "\\" + letters
    if letters.startswith("\\") or len(letters) == 1 or letters.isdigit():
        return (
            "".join("\\" + _LETTERS[char] if char in _LETTERS else _upright(char) for char in letters)
            if letters[0] != "\\"
            else letters
        )
    return r"\mathit{" + "".join(_upright(char) for char in letters.replace("_", r"\_")) + "}"


def _upright(char: str) -> str:
    if char in _LETTERS:
        return f"\\{_LETTERS[char]} "
    return char if char.isascii() else rf"\text{{{char}}}"
