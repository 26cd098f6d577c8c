"""The shipped equation files: complete, right as published and as derived, each naming its source."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tinygrad_rnn.core.errors import LanguageError
from tinygrad_rnn.models import names, resolve
from tinygrad_rnn.testing import assert_derivation
from tinygrad_rnn.verification.judge import judge
from tinygrad_rnn.verification.notes import judge_file

from .shipped import SMALL

SHIPPED = {
    *("vanilla", "output_to_hidden", "single_output", "leaky"),
    *("lstm", "lstm_002", "lstm_003", "lstm_004", "peephole", "coupled"),
    *("gru", "gru_z_new", "gru_after", "gru_after_z_new", "lstm_1997", "lstm_projection"),
    *("teacher_forcing", "generative", "conditional", "vector_input", "vector_initial", "vector_both"),
    *("bernoulli_stop", "end_symbol", "predicted_length", "bidirectional", "two_dimensional"),
    *("stacked", "deep_transition", "deep_transition_skip", "delay", "deleted", "leaky_tau", "clockwork"),
    *("encoder_decoder", "encoder_decoder_initial", "encoder_decoder_both", "attention", "attention_dot"),
    *("recursive", "treelstm", "echo_state", "memory_network", "ntm", "scheduled_sampling"),
}

every_model = pytest.mark.parametrize("name", names())
#: a whole verification each: every model's is judged at one length in tests/test_verify_mutants.py
SOME = sample([(name, T) for name in names() for T in (3, 5, 9)], 9, "published")


def lines(name: str) -> list[str]:
    return resolve(name).read_text(encoding="utf-8").splitlines()


def test_the_documents_networks_are_all_shipped():
    assert set(names()) >= SHIPPED


def long_enough(name: str, T: int) -> int:
    """T, or as many steps more as the longest delay goes beyond one."""
    return T + max(0, tg.load(resolve(name)).longest_delay - 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "T"), SOME)
def test_the_published_derivation_passes(name, T):
    """Certified at every length; the large ones, of whose mutants no new kind comes, without at the last."""
    certified = T < 9 or name in SMALL
    report = judge(resolve(name), long_enough(name, T), seeds=3 if name in SMALL else 1, certified=certified)
    assert report.ok, str(report)
    assert report.probe is not None or not certified


@pytest.mark.slow
@every_model
def test_the_derivation_is_complete(name):
    """Every parameter has its gradient, and every gradient that is used is stated."""
    model = tg.load(resolve(name))
    stated = {equation.name.partition("[")[0] for equation in model.gradients}
    assert {f"d{parameter}" for parameter in model.parameters} <= stated
    assert not {f"d{name}" for name in model.document.fixed} & stated
    forward = {equation.name.partition("[")[0] for equation in model.forward}
    used = {word for equation in model.gradients for word in re.findall(r"[^\W\d]\w*\u0303?", equation.text)}
    assert {word for word in used if word[:1] == "d" and word[1:] in forward} <= stated


@every_model
def test_the_header_names_documents_and_sections(name):
    header = " ".join(line[1:].strip() for line in lines(name)[: _place(name, "model:")])
    found = re.search(r"Forward equations: (.*)", header)
    assert found, "say where the forward equations come from"
    assert re.search(r"\bdocuments? 00[0-4]\b", found.group(1))
    assert re.search(r"section \d|part \d|the slide|the figure|the gates|gru_z_new", found.group(1))


@every_model
def test_the_header_says_whose_gradients_these_are(name):
    header = " ".join(lines(name)[: _place(name, "model:")])
    assert "derived by hand" in header


def _place(name: str, start: str) -> int:
    return next(place for place, line in enumerate(lines(name)) if line.startswith(start))


@pytest.mark.slow
def test_titles_are_unique():
    titles = Counter(tg.load(resolve(name)).name for name in names())
    assert max(titles.values()) == 1 and "" not in titles


@every_model
def test_a_model_is_written_to_be_read(name):
    assert all(len(line) <= 132 for line in lines(name))
    assert not any(line != line.rstrip() for line in lines(name))


@pytest.mark.parametrize(
    ("name", "keeps", "reset"),
    [
        ("gru", "z[t] * h[t-1]", "W_n @ (r[t] * h[t-1])"),
        ("gru_z_new", "(1 - z[t]) * h[t-1]", "W_n @ (r[t] * h[t-1])"),
        ("gru_after", "z[t] * h[t-1]", "r[t] * m[t]"),
        ("gru_after_z_new", "(1 - z[t]) * h[t-1]", "r[t] * m[t]"),
    ],
)
def test_the_four_gated_units_differ_in_what_keeps_the_past_and_where_the_reset_acts(name, keeps, reset):
    forward = {line.partition(" = ")[0]: line for line in lines(name) if " = " in line}
    assert forward["h[t]"].endswith(f" + {keeps}")
    assert reset in forward["a_n[t]"]
    assert "this file" in " ".join(lines(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "ask",
    [
        lambda file: tg.load(file).name,
        lambda file: [model.name for model in tg.load_all(file)],
        lambda file: tg.verify(file, T=3, seeds=1).verdict,
        lambda file: tg.derive(file).text(),
        lambda file: judge_file(file, T=3, seeds=1).verdict,
        lambda file: assert_derivation(file, T=3, seeds=1),
    ],
    ids=["load", "load_all", "verify", "derive", "judge_file", "assert_derivation"],
)
def test_whatever_takes_a_file_takes_a_shipped_name(ask, tmp_path, monkeypatch):
    by_path = ask(resolve("vanilla"))
    assert ask("vanilla") == by_path and ask(Path("vanilla")) == by_path
    monkeypatch.chdir(tmp_path)  # a file of that name here is the one that is meant
    Path("vanilla").write_text(resolve("vanilla").read_text(encoding="utf-8"), encoding="utf-8")
    assert ask("vanilla") == by_path
    with pytest.raises(LanguageError, match=r"cannot read this file(.|\n)*shipped model's name"):
        ask("vanila")
