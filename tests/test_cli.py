"""The command line: exit codes, the JSON object, pictures whole or not at all, one readable screen for bad input."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sweep import EVERYTHING, sample
from tinygrad_rnn.cli import main
from tinygrad_rnn.drawing.writers import picture_files
from tinygrad_rnn.models import names, resolve

from .shipped import SMALL

CORPUS = Path(__file__).parent / "corpus"
VANILLA = resolve("vanilla").read_text(encoding="utf-8")
WRONG = CORPUS / "wrong" / "vanilla_tanh_twice.rnn"
ILLTYPED = CORPUS / "illtyped" / "vanilla_diag_after_gradient.rnn"
HAS_DOT = shutil.which("dot") is not None
needs_dot = pytest.mark.skipif(not HAS_DOT, reason="graphviz' dot program is not installed")


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str
    seconds: float


@pytest.fixture
def run(capsys):
    """Runs the command line in this process; what `argparse` exits with counts as the exit code."""

    def answer(*argv: object) -> Answer:
        start = time.perf_counter()
        try:
            code = main([str(arg) for arg in argv])
        except SystemExit as stop:
            code = int(stop.code or 0)
        seconds = time.perf_counter() - start
        return Answer(code, *capsys.readouterr(), seconds)

    return answer


@pytest.fixture
def file(tmp_path):
    """Writes an equation file and returns its path."""

    def write(content: str | bytes, name: str = "mine.rnn") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def assert_one_screen(message: str) -> None:
    """Fewer than 25 lines of a terminal 100 characters wide, and no traceback."""
    assert message.strip()
    assert "Traceback" not in message
    assert sum(1 + len(line) // 100 for line in message.splitlines()) < 25


def assert_refused(answer: Answer) -> None:
    assert answer.code == 2, answer
    assert answer.out == ""
    assert answer.seconds < 5
    assert_one_screen(answer.err)


def in_a_shell(*argv: object, **options) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "tinygrad_rnn", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


# -- verify: exit codes -----------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("model", sample(SMALL, 4, "verify ends with 0", always=["vanilla"]))
def test_a_right_derivation_ends_with_0(run, model):
    answer = run("verify", model, "--seeds", 1)
    assert (answer.code, answer.err) == (0, "")
    assert re.search(": (PASS|PROVED) ", answer.out)
    assert "FAIL" not in answer.out


def test_a_wrong_derivation_ends_with_1_and_shows_the_equation(run):
    answer = run("verify", WRONG)
    flagged = re.search(r"^# flagged: (.*)$", WRONG.read_text(encoding="utf-8"), re.MULTILINE)[1].strip()
    assert (answer.code, answer.err) == (1, "")
    failed = [line.split() for line in answer.out.splitlines() if re.search(r"line +\d+ +FAIL", line)]
    assert [words[0] for words in failed] == [flagged]


def test_an_ill_typed_derivation_ends_with_1_and_shows_both_shapes(run):
    answer = run("verify", ILLTYPED)
    assert (answer.code, answer.err) == (1, "")
    assert "ILL-TYPED" in answer.out
    assert "4 x 1" in answer.out
    assert "4 x 4" in answer.out


@pytest.mark.slow
def test_standard_input_is_read(file):
    path = file(VANILLA)
    with path.open() as stream:
        done = in_a_shell("verify", "-", "--seeds", 1, stdin=stream)
    assert (done.returncode, done.stderr) == (0, "")
    assert "vanilla RNN: PROVED" in done.stdout


@pytest.mark.slow
def test_derive_reads_standard_input_and_tells_so(file, run):
    with file(VANILLA).open() as stream:
        done = in_a_shell("derive", "-", stdin=stream)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run("derive", file(VANILLA)).out
    assert "expected a path, a shipped model's name, or - for standard input" in run("derive", "nowhere.rnn").err


def test_a_number_that_is_none_is_told_in_words(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "--T", "abc", "vanilla"])
    assert "argument --T: a whole number from 1 on is needed" in capsys.readouterr().err


@pytest.mark.slow
def test_several_files_make_one_summary_and_the_worst_exit_code(run, file):
    broken = file("h[t] = \n", "broken.rnn")
    answer = run("verify", "vanilla", WRONG, broken, "--seeds", 1)
    assert answer.code == 1
    assert [line.split()[0] for line in answer.out.splitlines()[-3:]] == ["PROVED", "FAIL", "UNUSABLE"]
    assert run("verify", "vanilla", broken, "--seeds", 1).code == 2
    found = json.loads(run("verify", "vanilla", WRONG, "--seeds", 1, "--json").out)
    assert [entry["verdict"] for entry in found["files"]] == ["PROVED", "FAIL"]
    assert found["ok"] is False


def test_an_unexpected_error_is_never_a_verdict(run, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise KeyError("t")

    monkeypatch.setattr(sys.modules["tinygrad_rnn.verification.notes"], "judge_file", broken)
    answer = run("verify", "vanilla")
    assert (answer.code, answer.out) == (70, "")
    assert "KeyError: 't'" in answer.err
    assert "report it" in answer.err


@pytest.mark.parametrize("T", [1, 2])
def test_a_sequence_too_short_for_a_recurrence_ends_with_3(run, T):
    answer = run("verify", "vanilla", "--T", T)
    assert (answer.code, answer.err) == (3, "")
    assert "INCONCLUSIVE" in answer.out


def test_a_mistake_is_a_mistake_on_a_short_sequence_as_well(run, file):
    assert run("verify", file(VANILLA.replace("dc = sum(t, do[t])", "dc = -sum(t, do[t])")), "--T", 2).code == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_that_overflow_end_with_3(run, file):
    text = "sizes: h = 2\nh[t] = exp(exp(W @ h[t-1] + 10))\nL = sum(t, sum(h[t]))\ngradients:\ndh[T] = 1 + 0 * h[T]\n"
    answer = run("verify", file(text), "--json")
    assert answer.code == 3
    (row,) = json.loads(answer.out)["equations"]
    assert row["verdict"] == "INCONCLUSIVE"
    assert row["steps"][0]["error"] is None


def test_values_that_overflow_leave_no_warning_of_numpy(recwarn, run, file):
    run("verify", file("sizes: h = 2\nh[t] = exp(exp(W @ h[t-1] + 10))\nL = sum(h[T])\ngradients:\ndL = 1\n"))
    assert not recwarn.list


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["verify"],
        ["unfold", "vanilla"],
        ["verify", "vanilla", "--T", "0"],
        ["verify", "vanilla", "--T", "-3"],
        ["verify", "vanilla", "--T", "four"],
        ["verify", "vanilla", "--T", "10000000000"],
        ["verify", "vanilla", "--seeds", "0"],
        ["draw", "vanilla"],
        ["draw", "vanilla", "-o", "x.svg", "--level", "all"],
        ["draw", "vanilla", "-o", "x.svg", "--steps", "0"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_end_with_2(run, argv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(run(*argv))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_as_a_module_it_is_the_same_command():
    right, wrong, unusable = (in_a_shell("verify", name, "--seeds", 1) for name in ("vanilla", WRONG, "no-such-file"))
    assert (right.returncode, right.stderr) == (0, "")
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert (unusable.returncode, unusable.stdout) == (2, "")
    assert "vanilla RNN: PROVED" in right.stdout
    assert_one_screen(unusable.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_stops_reading_is_no_error(unbuffered):
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "tinygrad_rnn", "verify", "vanilla", "--seeds", "1"]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment, timeout=60, check=False)
    finally:
        os.close(writing)
    assert done.stderr == b""
    assert done.returncode not in (1, 2)


@pytest.mark.slow
def test_a_terminal_without_greek_letters_is_no_error(file):
    path = file(VANILLA.replace("model: vanilla RNN", "model: Σ ∇h"))
    done = in_a_shell("verify", path, "--seeds", 1, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")


# -- verify: the JSON object ------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize(("path", "code"), [("vanilla", 0), ("lstm", 0), (WRONG, 1)], ids=["vanilla", "lstm", "wrong"])
def test_json_is_one_object_of_the_stated_form(run, path, code):
    answer = run("verify", path, "--json", "--T", 3, "--seeds", 1)
    assert (answer.code, answer.err) == (code, "")
    found = json.loads(answer.out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert type(found["ok"]) is bool
    assert found["ok"] is (code == 0)
    assert type(found["model"]) is str
    lines = Path(resolve(path)).read_text(encoding="utf-8").splitlines()
    for row in found["equations"]:
        assert {"name", "line", "verdict", "steps"} <= set(row)
        assert lines[row["line"] - 1].startswith(row["name"] + " =")
        assert row["verdict"] in ("PROVED", "PASS", "FAIL", "INCONCLUSIVE")
        for step in row["steps"]:
            assert {"t", "T", "verdict", "error", "bound"} <= set(step)
            assert step["T"] == 3
            # a parameter belongs to no step
            assert step["t"] in (1, 2, 3) if "[" in row["name"] else step["t"] is None
            assert step["verdict"] in ("PASS", "FAIL", "INCONCLUSIVE")
            assert type(step["error"]) is type(step["bound"]) is float
            assert (step["verdict"] == "FAIL") == (step["error"] > step["bound"])
    assert any(row["verdict"] == "FAIL" for row in found["equations"]) is (code == 1)


def test_json_covers_each_equation_and_each_of_its_steps(run):
    rows = {row["name"]: row for row in json.loads(run("verify", "vanilla", "--json", "--T", 5).out)["equations"]}
    assert list(rows) == ["do[t]", "dh[T]", "dh[t]", "dc", "db", "dV", "dW", "dU"]
    steps = {name: list(dict.fromkeys(step["t"] for step in row["steps"])) for name, row in rows.items()}
    assert steps["do[t]"] == [1, 2, 3, 4, 5]
    assert steps["dh[t]"] == [1, 2, 3, 4]
    assert steps["dh[T]"] == [5]
    assert steps["dW"] == [None]


# -- unusable files ---------------------------------------------------------------------------------------------------
def with_line(equation: str, section: str = "forward") -> str:
    """The vanilla network with one more equation."""
    return VANILLA + equation + "\n" if section == "gradients" else VANILLA.replace("h[t] = tanh(a[t])", equation)


UNUSABLE: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "no equations"),
    "blank": ("\n  \n# nothing yet\n", "no equations"),
    "binary": (bytes(range(256)) * 40, "binary"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "binary"),
    "Latin-1": ("# Größe\n".encode("latin-1") + VANILLA.encode(), "UTF-8"),
    "UTF-16": (VANILLA.encode("utf-16"), "binary"),
    "prose": ("Dear reader,\nthis is a letter.\n", "mine.rnn:"),
    "JSON": ('{"model": "vanilla"}', "mine.rnn:1:"),
    "Python": ("import os\nos.system('true')\n", "mine.rnn:1:"),
    "unknown function": (with_line("h[t] = tahn(a[t])"), "did you mean tanh"),
    "a number too large": (with_line("h[t] = 1e999 * tanh(a[t])"), "too large"),
    "beyond the sequence": (with_line("h[t] = tanh(a[t] + U @ x[t+1])"), "x[8]"),
    "an attribute": (with_line("h[t] = h.__class__"), ".__class__"),
    "an attribute of a call": (with_line("h[t] = tanh(a[t]).real"), ".real"),
    "import": (with_line("h[t] = __import__('os')"), "quotes"),
    "import, spelt as a call": (with_line("h[t] = __import__(os)"), "unknown function"),
    "a lambda": (with_line("h[t] = lambda a: a"), "mine.rnn:"),
    "an f-string": (with_line('h[t] = f"{a}"'), "quotes"),
    "a comprehension": (with_line("h[t] = [a for a in b]"), "mine.rnn:"),
    "a walrus": (with_line("h[t] = (q := a[t])"), "mine.rnn:"),
    "a star": (with_line("h[t] = tanh(*a[t])"), "unexpected"),
    "a keyword": (with_line("h[t] = tanh(x=a[t])"), "unexpected"),
    "a slice": (with_line("h[t] = a[1:2]"), "mine.rnn:"),
    "a power tower": (with_line("h[t] = a[t]**9**9**9**9"), "mine.rnn:"),
    "a huge index": (with_line("h[t] = a[t-99999999999999999999]"), "mine.rnn:"),
    "deep brackets": (with_line("h[t] = " + "(" * 10_000 + "a[t]" + ")" * 10_000), "nested"),
    "deep functions": (with_line("h[t] = " + "tanh(" * 10_000 + "a[t]" + ")" * 10_000), "nested"),
    "deep signs": (with_line("h[t] = " + "-" * 10_000 + "a[t]"), "mine.rnn:"),
    "many operators": (with_line("h[t] = " + "a[t] + " * 100_000 + "a[t]"), "longer than"),
    "operators in a row": (with_line("h[t] = a[t] " + "+" * 100_000), "mine.rnn:"),
    "a line of 1 MB": (with_line("h[t] = " + "a[t] + " * 142_000 + "a[t]"), "mine.rnn:"),
    "a comment of 5 MB": ("# " + "x" * 5_000_000 + "\n" + VANILLA, "larger than"),
    "5 MB of equations": ("h[t] = tanh(W @ h[t-1])\n" * 210_000, "larger than"),
    "many equations": ("".join(f"q{i}[t] = x[t]\n" for i in range(40_000)), "too long"),
    "unclosed bracket": (with_line("h[t] = tanh(a[t]"), "never closed"),
    "bracket closed twice": (with_line("h[t] = tanh(a[t]))"), "closes nothing"),
    "brackets crossed": (with_line("h[t] = tanh(a[t)]"), "unexpected"),
    "a forward equation twice": (VANILLA.replace("h[t] =", "h[t] = a[t]\nh[t] =", 1), "h[t] is defined twice"),
    "no gradients": (VANILLA.split("gradients:")[0], "nothing to verify"),
    "gradients without equations": (VANILLA.split("gradients:")[0] + "gradients:\n", "nothing to verify"),
    "helpers only": (VANILLA.split("gradients:")[0] + "gradients:\nv[t] = tanh(a[t])\n", "nothing to verify"),
    "no loss": ("sizes: h = 2\nh[t] = tanh(W @ h[t-1])\ngradients:\ndh[t] = 0\n", "no loss"),
    "size 0": (VANILLA.replace("h = 4", "h = 0"), "size cannot be used"),
    "a negative size": (VANILLA.replace("h = 4", "h = -4"), "not a size"),
    "a fraction of a size": (VANILLA.replace("h = 4", "h = 4.5"), "not a size"),
    "size 10**9": (VANILLA.replace("h = 4", "h = 1000000000"), "size cannot be used"),
    "size 10**9 as a power": (VANILLA.replace("h = 4", "h = 10**9"), "not a size"),
    "size of a thousand digits": (VANILLA.replace("h = 4", "h = " + "9" * 5000), "size cannot be used"),
    "the largest size": (VANILLA.replace("h = 4", "h = 100000"), "100000 x 100000"),
    "sizes at odds": (VANILLA.replace("h = 4", "h = 4, W = 5 x 5"), "shapes do not fit"),
    "a circle": (VANILLA.replace("c + V @ h[t]", "c + V @ h[t] + o[t]"), "o[1] is defined by itself"),
    "a circle over two": (VANILLA.replace("b + W", "h[t] + b + W"), "defined by itself"),
    "half written": (VANILLA[: VANILLA.index("dW = sum(t, diag(") + 14], "never closed"),
    "half a character": (VANILLA.encode() + "dx[t] = ∇".encode()[:-1], "UTF-8"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_file_ends_with_2_and_one_screen(run, file, case):
    content, expected = UNUSABLE[case]
    answer = run("verify", file(content))
    assert_refused(answer)
    assert expected in answer.err


#: one bad line of the gradients: what the answer says of it, and the exit code; every other equation is judged
BAD_LINES = {
    "undefined name": ("dx[t] = U.T @ delta[t]", "ILL-TYPED", "delta is defined nowhere", 1),
    "nan as a name": ("dx[t] = nan", "ILL-TYPED", "nan is defined nowhere", 1),
    "inf as a name": ("dx[t] = U.T @ (inf * dh[t])", "ILL-TYPED", "inf is defined nowhere", 1),
    "no quantity": ("dq[t] = U.T @ dh[t]", "ILL-TYPED", "there is no quantity q", 1),
    "shapes": ("dx[t] = U @ dh[t]", "ILL-TYPED", "left is 4 x 3", 1),
    "beyond the sequence": (
        "dx[t] = U.T @ ((1 - h[t]**2) * dh[t] + 0 * h[t+1] * dh[t+1])",
        "INCONCLUSIVE",
        "neither stated nor given: h[T+1] (in dx[t]), dh[T+1] (in dx[t])",
        3,
    ),
    "a circle": ("dx[t] = dx[t]", "CIRCULAR", "it reads itself: `dx[1] <- dx[1]`", 1),
    "a circle of helpers": ("v[t] = w[t]\nw[t] = v[t]\ndx[t] = U.T @ v[t]", "CIRCULAR", "`v[1] <- w[1] <- v[1]`", 1),
    "an equation twice": ("dc = sum(t, do[t])", "PROVED", "stated on line 35 too, and the two agree", 0),
    "two equations that differ": ("dc = 2 * sum(t, do[t])", "FAIL", "stated on line 35 too, and the two differ", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD_LINES)
def test_one_bad_line_is_a_verdict_of_that_line_and_ends_nothing(run, file, case):
    line, verdict, told, code = BAD_LINES[case]
    answer = run("verify", file(with_line(line, "gradients")), "--seeds", 1)
    assert (answer.code, answer.err) == (code, "")
    rows = re.findall(r"^  (\S+) +line +(\d+)  (\S+)", answer.out, re.MULTILINE)
    assert [row[2] for row in rows if int(row[1]) < 40] == ["PROVED"] * 8
    assert verdict in [row[2] for row in rows if int(row[1]) >= 40]
    assert told in " ".join(answer.out.split())


@pytest.mark.parametrize("case", ["empty", "binary", "unclosed bracket", "a circle", "size 10**9", "no loss"])
def test_an_unusable_file_is_not_drawn(run, file, tmp_path, case):
    path = file(UNUSABLE[case][0])
    assert_refused(run("draw", path, "-o", tmp_path / "out.svg"))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", ".", "no-such-file.rnn", "no/such/folder/mine.rnn", "mine\0.rnn", "lstm "])
def test_what_is_no_file_ends_with_2_and_one_screen(run, name):
    assert_refused(run("verify", name))


@pytest.mark.parametrize("h", ["1000000000", "100000", "10**9", "-1000000000"])
def test_a_size_out_of_reach_is_refused_before_memory_is_asked_for(run, file, h):
    path = file(VANILLA.replace("h = 4", f"h = {h}"))
    tracemalloc.start()
    try:
        assert_refused(run("verify", path))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


LONG = "q" * 900_000
ENDLESS = {
    "size of no name": VANILLA.replace("h = 4", f"h = 4, {LONG} = 4"),
    "circle": VANILLA.replace("L[t] =", f"{LONG[:400_000]}[t] = {LONG[:400_000]}[t] + o[t]\nL[t] ="),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_message_stays_on_one_screen_whatever_it_quotes(run, file, case):
    assert_refused(run("verify", file(ENDLESS[case])))


def test_a_message_stays_on_one_screen_whatever_the_file_is_called(run):
    assert_refused(run("verify", "a" * 5000))


SAVED = {
    "BOM": "\ufeff" + VANILLA,
    "CRLF": VANILLA.replace("\n", "\r\n"),
    "CR": VANILLA.replace("\n", "\r"),
    "no newline at the end": VANILLA.rstrip("\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", SAVED)
def test_how_an_editor_saves_makes_no_difference(run, file, way):
    answer = run("verify", file(SAVED[way]), "--json", "--seeds", 1)
    assert answer.code == 0
    assert (
        json.loads(answer.out)["equations"]
        == json.loads(run("verify", "vanilla", "--json", "--seeds", 1).out)["equations"]
    )


@pytest.mark.slow
def test_a_file_cut_off_anywhere_gets_a_verdict_or_one_screen(run, file):
    data = VANILLA.encode()
    start = data.index(b"sizes:")
    for stop in range(start, len(data), 1 if EVERYTHING else 61):
        answer = run("verify", file(data[:stop]), "--seeds", 1, "--T", 3)
        assert answer.code in (0, 1, 2)
        assert answer.seconds < 5
        if answer.code == 2:
            assert_refused(answer)


# -- draw -------------------------------------------------------------------------------------------------------------
SVG = "{http://www.w3.org/2000/svg}svg"


@pytest.fixture
def no_dot(monkeypatch):
    """A machine without graphviz' dot program."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)


