r"""The rules that a proof names, each as text and in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...language import Equation
from ...language.expressions import Binary, Call, Expr, Ref, Transpose, walk


@dataclass(frozen=True)
class Rule:
    r"""A rule as text, and as words and formulas of LaTeX."""

    text: str
    latex: str


def words(told: str) -> Rule:
    """A rule that has no formula in it."""
    return Rule(told, rf"\text{{{escaped(told)}}}")


def escaped(told: str) -> str:
    r"""Words for `\text`: what TeX would read as a command or a script is escaped."""
    special = {"\\": r"\textbackslash ", "_": r"\_", "^": r"\^{}", "%": r"\%", "&": r"\&", "#": r"\#"}
    return "".join(special.get(char, char) for char in told)


CHAIN_RULE = words("the chain rule")
COPY = words("the chain rule, for what reads it at this step")
NOTHING = words("nothing that the loss depends on")
REORDERED = words("in another order")

#: the slopes of functions through which an equation reads a quantity
SLOPES = {
    "tanh": Rule("tanh' = 1 - tanh**2", r"\tanh' = 1 - \tanh^2"),
    "sigmoid": Rule("sigmoid' = sigmoid * (1 - sigmoid)", r"\sigma' = \sigma (1 - \sigma)"),
    "relu": Rule("relu'(x) is 1 for x > 0, else 0", r"\operatorname{relu}'(x) = [x > 0]"),
    "softplus": Rule("softplus' = sigmoid", r"\zeta' = \sigma"),
    "exp": Rule("exp' = exp", r"\exp' = \exp"),
    "log": Rule("log'(x) = 1 / x", r"\log'(x) = 1 / x"),
    "sqrt": Rule("sqrt'(x) = 1 / (2 * sqrt(x))", r"\sqrt{x}\,' = 1 / (2 \sqrt{x})"),
    "sin": Rule("sin' = cos", r"\sin' = \cos"),
    "cos": Rule("cos' = -sin", r"\cos' = -\sin"),
    "cross_entropy": Rule(
        "the slope of cross_entropy(v, y) is softmax(v) - y",
        r"\nabla_v \operatorname{cross\_entropy}(v, y) = \operatorname{softmax}(v) - y",
    ),
    "squared_error": Rule(
        "the slope of squared_error(v, y) is v - y", r"\nabla_v \operatorname{squared\_error}(v, y) = v - y"
    ),
    "norm": Rule("the slope of norm(v) is v / norm(v)", r"\nabla_v \lVert v \rVert = v / \lVert v \rVert"),
    "stop": words("nothing flows through stop"),
}
#: what functions of the stated form mean
MEANINGS = {
    "diag": Rule("diag(v) @ w = v * w", r"\operatorname{diag}(v)\, w = v \odot w"),
    "outer": Rule("outer(v, w) = v @ w.T", r"\operatorname{outer}(v, w) = v w^\top"),
    "dot": Rule("dot(v, w) = v.T @ w", r"\operatorname{dot}(v, w) = v^\top w"),
    "softmax": Rule("softmax(v) = exp(v) / sum(exp(v))", r"\operatorname{softmax}(v) = e^v / \textstyle\sum e^v"),
    "tanh'": Rule("tanh'(x) = 1 - tanh(x)**2", r"\tanh'(x) = 1 - \tanh(x)^2"),
    "sigmoid'": Rule("sigmoid'(x) = sigmoid(x) * (1 - sigmoid(x))", r"\sigma'(x) = \sigma(x) (1 - \sigma(x))"),
}
TRANSPOSED = Rule("(A @ B).T = B.T @ A.T", r"(A B)^\top = B^\top A^\top")


def slopes(readers: Sequence[Equation], name: str) -> list[Rule]:
    """The rules of the functions through which equations read a quantity."""
    found = []
    for reader in readers:
        for node in walk(reader.rhs):
            inside = isinstance(node, Call) and any(isinstance(n, Ref) and n.name == name for n in walk(node))
            if isinstance(node, Call) and inside and node.function in SLOPES:
                found.append(SLOPES[node.function])
    return list(dict.fromkeys(found))


def meanings(rhs: Expr) -> list[Rule]:
    """The rules of matrices that the stated form uses."""
    found = [MEANINGS[n.function] for n in walk(rhs) if isinstance(n, Call) and n.function in MEANINGS]
    if any(isinstance(node, Transpose) and isinstance(node.operand, Binary) for node in walk(rhs)):
        found.append(TRANSPOSED)
    return list(dict.fromkeys(found))
