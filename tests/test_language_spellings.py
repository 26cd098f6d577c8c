"""Equations as students write them mean what the plain spelling means, and what cannot be read is told in the right
form."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import LanguageError
from tinygrad_rnn.language import load, parse
from tinygrad_rnn.language.syntax.source import Source
from tinygrad_rnn.language.syntax.tokens import Token, lines

MODELS = sorted((Path(tg.__file__).parent / "models").glob("*.rnn"))
STEPS = ["{}[{}]", "{}_{{{}}}", "{} _ {{ {} }}"]
RAISED = ["{}^{{({})}}", "{}^{{<{}>}}", "{}({})", "\\mathbf{{{}}}^{{\\left({}\\right)}}"]
GRADIENTS = ["d{}", "∇{}", "dL/d{}", "∂L/∂{}", "\\frac{{\\partial L}}{{\\partial {}}}", "\\nabla_{{{}}} L"]
PLAIN = {
    "*": ["*", "⊙", "\\odot", "\\circ"],
    "@": ["@", "·", "\\cdot"],
    ".T": [".T", "ᵀ", "^T", "^\\top", "^{\\mathsf{T}}", "^⊤"],
    "<=": ["<=", "≤", "\\leq"],
    "..": ["..", "…", ", ..., ", ", \\dots, "],
    "=": ["=", ":=", "\\coloneqq"],
    "tanh": ["tanh", "\\tanh", "np.tanh", "torch.tanh"],
    "sigmoid": ["sigmoid", "σ", "\\sigma", "torch.sigmoid", "\\operatorname{sigmoid}"],
    "softmax": ["softmax", "\\mathrm{softmax}", "F.softmax"],
}


class Student:
    """Writes the tokens of a line otherwise; `choose` takes one of several spellings."""

    def __init__(self, choose):
        self.choose = choose

    def line(self, tokens: list[Token]) -> str:
        word = next((at for at, token in enumerate(tokens) if token.text == "for"), None)
        if word is None:
            return self.formula(tokens)
        ending = self.choose(["for {}", ", {}", "({})", ", \\quad \\text{{for all }} {}"])
        condition = self.formula(tokens[word + 1 :])
        return f"{self.formula(tokens[:word])} {ending.format(condition)}"

    def formula(self, tokens: list[Token]) -> str:
        said, at = [], 0
        while at < len(tokens):
            token = tokens[at]
            after = tokens[at + 1].text if at + 1 < len(tokens) else ""
            close = closing(tokens, at + 1) if after in ("(", "[") else at
            if token.text == "sum" and after == "(" and (comma := first_comma(tokens, at + 1, close)):
                head = self.choose(["sum({}, ", "(\\sum_{{{}}} (", "(∑_{{{}}} (", "(sum_{{{}}} ("])
                condition = self.formula(tokens[at + 2 : comma])
                body = self.formula(tokens[comma + 1 : close])
                said.append(head.format(condition) + body + ("))" if head[0] == "(" else ")"))
                at = close
            elif token.kind == "name" and after == "[":
                said.append(self.quantity(token.text, tokens[at + 2 : close]))
                at = close
            elif token.kind == "name" and token.text[0] == "d" and token.text[1:] and after != "(":
                said.append(self.choose(GRADIENTS[:5]).format(token.text[1:]) if token.text != "dL" else "dL")
            else:
                said.append(self.choose(PLAIN.get(token.text, [token.text])))
            at += 1
        return " ".join(said)

    def quantity(self, name: str, index: list[Token]) -> str:
        times = "".join(token.text for token in index)
        styles = [*STEPS, *(RAISED if any(token.kind == "name" for token in index) else [])]
        if times in ("t", "T"):
            styles = [*styles, "{}_{}"]
        if name[0] == "d" and name != "dL":
            style = self.choose(styles[:3])
            return self.choose(GRADIENTS).format(style.format(name[1:], times))
        return self.choose(styles).format(name, times)


def closing(tokens: list[Token], at: int) -> int:
    depth = 0
    for place in range(at, len(tokens)):
        depth += (tokens[place].text in ("(", "[")) - (tokens[place].text in (")", "]"))
        if depth == 0:
            return place
    raise AssertionError


def first_comma(tokens: list[Token], at: int, close: int) -> int | None:
    commas = (place for place in range(at, close) if tokens[place].text == ",")
    return next((place for place in commas if balanced(tokens[at + 1 : place])), None)


def balanced(tokens: list[Token]) -> bool:
    return sum((token.text in ("(", "[")) - (token.text in (")", "]")) for token in tokens) == 0


def respelled(text: str, choose) -> str:
    source = Source(text)
    said = []
    for line in lines(source):
        if line.key:
            header = source.text[line.span.start : line.span.stop]
            said.append(f"{line.key}: {header}" if line.tokens else header)
        else:
            said.append(Student(choose).line(list(line.tokens)))
    return "\n".join(said)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_model_in_students_spelling_says_the_same(path, seed):
    text = path.read_text()
    written = respelled(text, random.Random(seed).choice)
    plain, read = parse(text), parse(written)
    for one, other in zip([*plain.forward, *plain.gradients], [*read.forward, *read.gradients], strict=True):
        assert (one.target, one.when, one.rhs) == (other.target, other.when, other.rhs)
