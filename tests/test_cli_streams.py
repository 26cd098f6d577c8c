"""What the command line does to files that are there, and says when a stream is closed, full, or not of this world."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tinygrad_rnn import cli
from tinygrad_rnn.models import resolve

FILE = "sizes: h = 2\nh[t] = W @ h[t-1]\nL = sum(h[T])\ngradients:\ndh[T] = ones_like(h[T])\n"
FILE += "dh[t] = W.T @ dh[t+1]    for t < T\n"
COMMAND = [sys.executable, "-m", "tinygrad_rnn"]
posix = pytest.mark.skipif(os.name != "posix", reason="names of bytes, devices and pipes by name are POSIX'")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file that is right, `mine.rnn`, to work in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.rnn").write_text(FILE)
    return tmp_path


# -- files that are there ---------------------------------------------------------------------------------------------
WRITES = {
    "verify": ("verify", "mine.rnn", "--T", "3", "--html"),
    "derive": ("derive", "mine.rnn", "-o"),
    "draw": ("draw", "mine.rnn", "-o"),
}


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize(
    "name", ["thesis.tex", "page.html", "figure.svg", "other.rnn", "notes.dot", "scan.png", "a.pdf"]
)
def test_a_file_of_somebody_else_is_not_written_over(verb: str, name: str, folder: Path, capsys: Any) -> None:
    (folder / name).write_bytes(b"three years of work, as <svg> and <html> and %PDF")
    assert cli.main([*WRITES[verb], name]) == 2
    said = capsys.readouterr()
    assert said.out == "" and f"{name} exists, and is not of this program" in said.err
    assert (folder / name).read_bytes().startswith(b"three years") and len(list(folder.iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["page.html", "figure.svg", "figure.dot", "figure.pdf", "figure.png"])
def test_what_it_wrote_itself_is_written_again(name: str, folder: Path, capsys: Any) -> None:
    if name.endswith(("pdf", "png")):
        pytest.importorskip("graphviz")
        if cli.main(["draw", "mine.rnn", "-o", name]) == 2 and "not installed" in capsys.readouterr().err:
            pytest.skip("graphviz' dot program is not installed")
    verb = "verify" if name.endswith("html") else "draw"
    for _ in range(2):
        assert cli.main([*WRITES[verb], name]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("verb", WRITES)
def test_the_file_that_is_read_is_not_written_over(verb: str, folder: Path, capsys: Any) -> None:
    Path("link.rnn").symlink_to("mine.rnn")
    os.link("mine.rnn", "hard.rnn")
    for name in ("mine.rnn", "./mine.rnn", "link.rnn", "hard.rnn", str(folder / "mine.rnn")):
        assert cli.main([*WRITES[verb], name]) == 2
        assert "is the file that is read" in capsys.readouterr().err
    assert Path("mine.rnn").read_text() == FILE
    assert cli.main(["derive", "vanilla", "-o", str(resolve("vanilla"))]) == 2


@posix
@pytest.mark.parametrize("verb", WRITES)
def test_a_device_or_a_pipe_is_not_replaced(verb: str, folder: Path, capsys: Any) -> None:
    os.mkfifo("pipe.svg")
    os.mkdir("page.html")
    for name in ("pipe.svg", "page.html", "/dev/null"):
        before = os.stat(name).st_mode
        assert cli.main([*WRITES[verb], name]) == 2
        assert f"{name}: this is no file" in capsys.readouterr().err
        assert os.stat(name).st_mode == before


def test_a_link_is_followed(folder: Path, capsys: Any) -> None:
    (folder / "pages").mkdir()
    Path("now.html").symlink_to("pages/report.html")
    for _ in range(2):
        assert cli.main([*WRITES["verify"], "now.html"]) == 0
    assert Path("now.html").is_symlink() and Path("pages/report.html").stat().st_size > 1000


# -- interrupted ------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@posix
def test_control_c_says_one_line_and_exits_130(folder: Path) -> None:
    os.mkfifo("slow.rnn")
    child = subprocess.Popen(
        [*COMMAND, "verify", "slow.rnn"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # whoever runs the tests in the background of a shell has it ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    writing = os.open("slow.rnn", os.O_WRONLY)  # returns when the child has opened it to read
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    os.close(writing)
    assert (child.returncode, out, err) == (130, b"", b"interrupted\n")


# -- streams ----------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@posix
@pytest.mark.parametrize(("line", "code", "said"), [
    ("$R derive mine.rnn >&- 2>&-", 0, b""),
    ("$R verify nofile 2>/dev/full", 2, b""),
    ("$R verify - <&-", 2, b"standard input is closed: give a file\n"),
    ("{ $R derive mine.rnn; echo $? >&2; } | true", 0, b"141\n"),
    ("{ $R draw --help; echo $? >&2; } | true", 0, b"0\n"),
    ("$R derive mine.rnn >/dev/full", 2, b"output: No space left on device\n"),
])  # fmt: skip
def test_a_stream_that_is_closed_or_full_ends_quietly(line: str, code: int, said: bytes, folder: Path) -> None:
    line = line.replace("$R", " ".join(COMMAND))
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", said)


@pytest.mark.slow
@posix
def test_names_that_are_not_utf8_are_printed(folder: Path) -> None:
    odd = [os.fsdecode(b"caf\xe9.rnn"), "a\x1b[2Jb.rnn"]
    for name in odd:
        (folder / name).write_text(FILE)
    done = subprocess.run(
        [*COMMAND, "verify", "--T", "3", *odd, "no\x07"], capture_output=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[-3:] == [
        rb"PROVED    caf\xe9.rnn",
        rb"PROVED    a\x1b[2Jb.rnn",
        rb"UNUSABLE  no\x07",
    ]
    for verb, *rest in (("verify", "--T", "3", "--html", "p.html"), ("derive", "-o", "o.rnn"), ("draw", "-o", "o.svg")):
        assert cli.main([verb, odd[0], *rest]) == 0
    assert rb"caf\xe9" in Path("p.html").read_bytes()


# -- mistakes of the program ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("error", [RecursionError("b"), UnicodeError("c"), AssertionError()], ids=repr)
@pytest.mark.parametrize("verb", ["verify", "derive", "draw", "models", "doctor", "demo"])
def test_a_mistake_of_the_program_is_70(
    verb: str, error: Exception, folder: Path, capsys: Any, monkeypatch: Any
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    for module, function in (("verification.notes", "judge_file"), ("language", "load"), ("doctor", "examine")):
        monkeypatch.setattr(import_module(f"tinygrad_rnn.{module}"), function, broken)
    given = {"verify": ["mine.rnn"], "derive": ["mine.rnn"], "draw": ["mine.rnn", "-o", "a.svg"]}.get(verb, [])
    assert cli.main([verb, *given]) == 70
    assert "Please report it" in capsys.readouterr().err