@pytest.mark.parametrize("level", ["named", "op"])
@pytest.mark.parametrize("backward", [[], ["--backward"]], ids=["forward", "backward"])
@pytest.mark.usefixtures("no_dot")
def test_draw_writes_svg_with_nothing_installed(run, tmp_path, level, backward):
    out = tmp_path / "out.svg"
    answer = run("draw", "vanilla", "-o", out, "--steps", 3, "--level", level, *backward)
    assert (answer.code, answer.err) == (0, "")
    assert str(out) in answer.out
    assert ElementTree.parse(out).getroot().tag == SVG
    assert [path.name for path in tmp_path.iterdir()] == ["out.svg"]


def test_draw_writes_the_text_of_a_graph(run, tmp_path):
    assert run("draw", "lstm", "-o", tmp_path / "out.dot").code == 0
    assert (tmp_path / "out.dot").read_text(encoding="utf-8").startswith("digraph")


@needs_dot
@pytest.mark.dot
@pytest.mark.parametrize(("suffix", "magic"), [(".pdf", b"%PDF"), (".png", b"\x89PNG\r\n"), (".svg", b"<?xml")])
def test_draw_writes_what_dot_makes(run, tmp_path, suffix, magic):
    out = tmp_path / f"out{suffix}"
    assert run("draw", "vanilla", "-o", out, "--steps", 2).code == 0
    assert out.read_bytes().startswith(magic)


