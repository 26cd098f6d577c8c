"""Expressions and equations as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...core.symbols import GREEK, name_parts
from ..affine import Affine
from ..expressions import Binary, Equation, Expr, Ref
from ..functions import FUNCTIONS
from ..types.typed_document import TypedDocument
from .printer import ATOM
from .typesetter import Typesetter

_COMMANDS = {letter: "\\" + name for name, letter in GREEK.items()}
_ACCENTS = {"\u0303": r"\tilde", "\u0302": r"\hat", "\u0304": r"\bar", "\u0307": r"\dot"}
_RELATIONS = {"<=": r"\le", ">=": r"\ge", "!=": r"\ne", "…": r"\dots"}
_REDUCTIONS = {"sum": r"\sum", "prod": r"\prod", "mean": r"\operatorname*{mean}"}


def latex(node: Expr | Equation, model: TypedDocument | None = None) -> str:
    r"""LaTeX for an expression or equation, without dollar signs.

    With `model`, types decide what is a matrix (bold) and which products are entry by entry, and dX is the gradient
    of X; without it a capital letter is a matrix.

    >>> from tinygrad_rnn.language import parse
    >>> print(latex(parse("h[t] = tanh(W.T @ h[t-1])").forward[0]))
    h^{(t)} = \tanh\left(\mathbf{W}^\top h^{(t-1)}\right)
    """
    writer = _LatexTypesetter(model, node)
    if isinstance(node, Equation):
        when = rf" \quad \text{{for }} {writer.listed(map(writer.condition, node.when))}" if node.when else ""
        return f"{writer.ref(node.target)} = {writer.expr(node.rhs)}{when}"
    return writer.expr(node)


class _LatexTypesetter(Typesetter):
    def number(self, value: int | float) -> str:
        return str(value)

    def index(self, index: Affine) -> str:
        return str(index).replace("*", "")

    def variable(self, name: str) -> str:
        return name

    def sign(self, op: str) -> str:
        return op

    def relation(self, relation: str) -> str:
        return _RELATIONS.get(relation, relation)

    def modulus(self, modulus: int) -> str:
        return rf"\bmod {modulus}"

    def phrase(self, *parts: str) -> str:
        return " ".join(part for part in parts if part)

    def listed(self, parts: Iterable[str]) -> str:
        return ", ".join(parts)

    def brackets(self, said: str) -> str:
        return rf"\left({said}\right)"

    def quantity(self, name: str, bold: bool, above: str) -> str:
        return symbol(name, bold) + (f"^{{({above})}}" if above else "")

    def gradient(self, said: str) -> str:
        return rf"\nabla_{{{said}}} L"

    def transpose(self, inner: Expr) -> str:
        if self.is_gradient(inner):
            return self.brackets(self.expr(inner)) + r"^\top"
        if isinstance(inner, Ref) and inner.index is None:
            return self.expr(inner) + r"^\top"
        return f"{{{self.within(inner, ATOM)}}}^\\top"

    def inverse(self, inner: Expr) -> str:
        return f"{self.within(inner, ATOM)}^{{-1}}"

    def norm(self, said: str) -> str:
        return rf"\left\lVert {said} \right\rVert"

    def applied(self, function: str, args: Sequence[str]) -> str:
        return FUNCTIONS[function].latex.replace("_", r"\_") + self.brackets(self.listed(args))

    def stack(self, parts: Sequence[str]) -> str:
        return r"\begin{bmatrix} " + r" \\ ".join(parts) + r" \end{bmatrix}"

    def fraction(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def power(self, base: str, exponent: str, entrywise: bool) -> str:
        circle = r"\odot " if entrywise else ""
        return f"{base}^{{{circle}{exponent}}}"

    def operator(self, node: Binary, plain: bool) -> str:
        return node.op if node.op in "+-" else "" if node.op == "@" else r"\," if plain else r"\odot"

    def reduction(self, kind: str, below: str, above: str, body: str) -> str:
        top = f"^{{{above}}}" if above else ""
        return f"{_REDUCTIONS[kind]}_{{{below}}}{top} {body}"


def symbol(name: str, bold: bool = False) -> str:
    r"""A name as LaTeX: `W_i`, `c̃`, `λ`, `delta`, `h1` become `W_{i}`, `\tilde{c}`, `\lambda`, `\delta`, `h_{1}`."""
    parts = name_parts(name)
    letter = _word(parts.base)
    for accent in parts.accents:
        letter = f"{_ACCENTS[accent]}{{{letter}}}"
    letter += "'" * parts.primes
    letter = rf"\mathbf{{{letter}}}" if bold else letter
    below = ",".join(_word(word) for word in parts.below.split(","))
    return f"{letter}_{{{below}}}" if below else letter


def _word(letters: str) -> str:
    if len(letters) == 1 or letters.isdigit():
        return "".join(map(_letter, letters)).rstrip()
    return r"\mathit{" + "".join(map(_letter, letters)) + "}" if letters else ""


def _letter(char: str) -> str:
    if char in _COMMANDS:
        return _COMMANDS[char] + " "
    return char.replace("_", r"\_") if char.isascii() else rf"\text{{{char}}}"
