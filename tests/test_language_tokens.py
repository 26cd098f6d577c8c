"""Characters to tokens: what each sign stands for, where lines end, what is refused at once."""

import time

import pytest

from tinygrad_rnn import LanguageError
from tinygrad_rnn.language.syntax.source import Source
from tinygrad_rnn.language.syntax.tokens import lines, tokenise


def spelled(text: str) -> str:
    return " ".join(token.text for token in tokenise(Source(text)))


@pytest.mark.parametrize(
    ("written", "ascii_"),
    [
        ("f ⊙ c", "f * c"),
        ("f ∘ c", "f * c"),
        ("W·h", "W @ h"),
        ("Wᵀ", "W .T"),
        ("W.T", "W .T"),
        ("∇h[t]", "dh [ t ]"),
        ("∇W", "dW"),
        ("h² − x³", "h ** 2 - x ** 3"),
        ("h^12", "h ** 12"),
        ("x¹²", "x ** 12"),
        ("h⁽ᵗ⁻¹⁾", "h [ t - 1 ]"),
        ("h⁽ᵀ⁾", "h [ T ]"),
        ("t ≤ T", "t <= T"),
        ("t ≥ 2 ≠ 3", "t >= 2 != 3"),
        ("tanh'(a)", "tanh' ( a )"),
        ("σ′(a) + σ’(b)", "σ' ( a ) + σ' ( b )"),
        ("λ + Γ_u", "λ + Γ_u"),
        ("1..T", "1 .. T"),
        ("2.5e-3 * .5", "2.5e-3 * .5"),
        ("is + lambda + None", "is + lambda + None"),
        ("a # comment ⊙ $", "a"),
    ],
)
def test_each_sign_is_read_as_its_ascii_spelling(written, ascii_):
    assert spelled(written) == ascii_


def test_a_combining_tilde_belongs_to_its_letter_in_either_normal_form():
    assert spelled("c\u0303[t]") == "c\u0303 [ t ]"
    assert spelled("n\u0303") == spelled("\u00f1") == "\u00f1"


def test_a_transposed_name_is_not_folded_into_another_name():
    assert spelled("Wᵀ") != spelled("WT")


def test_subscripts_stay_in_the_name():
    assert spelled("W₁·h₂") == "W₁ @ h₂"


@pytest.mark.parametrize(
    "text", ["a = b +\n  c", "a = b\n  + c", "a = (b\n+ c)", "a =\nb + c", "a = b  # sum\n\n  + c"]
)
def test_lines_join_around_operators_and_inside_brackets(text):
    (line,) = lines(Source(text))
    assert [token.text for token in line.tokens if token.text not in "()"] == ["a", "=", "b", "+", "c"]


def test_columns_and_lines_are_those_of_the_users_text():
    *_, last = tokenise(Source("a = ∇h[t] ⊙\n  ñ̃²", first_line=7))
    assert (last.span.line, last.span.column, last.text) == (8, 5, "2")


def test_headers_keep_their_text_and_equations_do_not_swallow_them():
    found = [(line.key, line.value) for line in lines(Source("model: it's 2.2 # note\nsizes: h = 4,\n x = 3\na = 1\n"))]
    assert found == [("model", "it's 2.2"), ("sizes", ""), ("", "")]


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("a = h.__class__", "unexpected .__class__", 6),
        ("a = 'b'", "text in quotes", 5),
        ("a = $", "dollar sign", 5),
        ("a = ½", "one half", 5),
        ("a = (b", "'(' is never closed", 5),
        ("a = b)", "')' closes nothing", 6),
        ("a = (b]", "unexpected ']'", 7),
        ("a = hₜ", "a time index goes in brackets", 5),
        ("a = " + "(" * 10_000, "more than 100 deep", 105),
        ("a = b" + " + b" * 2000, "longer than 2000 tokens", 1),
        ("a\0b", "NUL", 1),
        ("a" * 1_000_001, "at most 1,000,000", 1),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text, message, column):
    with pytest.raises(LanguageError) as caught:
        list(lines(Source(text)))
    assert message in caught.value.message
    assert caught.value.column == column


@pytest.mark.parametrize(
    "text",
    [
        "$" * 999_999,
        "a " * 499_999,
        "(" * 999_999,
        "x = 1\n" * 160_000,
        ")" * 999_999,
        "⁽" * 300_000,
        "'" * 999_999,
        "." * 999_999,
    ],
)
def test_a_megabyte_of_anything_is_answered_within_a_second(text):
    from tinygrad_rnn.language import parse

    begin = time.perf_counter()
    with pytest.raises(LanguageError):
        parse(text)
    assert time.perf_counter() - begin < 1.0