@needs_dot
@pytest.mark.dot
def test_dot_reads_the_text_of_a_graph(run, tmp_path):
    out = tmp_path / "out.dot"
    run("draw", "gru", "-o", out, "--level", "op", "--steps", 2)
    done = subprocess.run(["dot", "-Tplain", str(out)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout[:5]) == (0, "graph")


def test_the_mode_of_a_picture_is_that_of_any_new_file(run, tmp_path):
    (tmp_path / "any").write_text("")
    run("draw", "vanilla", "-o", tmp_path / "out.dot")
    assert (tmp_path / "out.dot").stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize("name", ["out.jpg", "out", "out.", "out.svg.txt", ".svg"])
def test_a_format_nobody_knows_is_refused_before_anything_is_written(run, tmp_path, name):
    assert_refused(run("draw", "vanilla", "-o", tmp_path / name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".pdf", ".png"])
@pytest.mark.usefixtures("no_dot")
def test_a_format_that_needs_dot_is_refused_without_it(run, tmp_path, suffix):
    answer = run("draw", "vanilla", "-o", tmp_path / f"out{suffix}")
    assert_refused(answer)
    assert "out.svg needs nothing" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused(run, tmp_path, file):
    for folder in (tmp_path / "missing", file("", "a-file")):
        assert_refused(run("draw", "vanilla", "-o", folder / "out.dot"))
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_the_message_names_the_file_that_was_asked_for(run, tmp_path):
    assert f"{tmp_path / 'missing' / 'out.dot'}: " in run("draw", "vanilla", "-o", tmp_path / "missing" / "out.dot").err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written_is_refused(run, tmp_path):
    tmp_path.chmod(0o500)
    try:
        assert_refused(run("draw", "vanilla", "-o", tmp_path / "out.dot"))
    finally:
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def unlucky(*_: object) -> None:
    raise picture_files.GraphError("this picture cannot be made")


@pytest.mark.parametrize(("where", "fault"), [("to_svg", unlucky), ("to_svg", full), ("replace", full)])
@pytest.mark.usefixtures("no_dot")
def test_a_picture_that_fails_leaves_the_old_one_and_no_half_file(run, tmp_path, monkeypatch, where, fault):
    out = tmp_path / "out.svg"
    old = '<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt"/>'
    out.write_text(old)
    with monkeypatch.context() as patch:
        patch.setattr(os if where == "replace" else picture_files, where, fault)
        answer = run("draw", "vanilla", "-o", out)
        assert_refused(answer)
        assert "exists" not in answer.err
    assert out.read_text() == old
    assert list(tmp_path.iterdir()) == [out]


def test_a_picture_replaces_the_old_one(run, tmp_path):
    out = tmp_path / "out.dot"
    out.write_text("digraph old { picture }")
    assert run("draw", "vanilla", "-o", out).code == 0
    assert "picture" not in out.read_text(encoding="utf-8")


# -- demo -------------------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("no_dot")
def test_demo_verifies_the_book_and_writes_its_pictures(run, tmp_path):
    answer = run("demo", "-o", tmp_path / "new" / "folder")
    assert (answer.code, answer.err) == (0, "")
    assert "vanilla RNN: PROVED" in answer.out
    pictures = sorted((tmp_path / "new" / "folder").iterdir())
    assert [path.name for path in pictures] == ["vanilla-named.svg", "vanilla-op.svg"]
    for path in pictures:
        assert str(path) in answer.out
        assert ElementTree.parse(path).getroot().tag == SVG


@pytest.mark.usefixtures("no_dot")
def test_demo_into_a_file_is_refused(run, file):
    path = file("keep me", "taken")
    answer = run("demo", "-o", path)
    assert answer.code == 2
    assert_one_screen(answer.err)
    assert path.read_text() == "keep me"


# -- derive and models ------------------------------------------------------------------------------------------------
BOOK = """
do[t] = softmax(o[t]) - onehot(y[t])
dh[T] = V.T @ do[T]
dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T
db = sum(t, diag(1 - h[t]**2) @ dh[t])
dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)
dU = sum(t, diag(1 - h[t]**2) @ dh[t] @ x[t].T)
dc = sum(t, do[t])
dV = sum(t, do[t] @ h[t].T)
"""


def test_derive_prints_the_equations_of_the_book(run):
    answer = run("derive", "vanilla")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.strip() == BOOK.strip()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vanilla", "lstm", "gru_after"])
def test_what_derive_prints_passes_verify(run, file, model):
    forward = resolve(model).read_text(encoding="utf-8").split("gradients:")[0]
    path = file(f"{forward}\ngradients:\n{run('derive', model).out}")
    assert run("verify", path, "--seeds", 1).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("model", sample(names(), 6, "latex of derive", always=["lstm_002"]))
def test_the_latex_of_derive_is_one_balanced_environment(run, model):
    latex = run("derive", model, "--latex").out.strip()
    assert latex.startswith("\\begin{align*}\n") and latex.endswith("\n\\end{align*}")
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    opened = re.findall(r"\\begin\{(\w+\*?)\}", latex)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+\*?)\}", latex))
    lines = latex.splitlines()[1:-1]
    assert all(line.count("&=") == 1 and line.endswith(r"\\") for line in lines[:-1])
    assert latex.isascii() or model == "lstm_002"


