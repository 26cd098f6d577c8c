"""Equations as students write them mean what the plain spelling means, and what cannot be read is told in the right
form."""

import contextlib
import random
import re
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


STUDENT = r"""
model: vanilla RNN, as a student writes it
sizes: x = 3, h = 4, o = 5
a_t := b + np.dot(W, h_{t-1}) + U.dot(x_t)
h_t = \tanh(a_t)
o^{(t)} = c + V \cdot \mathbf{h}_t
L_t = cross_entropy(o_t, y_t)
L = \sum_{t=1}^{T} L_t

gradients:
\frac{\partial L}{\partial o_t} = softmax(o_t) - onehot(y_t)
dL/dh[τ] = V^T @ do_T
∂L/∂h_t = W^\top @ diag(1 - h_{t+1}^2) @ ∂L/∂h_{t+1} + V^T @ do_t, t < τ
\nabla_W L = sum_{t=1}^T diag(1 - h_t^{2}) @ dh_t @ h_{t-1}^T
"""


def test_a_students_file_is_judged_and_what_is_wrong_is_told_in_plain_spelling():
    assert [row.verdict for row in tg.verify(load(STUDENT), seeds=1).rows] == ["PROVED"] * 4
    wrong = STUDENT.replace("W^\\top @ diag", "W @ diag")
    row = tg.verify(load(wrong), seeds=1).rows[2]
    assert (row.verdict, row.name) == ("FAIL", "dh[t]")


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("h^t = W @ h^{t-1} + x^t", "h[t] = W @ h[t-1] + x[t]"),
        ("h^(t) = tanh(h^(t-1))", "h[t] = tanh(h[t-1])"),
        ("h[t] = W^t @ x[t] + x[t]^T", "h[t] = W**t @ x[t] + x[t].T"),
        ("h[t] = W_i @ x_t + b_0", "h[t] = W_i @ x[t] + b_0"),
        ("h^{(2)}_t = W^{(2)} @ h^{(1)}_t", "h2[t] = W2 @ h1[t]"),
        ("h_t = W_{hh} @ h_{t-1} + h_{0} + h_0", "h[t] = W_hh @ h[t-1] + h[0] + h[0]"),
        ("h[t] = \\frac{x_t}{2} + \\sqrt{x_t}", "h[t] = x[t] / 2 + sqrt(x[t])"),
        ("h[t] = W.T.dot(x_t).tanh() + np.concatenate((a, b))", "h[t] = tanh(W.T @ x[t]) + concat(a, b)"),
        ("L = -\\sum_t a_t * b_t + c", "L = -sum(t, a[t] * b[t]) + c"),
        ("h_t = \\sum_{k=1}^{t} x_k", "h[t] = sum(k = 1..t, x[k])"),
        ("h_t = x_t, t = 1, 2, ..., T-1", "h[t] = x[t] for t = 1..T-1"),
        ("h_t = \\tilde{c}_t \\odot \\hat{y}", "h[t] = c\u0303[t] * y\u0302"),
    ],
)
def test_a_spelling_is_read_as_the_plain_one(written, plain):
    one, other = parse(written).forward[0], parse(plain).forward[0]
    assert (one.target, one.when, one.rhs) == (other.target, other.when, other.rhs)


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("sizes: x_t = 3\nh_t = h_{t-1} + x_t + x[t]", 17, "write x[t] for the quantity at a step; the name on line 1"),
        ("h_t = W h_{t-1}", 9, "W @ h_{t-1} for a matrix product"),
        ("h_t = tanh x_t", 12, "write tanh(x_t)"),
        ("h_t = tanh^2(x_t)", 13, "write tanh(…)**2"),
        ("h_t = x_t t < T", 11, "for t < T"),
        ("h_t = x_{t,i}", 8, "as in x[t-1]; or declare   indices: i = 1..I"),
        ("h[T] = x[T] for t < T", 13, "write h[t] = … for t < T"),
        ("h_t = x_t for t in range(1, T)", 20, "write t = 1..T-1"),
        ("h_t = x_t if t > 1 else 0", 20, "write two equations"),
        ("L = \\sum x_t", 5, "write sum(t, …)"),
        ("L = \\sum_{t=1} x_t", 11, "write sum(t = 1..T, …)"),
        ("L = np.sum(x_t, axis=0)", 17, "write row_sums(A)"),
        ("h_t = x[τ]", 9, "the last step is T"),
        ("h_t = \\partial h_t/\\partial W", 7, "write dL/dh[t]"),
        ("\\frac{\\partial L}{\\partial (W h)} = 1", 19, "dL/da[t]"),
        ("do_t = dL_t/do_t", 8, "write dL/dh[t]"),
        ("h_t = \\tanj(x_t)", 7, "did you mean \\tanh ?"),
        ("h_t = |x_t|", 7, "write norm(v)"),
        ("h_t <- x_t", 1, "write h_t ="),
        ("h_t += x_t", 5, "write all of it on the right"),
        ("h_t = x_t)", 10, "write the '(' that it closes"),
    ],
)
def test_an_error_stands_under_what_was_written_and_spells_the_right_form(text, column, hint):
    with pytest.raises(LanguageError) as caught:
        parse(text)
    assert caught.value.column == column
    assert hint in caught.value.hint


NOTATION = (
    r"h_t h_{t-1} h^{(t)} h^{<t-1>} h(t) W ^T ^{2} \tanh ( ) { } [ ] _ ^ \frac \sum_{t=1}^{T} ∑_t sum_t sum(t, "
    r"\partial \nabla ∂L/∂h_t dL/dW \mathbf \mathbf{h}_t \hat \text{for } for t T τ < = := + @ , .. , ..., np .dot "
    r"np.dot( .T 0 _t"
)
PIECES = re.split(" ", NOTATION)


@settings(max_examples=300, deadline=1000)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join))
def test_any_pieces_of_notation_are_a_document_or_a_language_error(text):
    for made in (text, f"h_t = {text}"):
        with contextlib.suppress(LanguageError):
            parse(made)
