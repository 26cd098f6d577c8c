"""The command line: arguments in, one public function called, an exit code out.

Exit codes: 0 all right, 1 something is wrong, 2 unusable input, 3 undecided, 70 a mistake of this program, 130
interrupted.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, streams
from .core.atomic_files import printable
from .core.errors import GraphError, TinygradError

if TYPE_CHECKING:
    from .language.syntax.source import Source
    from .notes.document_report import DocumentReport
    from .verification.report import Notes, Report
    from .verification.results import Verdicts

RIGHT, WRONG, UNUSABLE, UNDECIDED = 0, 1, 2, 3
#: EX_SOFTWARE of sysexits.h
UNEXPECTED = 70
#: of several files the first of these decides
WORST_FIRST = (UNEXPECTED, WRONG, UNUSABLE, UNDECIDED, RIGHT)
#: what a shell reports of a program whose reader has gone
READER_GONE = 141
#: and of one that was told to stop
INTERRUPTED = 130
#: endings of documents, whose formulas are judged
DOCUMENTS = (".md", ".markdown", ".tex", ".ltx", ".ipynb", ".txt")
_FILE = (
    "lecture notes (.md, .tex, .ipynb, .txt), an equation file (.rnn), "
    "or a shipped model's name (see: tinygrad-rnn models)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and never raises for bad input."""
    streams.make_ready()
    try:
        arguments = _parser().parse_args(argv)
        code = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except SystemExit:  # argparse has said all there is to say
        streams.flushed()
        raise
    except KeyboardInterrupt:
        streams.say("interrupted")
        return INTERRUPTED
    except TinygradError as error:
        streams.say(_one_screen(str(error)))
    except BrokenPipeError:
        streams.forget_output()
        return READER_GONE
    except OSError as error:
        where = printable(error.filename) if isinstance(error.filename, str) else "output"
        streams.say(_one_screen(f"{where}: {error.strerror or error}"))
    except MemoryError:
        streams.say("this needs more memory than there is: try a smaller --T, or smaller sizes")
    except Exception as error:
        return _unexpected(error)
    streams.flushed()
    return UNUSABLE


def _unexpected(error: Exception) -> int:
    """Says that the program is wrong, not the file, and what to send."""
    *_, last = traceback.extract_tb(error.__traceback__)
    where = f"{Path(last.filename).name}:{last.lineno}"
    said = (
        f"unexpected error: {type(error).__name__}: {error} ({where})\n"
        f"This is a mistake of tinygrad-rnn {__version__}, not a verdict on the file.\n"
        "Please report it, with the file and this text."
    )
    streams.say(_one_screen(said))
    return UNEXPECTED


def _one_screen(message: str, lines: int = 20, width: int = 240) -> str:
    """The message, without the middle of what is too long to be read."""
    shown = message.splitlines()[:lines]
    return "\n".join(line if len(line) <= width else f"{line[:160]} … {line[-60:]}" for line in shown)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tinygrad-rnn",
        description="Recurrent networks as one explicit graph: verify a hand derivation, derive the right one, "
        "draw the unfolded network.",
    )
    parser.add_argument("--version", action="version", version=f"tinygrad-rnn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    verify = commands.add_parser("verify", help="judge the gradient equations of FILE, term by term and step by step")
    verify.add_argument("files", metavar="FILE", nargs="+", help=f"{_FILE}; - for standard input")
    verify.add_argument(
        "--T", type=_positive, help="one length of the sequence (default: two that fit nothing in FILE)"
    )
    verify.add_argument("--lengths", type=_lengths, metavar="S=7", help="lengths of the other sequences")
    verify.add_argument("--seeds", type=_positive, default=3, help="number of random probes (default 3)")
    verify.add_argument("--json", action="store_true", help="print one JSON object instead of the report")
    verify.add_argument("--html", metavar="OUT", help="also write the report as one self-contained page")
    verify.add_argument("--proof", action="store_true", help="show the proof of each equation that is proved")
    verify.add_argument("--latex", action="store_true", help="with --proof: in LaTeX")
    verify.add_argument("--github", action="store_true", help="print what is not right as annotations for GitHub")
    verify.add_argument("--explain", type=_positive, metavar="LINE", help="show the equation on this line in full")
    verify.set_defaults(run=_verify)

    derive = commands.add_parser("derive", help="derive the gradient equations of FILE")
    derive.add_argument("file", metavar="FILE", help=f"{_FILE}; - for standard input")
    form = derive.add_mutually_exclusive_group()
    form.add_argument("--latex", action="store_true", help="print a LaTeX align* environment")
    form.add_argument("--steps", action="store_true", help="show how each equation comes about, one rewrite a line")
    derive.add_argument("--style", choices=["diag", "hadamard"], help="how a factor beside a gradient is written")
    derive.add_argument("--keep", type=_names, metavar="h,c", help="the quantities whose gradients appear")
    derive.add_argument("-o", "--output", metavar="NEW", help="write FILE with these gradients to a new file")
    derive.set_defaults(run=_derive)

    draw = commands.add_parser("draw", help="draw the graph of FILE, unfolded or as a circuit")
    draw.add_argument("file", metavar="FILE", help=f"{_FILE}; - for standard input")
    draw.add_argument("-o", "--output", required=True, metavar="OUT", help="picture to write: .svg, .pdf, .png or .dot")
    draw.add_argument("--steps", type=_positive, help="time steps to unfold (default 4; 3 beside a circuit)")
    draw.add_argument("--level", choices=["named", "op"], default="named", help="named quantities, or every operation")
    form = draw.add_mutually_exclusive_group()
    form.add_argument("--folded", action="store_true", help="one step, with a black square for the delay")
    form.add_argument("--both", action="store_true", help="folded, and unfolded beside it")
    draw.add_argument("--backward", action="store_true", help="draw the flow of gradients as well")
    draw.set_defaults(run=_draw)

    models = commands.add_parser("models", help="list the models that ship, which stand for FILE everywhere")
    models.set_defaults(run=_models)

    doctor = commands.add_parser("doctor", help="say what this machine offers, and what would make it faster")
    doctor.set_defaults(run=_doctor)

    demo = commands.add_parser("demo", help="verify the book's derivation and write its pictures")
    demo.add_argument("-o", "--output", default="demo", metavar="DIR", help="folder for the pictures (default demo)")
    demo.set_defaults(run=_demo)
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number from 1 on is needed")
    return number


def _names(text: str) -> list[str]:
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("names of quantities, with commas between, are needed")
    return found


def _lengths(text: str) -> dict[str, int]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and number.strip().isdecimal() and int(number) for name, _, number in pairs):
        raise argparse.ArgumentTypeError("lengths are needed, as in S=7")
    return {name.strip(): int(number) for name, _, number in pairs}