def test_the_steps_of_derive_go_from_the_chain_rule_to_the_equation(run):
    groups = run("derive", "vanilla", "--steps").out.strip().split("\n\n")
    assert [group.splitlines()[0] for group in groups] == ["do", "dh", "db", "dW", "dU", "dc", "dV"]
    for group in groups:
        first, *rewrites = group.splitlines()
        assert rewrites[0].startswith("  chain rule  ")
        assert all(re.search(rf"  {first}(\[\w+\])? = ", line) for line in rewrites)


def test_derive_writes_the_file_with_its_gradients_and_never_over_it(run, file, tmp_path):
    path = file(
        "# what I wrote\nsizes: h = 2\nh[t] = tanh(W @ h[t-1])  # the state\nL = sum(h[T])\ngradients:\ndW = 0\n"
    )
    target = tmp_path / "new.rnn"
    assert run("derive", path, "-o", target).code == 0
    assert target.read_text().startswith("# what I wrote\nsizes: h = 2\nh[t] = tanh(W @ h[t-1])  # the state\n")
    assert run("verify", target, "--seeds", 1).code == 0
    before = Path(path).read_text()
    assert_refused(run("derive", path, "-o", path))
    assert Path(path).read_text() == before


def test_what_is_kept_beside_what_was_asked_for_is_said(run):
    answer = run("derive", "vanilla", "--keep", "o")
    assert answer.code == 0
    assert "feeds itself through time, so its gradient is kept" in answer.err


