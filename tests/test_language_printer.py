"""Canonical text parses back to the same thing; LaTeX says the same in type."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn
from tinygrad_rnn.drawing.view.label_text import symbol as label_of
from tinygrad_rnn.language import load, parse
from tinygrad_rnn.language.expressions import Ref, Transpose
from tinygrad_rnn.language.syntax.source import NOWHERE
from tinygrad_rnn.language.text.latex import latex, symbol
from tinygrad_rnn.language.text.mathml import mathml
from tinygrad_rnn.language.text.printer import text

from .test_language_model import MODELS

SHIPPED = sorted((Path(tinygrad_rnn.__file__).parent / "models").glob("*.rnn"))


@pytest.mark.slow
@pytest.mark.parametrize("written", [*MODELS.values(), *(path.read_text(encoding="utf-8") for path in SHIPPED)])
def test_a_document_survives_printing(written):
    document = parse(written)
    assert parse(text(document)) == document
    assert text(parse(text(document))) == text(document)


ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "h[t]",
        "h[t-1]",
        "x[T]",
        "2",
        "0.5",
        "1e-07",
        "T",
        "t",
        "λ",
        "c̃[t+1]",
        "tanh'(a)",
        "sum(h[t])",
        "[a; b]",
    ]
)
FORMULAS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "@"]), inner).map(lambda p: f"({p[0]}) {p[1]} ({p[2]})"),
        inner.map(lambda e: f"-({e})"),
        inner.map(lambda e: f"({e}).T"),
        inner.map(lambda e: f"({e})**2"),
        inner.map(lambda e: f"2**({e})"),
        inner.map(lambda e: f"diag({e})"),
        inner.map(lambda e: f"sum(1 < k{len(e)} <= T, {e})"),  # a letter of its own for each sum
        inner.map(lambda e: f"prod(j{len(e)} = T..t+1, {e})"),
        st.tuples(inner, inner).map(lambda p: f"[{p[0]}, {p[1]}]"),
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(formula=FORMULAS)
def test_any_formula_survives_printing(formula):
    document = parse(f"q[t] = {formula}   for t < T")
    assert parse(text(document)) == document
    assert latex(document.forward[0]).count("{") == latex(document.forward[0]).count("}")


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("q[t]=a+(b+c)-(d-e)", "q[t] = a + (b + c) - (d - e)"),
        ("q[t]=(a@b)@c*(d@e)", "q[t] = (a @ b @ c) * (d @ e)"),
        ("q[t]=(-a)**2*-b", "q[t] = (-a)**2 * -b"),
        ("q[t]=∇h[t]ᵀ⊙[a,b]", "q[t] = dh[t].T * [a; b]"),
        ("q[t]=a if t = 1..T-1", "q[t] = a    for 1 <= t <= T-1"),
        ("q[t]=a for t > 1 and t != 3", "q[t] = a    for t > 1 and t != 3"),
        ("q=sum(t, mean(k≤t, x[k]))", "q = sum(t, mean(k <= t, x[k]))"),
    ],
)
def test_canonical_text(written, canonical):
    assert text(parse(written).forward[0]) == canonical


def test_a_sum_inside_a_product_is_bracketed_in_latex():
    said = latex(parse("q[t] = a * sum(k, x[k]) + sum(k <= t, x[k]) @ b").forward[0].rhs)
    assert said == (r"a \odot \left(\sum_{k=1}^{T} x^{(k)}\right) + \left(\sum_{k \le t} x^{(k)}\right) b")


def test_the_book_in_latex():
    model = load(MODELS["vanilla"])
    said = {equation.name: latex(equation, model) for equation in (*model.forward, *model.gradients)}
    assert said["a[t]"] == r"a^{(t)} = b + \mathbf{W} h^{(t-1)} + \mathbf{U} x^{(t)}"
    assert said["L"] == r"L = \sum_{t=1}^{T} L^{(t)}"
    assert said["dh[t]"] == (
        r"\nabla_{h^{(t)}} L = \mathbf{W}^\top \operatorname{diag}\left(1 - \left(h^{(t+1)}\right)^{2}\right) "
        r"\left(\nabla_{h^{(t+1)}} L\right) + \mathbf{V}^\top \left(\nabla_{o^{(t)}} L\right) \quad \text{for } t < T"
    )
    assert r"\odot" in latex(load(MODELS["lstm"]).forward[4])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("W_i", "W_{i}"),
        ("c̃", r"\tilde{c}"),
        ("λ", r"\lambda"),
        ("delta", r"\delta"),
        ("W₁", "W_{1}"),
        ("h'", "h'"),
        ("cell", r"\mathit{cell}"),
        ("Γ_u", r"\Gamma_{u}"),
    ],
)
def test_names_in_latex(name, said):
    assert symbol(name) == said


@pytest.mark.parametrize(
    ("name", "letter", "command", "below"),
    [
        ("Gamma_u", "Γ", r"\Gamma", "u"),
        ("upsilon", "υ", r"\upsilon", ""),
        ("h1", "h", "h", "1"),
        ("alpha2", "α", r"\alpha", "2"),
        ("W₁", "W", "W", "1"),
        ("x_xi", "x", "x", "xi"),
        ("lambda_", "λ", r"\lambda", ""),
        ("c'", "c′", "c'", ""),
        ("hidden_state", "hidden_state", r"\mathit{hidden\_state}", ""),
    ],
)
def test_a_name_reads_alike_in_latex_in_mathml_and_in_a_picture(name, letter, command, below):
    label = label_of(name)
    assert (label.base, label.sub) == (letter, below)
    under = rf"\mathit{{{below}}}" if len(below) > 1 else below
    assert symbol(name) == (f"{command}_{{{under}}}" if below else command)
    assert re.sub("<[^>]*>", "", mathml(Ref(NOWHERE, name))) == letter + below


def test_a_transposed_gradient_has_brackets_in_latex():
    model = load(MODELS["vanilla"])
    assert (
        latex(Transpose(NOWHERE, parse("q = dW").forward[0].rhs), model) == r"\left(\nabla_{\mathbf{W}} L\right)^\top"
    )


def test_a_long_sum_prints_without_recursion():
    document = parse("q[t] = " + " + ".join(["x[t]"] * 280))
    assert parse(text(document)) == document
    assert latex(document.forward[0]).count("+") == 279