def _verify(arguments: argparse.Namespace) -> int:
    from .core.atomic_files import write_atomically

    if len(arguments.files) > 1:
        return _verify_all(arguments)
    page = _destination(arguments.html, arguments.files[0]) if arguments.html else None
    report = _judged(arguments.files[0], arguments)
    if page is not None:
        write_atomically(page, _page(report).encode())
    if arguments.github:
        print("\n".join(_annotations(report)))
    elif arguments.explain:
        print(_explained(report, arguments.explain))
    elif arguments.proof:
        print(_proofs(report, arguments.latex))
    elif arguments.json:
        print(json.dumps(report.to_dict(), allow_nan=False))
    else:
        _show(report)
        _wrote(arguments.html)
    return _code(report)


def _page(report: Report | Notes | DocumentReport) -> str:
    from .notes.document_page import document_page
    from .verification.report import Notes, Report

    return report.to_html() if isinstance(report, (Report, Notes)) else document_page(report)


def _explained(report: Report | Notes | DocumentReport, line: int) -> str:
    """Everything known of a line: how a formula was read and judged, or an equation of a block."""
    from .notes.explain_line import explained_line
    from .verification.explain import explained
    from .verification.report import Notes, Report

    if isinstance(report, (Report, Notes)):
        return explained(report, line)
    blocks = Notes(report.found.file, report.blocks, report.seeds)
    return explained_line(report, line) or explained(blocks, line)


def _show(report: Report | Notes | DocumentReport) -> None:
    from .verification.report import Notes, Report
    from .verification.report.terminal import show

    if isinstance(report, (Report, Notes)):
        show(report, sys.stdout)
    else:
        print(report)


def _annotations(report: Report | Notes | DocumentReport) -> Iterable[str]:
    from .notes.document_report import DocumentReport, workflow_commands

    if not isinstance(report, DocumentReport):
        raise GraphError("--github is for documents: .md, .tex, .ipynb or .txt")
    return workflow_commands(report)


def _proofs(report: Report | Notes | DocumentReport, in_latex: bool) -> str:
    """The proof of every equation, or why there is none."""
    from .derivation.prover.proof import latex, written
    from .verification.report import Report

    if isinstance(report, Report):
        reports: list[Verdicts] = [report]
    else:
        reports = [block.report for block in report.blocks if block.report]
    shown = []
    for row in (row for each in reports for row in each.rows):
        if row.proof is None:
            why = row.why or "only what passes is proved"
            shown.append(f"% {row.name}: {row.verdict}" if in_latex else f"{row.name}: {row.verdict}, no proof: {why}")
        else:
            shown.append((latex(row.proof) if in_latex else written(row.proof)).rstrip())
    return "\n\n".join(shown)


def _source_of(file: str) -> Source:
    """The text of a FILE: a path, a shipped model's name, or - for standard input."""
    from .verification.notes import from_path, from_stream

    if file == "-" and sys.stdin is None:
        raise TinygradError("standard input is closed: give a file")
    return from_stream(sys.stdin.buffer) if file == "-" else from_path(Path(file))


def _judged(file: str, arguments: argparse.Namespace) -> Report | Notes | DocumentReport:
    source = _source_of(file)
    T, seeds, lengths = arguments.T, arguments.seeds, arguments.lengths
    if Path(source.name).suffix.lower() in DOCUMENTS:
        from .notes.verify_document import verify_document

        return verify_document(source, T, seeds, lengths)
    from .verification.notes import judge_file

    return judge_file(source, T, seeds, lengths)