def test_style_and_keep_choose_how_it_is_written(run):
    assert "dh[t+1] * (1 - h[t+1]**2)" in run("derive", "vanilla", "--style", "hadamard").out
    kept = {line.split("[")[0] for line in run("derive", "lstm", "--keep", "h,c").out.splitlines() if "] =" in line}
    assert {name for name in kept if not name.startswith(("dW", "dU", "db", "dV"))} == {"dh", "dc"}


@pytest.mark.parametrize(
    "argv",
    [
        ["derive", "no-such-file"],
        ["derive", "vanilla", "--keep", "nothing"],
        ["derive", "vanilla", "--keep", ","],
        ["derive", "vanilla", "--style", "italic"],
        ["derive", "vanilla", "--latex", "--steps"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_derived_ends_with_2(run, argv):
    assert_refused(run(*argv))


def test_models_lists_each_model_with_what_it_is_and_its_source(run):
    head, *lines = run("models").out.splitlines()
    assert head.split()[0] == "NAME"
    assert [line.split()[0] for line in lines] == names()
    for line in lines:
        name, what, source = re.split(r"  +", line)
        assert f"model: {what}" in resolve(name).read_text(encoding="utf-8")
        assert re.search(r"document 00\d|torch", source)
        assert source.count("(") == source.count(")")


# -- reports in other forms -------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_html_is_written_beside_the_answer(run, tmp_path):
    out = tmp_path / "report.html"
    answer = run("verify", WRONG, "--html", out, "--seeds", 1)
    assert (answer.code, answer.err) == (1, "")
    assert f"wrote {out}" in answer.out
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert json.loads(run("verify", WRONG, "--html", out, "--json", "--seeds", 1).out)["ok"] is False


def test_html_into_no_folder_ends_with_2(run, tmp_path):
    answer = run("verify", "vanilla", "--html", tmp_path / "missing" / "report.html", "--seeds", 1)
    assert answer.code == 2
    assert_one_screen(answer.err)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_fails_leaves_the_old_one(run, tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("the old page")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert run("verify", "vanilla", "--html", out, "--seeds", 1).code == 2
    assert out.read_text() == "the old page"
    assert list(tmp_path.iterdir()) == [out]


NOTES = "# Mine\n\n```rnn\n{}```\n\n# Yours\n\n```rnn\n{}```\n"
SIGN = VANILLA.replace("dc = sum(t, do[t])", "dc = -sum(t, do[t])")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "code"),
    [(VANILLA, 0), (SIGN, 1), (VANILLA.replace("tanh(a", "tahn(a"), 2), (VANILLA.split("gradients:")[0], 0)],
    ids=["right", "wrong", "unreadable", "forward only"],
)
def test_notes_end_with_the_code_of_their_worst_block(run, file, second, code):
    path = file(NOTES.format(VANILLA, second), "notes.md")
    answer = run("verify", path, "--seeds", 1)
    assert (answer.code, answer.err) == (code, "")
    assert "Mine (vanilla RNN): PROVED" in answer.out
    found = json.loads(run("verify", path, "--seeds", 1, "--json").out)
    assert found["ok"] is (code == 0)
    assert [block["heading"] for block in found["blocks"]] == ["Mine", "Yours"]


def test_notes_on_a_short_sequence_end_with_3(run, file):
    assert run("verify", file(NOTES.format(VANILLA, VANILLA), "notes.md"), "--T", 2).code == 3


def test_notes_that_hold_no_block_end_with_2(run, file):
    assert_refused(run("verify", file("# Only words\n", "notes.md")))
