"""Files that nobody would write, two thousand of them in the soak: each ends cleanly, and soon."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.sweep import examples
from tinygrad_rnn.models import names, resolve
from tinygrad_rnn.verification.judge import judge
from tinygrad_rnn.verification.results import ORDER

PIECES = st.sampled_from(
    [
        "h[t]",
        "h[t-1]",
        "h[t+1]",
        "dh[t]",
        "dh[T]",
        "W",
        "U",
        "dW",
        "x[t]",
        "y[t]",
        "tanh(",
        "softmax(",
        "sum(t,",
        "diag(",
        "onehot(",
        ")",
        "(",
        "[",
        "]",
        "+",
        "-",
        "*",
        "/",
        "@",
        "**",
        "^",
        "=",
        ".T",
        ",",
        ":",
        "#",
        "0",
        "1",
        "2",
        "1e309",
        "T",
        "t",
        "<",
        ">",
        "for",
        "gradients:",
        "sizes:",
        "h=4",
        "∇",
        "ᵀ",
        "⊙",
        "σ",
        "²",
        ".",
        "..",
        "__class__",
        "lambda",
        "eval(",
        "\n",
        "\t",
        "\\",
        "'",
        '"',
        "é",
        "🙂",
    ]
)
SHIPPED = {name: resolve(name).read_text(encoding="utf-8") for name in names()}
SOON = timedelta(seconds=5)


def ends_cleanly(text: str) -> None:
    try:
        report = judge(text + "\n\n", T=3, seeds=1, certified=False)
    except tg.TinygradError as error:
        assert len(str(error).splitlines()) <= 24
    else:
        assert report.verdict in ORDER
        assert str(report)


@settings(max_examples=examples(300, 1300), deadline=SOON, database=None)
@given(st.lists(PIECES, min_size=1, max_size=40))
def test_token_soup(pieces):
    ends_cleanly(" ".join(pieces))


@pytest.mark.slow
@settings(max_examples=examples(70, 700), deadline=SOON, database=None)
@given(st.data())
def test_a_shipped_file_with_a_piece_changed(data):
    text = SHIPPED[data.draw(st.sampled_from(sorted(SHIPPED)))]
    for _ in range(data.draw(st.integers(1, 2))):
        at, cut = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 8))
        text = text[:at] + data.draw(PIECES) + text[at + cut :]
    ends_cleanly(text)
