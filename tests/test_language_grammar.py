"""Tokens to equations: precedence, indices, conditions, sections, and what may not be written."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_rnn import LanguageError
from tinygrad_rnn.language import Document, parse
from tinygrad_rnn.language.affine import affine
from tinygrad_rnn.language.expressions import (
    Binary,
    Call,
    Concat,
    Condition,
    Number,
    Ref,
    Sum,
    Time,
    Transpose,
    Unary,
    walk,
)
from tinygrad_rnn.language.syntax.indices import Comparison


def rhs(text: str):
    return parse(f"q[t] = {text}").forward[0].rhs


def shown(expr) -> str:
    """An expression fully bracketed, to see its structure."""
    match expr:
        case Number() | Time():
            return str(expr.value if isinstance(expr, Number) else expr.index)
        case Ref():
            return str(expr)
        case Unary():
            return f"({expr.op}{shown(expr.operand)})"
        case Binary():
            return f"({shown(expr.left)} {expr.op} {shown(expr.right)})"
        case Transpose():
            return f"{shown(expr.operand)}.T"
        case Call():
            return f"{expr.function}({', '.join(map(shown, expr.args))})"
        case Concat():
            return f"[{'; '.join(map(shown, expr.parts))}]"
        case Sum():
            return f"{expr.kind}({expr.over}, {shown(expr.body)})"


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("W @ h * f", "((W @ h) * f)"),
        ("-a**2", "(-(a ** 2))"),
        ("-a * b", "((-a) * b)"),
        ("a**2**3", "(a ** (2 ** 3))"),
        ("(a + b).T @ c", "((a + b).T @ c)"),
        ("Wᵀ·h[t−1] ⊙ x²", "((W.T @ h[t-1]) * (x ** 2))"),
        ("σ(a) + σ'(b) + tanh'(c)", "((sigmoid(a) + sigmoid'(b)) + tanh'(c))"),
        ("W @ [h[t-1], x[t]]", "(W @ [h[t-1]; x[t]])"),
        ("[a; b]", "[a; b]"),
        ("1/T + t", "((1 / T) + t)"),
        ("is * lambda + None", "((is * lambda) + None)"),
        ("h[T-1] + h[2] + h[t+1]", "((h[T-1] + h[2]) + h[t+1])"),
        ("sum(h[t])", "sum(h[t])"),
    ],
)
def test_precedence_is_that_of_mathematics(text, structure):
    assert shown(rhs(text)) == structure


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("k", [1, 2, 3, 4, 5]),
        ("k < T", [1, 2, 3, 4]),
        ("k > 1", [2, 3, 4, 5]),
        ("1 < s <= T", [2, 3, 4, 5]),
        ("T > k >= 2", [2, 3, 4]),
        ("s = 1..T-1", [1, 2, 3, 4]),
        ("s in 2..3", [2, 3]),
        ("s ≠ 3", [1, 2, 4, 5]),
        ("s == T", [5]),
        ("s + 1 <= T", [1, 2, 3, 4]),
        ("s > 1 and s < T", [2, 3, 4]),
        ("s <= t", [1, 2, 3]),
        ("t < s", [4, 5]),
    ],
)
def test_conditions_of_sums_cover_the_steps_they_say(text, steps):
    reduction = rhs(f"sum({text}, 1)")
    assert reduction.over.steps({"T": 5, "t": 3}) == steps


@pytest.mark.parametrize(
    "ending", ["for t < T", "if t < T", ", for t < T", "for t <= T-1", "for T > t", "\n    for t < T"]
)
def test_the_condition_of_an_equation_has_many_spellings(ending):
    equation = parse(f"h[t] = x[t] {ending}").forward[0]
    assert equation.covers(4) == [1, 2, 3]


def test_sums_nest_and_see_the_times_around_them():
    outer = rhs("sum(k <= t, sum(s <= k, x[s])) + sum(k <= t, x[k])")
    assert shown(outer.left.body).startswith("sum(Condition(variable='s'")
    assert outer.left.over == outer.right.over == Condition("k", (Comparison("<=", affine("t")),))


def test_sections_headers_and_sizes():
    document = parse(
        "model: m\nsource: document 000\nsizes: x = 3, W = 4x3; b = 4 x 1\nh[t] = W @ x[t]\ngradients:\ndh[T] = 0\n"
    )
    assert (document.model, document.source_note) == ("m", "document 000")
    assert {name: (size.rows, size.columns) for name, size in document.sizes.items()} == {
        "x": (3, None),
        "W": (4, 3),
        "b": (4, 1),
    }
    assert [e.name for e in document.forward] == ["h[t]"]
    assert [(e.name, e.line) for e in document.gradients] == [("dh[T]", 6)]


def test_a_target_may_be_shifted():
    equation = parse("h[t+1] = x[t]   for t < T").forward[0]
    assert equation.covers(4) == [2, 3, 4]
    assert equation.binding(3, 4) == {"T": 4, "t": 2}


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("h[t] = ", "stops too early", 6),
        ("h[t] = a b", "unexpected 'b'", 10),
        ("h[t] = a < b", "unexpected '<'", 10),
        ("h[t] = tanh()", "unexpected ')'", 13),
        ("h[t] = tanh(a, b)", "does not take 2 arguments", 8),
        ("h[t] = tanh(x=a)", "unexpected '='", 14),
        ("h[t] = tanhh(a)", "unknown function tanhh", 8),
        ("h[t] = tanh", "tanh is a function", 8),
        ("h[t] = (a, b)", "unexpected ','", 10),
        ("h[t] = x[t*2]", "cannot stand in a time", 11),
        ("h[t] = x[s]", "s is not a time here", 10),
        ("h = x[t]", "t is not a time here", 7),
        ("h = 2 * t", "t has no value here", 9),
        ("3 = h", "an equation starts with what it defines", 1),
        ("tanh = h", "tanh is a function, not a quantity", 1),
        ("T = 3", "T is a time", 1),
        ("a = b = c", "unexpected '='", 7),
        ("h = x for t < T", "no time that a condition could limit", 7),
        ("h[t] = x[t] for s < T", "names no time variable", 17),
        ("h[t] = x[t] for t < W", "W is not a time here", 21),
        ("h = sum(t < s, x[t])", "which of t or s", 5),
        ("sizes: x\nh = x", "not a size", 8),
        ("sizes: x = 0\nh = x", "cannot be used", 8),
        ("sizes: x = 1, x = 2\nh = x", "given twice", 15),
        ("size: x = 1\nh = x", "unknown header size:", 1),
        ("gradients: dh = 1", "on a line of its own", 1),
        ("h = 1e999", "too large", 5),
        ("h = " + "-" * 500 + "a", "nested more than", None),
        ("# nothing", "no equations", 1),
    ],
)
def test_what_may_not_be_written_is_named_with_its_place(text, message, column):
    with pytest.raises(LanguageError) as caught:
        parse(text)
    assert message in caught.value.message
    assert column in (None, caught.value.column)
    assert caught.value.hint


def test_an_unknown_function_suggests_the_closest_and_lists_all():
    with pytest.raises(LanguageError) as caught:
        parse("h[t] = sigmiod(a[t])")
    assert "did you mean sigmoid" in caught.value.hint
    assert "cross_entropy" in caught.value.hint


def test_an_operator_stands_where_it_was_written():
    expr = rhs("((a + b)) @ (c)")
    assert (expr.sign.column, expr.left.span.column, expr.right.span.column) == (18, 10, 21)


def test_a_long_sum_is_walked_without_recursion():
    expr = rhs(" + ".join(["x[t]"] * 280))
    assert sum(isinstance(node, Ref) for node in walk(expr)) == 280
    assert expr == rhs(" + ".join(["x[t]"] * 280))


PIECES = st.sampled_from(
    [
        "h[t]",
        "h[t-1]",
        "x[t]",
        "W",
        "dh[t]",
        "L",
        "=",
        " = ",
        "+",
        "-",
        "*",
        "@",
        "**",
        "/",
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        ".T",
        "ᵀ",
        "²",
        "σ",
        "tanh",
        "tanh'",
        "sum(t, ",
        "sum(",
        "diag(",
        "softmax(",
        "onehot(y[t])",
        "cross_entropy(",
        " for t < T",
        " if ",
        "1",
        "2.5",
        "T",
        "t",
        "..",
        "<",
        ">=",
        "≠",
        "\n",
        "\n",
        "gradients:\n",
        "sizes: h = 2\n",
        "model: m\n",
        "sizes: ",
        "#",
        "'",
        "∇",
        "⊙",
        "λ",
        "c̃",
        ".",
        ":",
        "é",
        "\t",
        "$",
        "lambda",
        "is",
        "h⁽ᵗ⁻¹⁾",
        "and",
        "in",
    ]
)


@settings(max_examples=300, deadline=1000)
@given(st.lists(PIECES, max_size=60).map("".join))
def test_any_sequence_of_tokens_is_a_document_or_a_language_error(text):
    try:
        assert isinstance(parse(text), Document)
    except LanguageError as error:
        assert len(str(error).splitlines()) <= 12


@pytest.mark.slow
@settings(max_examples=150, deadline=1000)
@given(st.text(max_size=80))
def test_any_text_is_a_document_or_a_language_error(text):
    for made in (text, f"h[t] = {text}", f"sizes: {text}\nh[t] = x[t] for {text}"):
        with contextlib.suppress(LanguageError):
            assert isinstance(parse(made), Document)