def _code(report: Report | Notes | DocumentReport) -> int:
    from .verification.report import Notes, Report
    from .verification.results import EXIT

    return EXIT.get(report.verdict, UNUSABLE) if isinstance(report, (Report, Notes)) else report.code


def _verify_all(arguments: argparse.Namespace) -> int:
    """Every file by itself, then one line for each; the worst of them is the exit code."""
    if arguments.html or arguments.explain or arguments.proof or arguments.github:
        raise GraphError("--html, --explain, --proof and --github are for one file, not for several")
    verdicts: list[tuple[str, str]] = []
    codes: list[int] = []
    files: list[dict[str, Any]] = []
    for file in arguments.files:
        try:
            report = _judged(file, arguments)
        except (TinygradError, OSError) as error:
            said = _one_screen(str(error))
            verdicts.append(("UNUSABLE", file))
            codes.append(UNUSABLE)
            files.append({"file": printable(file), "ok": False, "verdict": "UNUSABLE", "error": said})
            if not arguments.json:
                print(f"{said}\n")
        else:
            verdicts.append((report.verdict, file))
            codes.append(_code(report))
            files.append({"file": printable(file), **report.to_dict()})
            if not arguments.json:
                _show(report)
                print()
    code = min(codes, key=WORST_FIRST.index)
    if arguments.json:
        print(json.dumps({"ok": code == RIGHT, "files": files}, allow_nan=False))
    else:
        width = max(len(verdict) for verdict, _ in verdicts)
        print("\n".join(f"{verdict:<{width}}  {printable(file)}" for verdict, file in verdicts))
    return code


def _derive(arguments: argparse.Namespace) -> int:
    from .core.atomic_files import write_atomically
    from .derivation import derive
    from .language import load

    target = _destination(arguments.output, arguments.file) if arguments.output else None
    derivation = derive(load(_source_of(arguments.file)), keep=arguments.keep, style=arguments.style)
    if target is not None:
        write_atomically(target, derivation.file().encode())
        _wrote(target)
    elif arguments.steps:
        print("\n".join(_rewrites(derivation.steps())))
    else:
        print(derivation.latex() if arguments.latex else derivation.text())
    for note in derivation.notes:
        print(f"note: {note}", file=sys.stderr)
    return RIGHT


def _rewrites(steps: Sequence[tuple[str, str]]) -> Iterable[str]:
    """One rewrite a line, under the quantity it belongs to."""
    width = max((len(rule) for rule, _ in steps), default=0)
    for number, (name, group) in enumerate(groupby(steps, key=lambda step: step[1].split(" ")[0].split("[")[0])):
        yield f"{chr(10) if number else ''}{name}"
        yield from (f"  {rule:<{width}}  {equation}" for rule, equation in group)


def _draw(arguments: argparse.Namespace) -> int:
    from .drawing import write
    from .language import load

    target = _destination(arguments.output, arguments.file)
    model = load(_source_of(arguments.file))
    folded = "both" if arguments.both else arguments.folded
    graph = model if folded else model.unroll(arguments.steps or 4)
    steps = arguments.steps if folded else None
    write(graph, target, level=arguments.level, backward=arguments.backward, steps=steps, folded=folded)
    _wrote(target)
    return RIGHT


def _models(_: argparse.Namespace) -> int:
    from .language import load
    from .models import names, resolve

    rows = [("NAME", "WHAT IT IS", "EQUATIONS OF")]
    for name in names():
        model = load(resolve(name))
        rows.append((name, model.name, model.document.source_note or _source(resolve(name))))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for row in rows:
        print(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}")
    return RIGHT


def _source(path: Path) -> str:
    """What a model's own comment says of where its forward equations come from: the documents and their sections."""
    lines = [line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines()]
    start = next((n for n, line in enumerate(lines) if line.startswith("Forward equations:")), None)
    if start is None:
        return ""
    said = " ".join(lines[start : start + 3]).removeprefix("Forward equations:").strip()
    return re.split(r"[.:;] |\.$|, wh", re.sub(r" \([^)]*\)", "", said))[0]


def _doctor(_: argparse.Namespace) -> int:
    from .doctor import examine, text

    findings = examine()
    print(text(findings))
    return WRONG if any(finding.wrong for finding in findings) else RIGHT


def _demo(arguments: argparse.Namespace) -> int:
    from .drawing import write
    from .language import load
    from .models import resolve
    from .verification import verify
    from .verification.report.terminal import show

    model = load(resolve("vanilla"))
    report = verify(model)
    show(report, sys.stdout)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    for level in ("named", "op"):
        target = streams.destination(folder / f"vanilla-{level}.svg")
        write(model.unroll(4), target, level=level)
        _wrote(target)
    return RIGHT if report.ok else WRONG


def _destination(path: str, read: str) -> Path:
    from .models import resolve

    return streams.destination(path, *([] if read == "-" else [resolve(read)]))


def _wrote(path: str | Path | None) -> None:
    if path:
        print(f"wrote {printable(path)}")


if __name__ == "__main__":
    sys.exit(main())
