"""The command line: arguments in, one public function called, an exit code out.

Exit codes: 0 all right, 1 something is wrong, 2 unusable input, 3 inconclusive.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .core.errors import TinygradError

RIGHT, WRONG, UNUSABLE, UNDECIDED = 0, 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and never raises for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except TinygradError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
    except BrokenPipeError:
        pass
    return UNUSABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tinygrad-rnn",
        description="Recurrent networks as one explicit graph: verify a hand derivation, draw the unfolded network.",
    )
    parser.add_argument("--version", action="version", version=f"tinygrad-rnn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    verify = commands.add_parser("verify", help="judge the gradient equations of FILE, per equation and time step")
    verify.add_argument("file", metavar="FILE", help="equation file (.rnn, or Markdown with blocks marked rnn), or a shipped model's name")
    verify.add_argument("--T", type=_positive, default=4, help="length of the sequence (default 4)")
    verify.add_argument("--seeds", type=_positive, default=3, help="number of random probes (default 3)")
    verify.add_argument("--json", action="store_true", help="print one JSON object instead of the report")
    verify.set_defaults(run=_verify)

    draw = commands.add_parser("draw", help="draw the unfolded graph of FILE")
    draw.add_argument("file", metavar="FILE", help="equation file, or a shipped model's name")
    draw.add_argument("-o", "--output", required=True, metavar="OUT", help="picture to write: .svg, .pdf, .png or .dot")
    draw.add_argument("--steps", type=_positive, default=4, help="time steps to unfold (default 4)")
    draw.add_argument("--level", choices=["named", "op"], default="named", help="named quantities, or every operation")
    draw.add_argument("--backward", action="store_true", help="draw the flow of gradients as well")
    draw.set_defaults(run=_draw)

    demo = commands.add_parser("demo", help="verify the book's derivation and write its pictures")
    demo.add_argument("-o", "--output", default="demo", metavar="DIR", help="folder for the pictures (default demo)")
    demo.set_defaults(run=_demo)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number from 1 on is needed")
    return number


def _verify(arguments: argparse.Namespace) -> int:
    from .models import resolve
    from .verify import verify

    report = verify(resolve(arguments.file), T=arguments.T, seeds=arguments.seeds)
    print(json.dumps(report.to_dict(), ensure_ascii=False, allow_nan=False) if arguments.json else report)
    return {"PASS": RIGHT, "FAIL": WRONG}.get(report.verdict, UNDECIDED)


def _draw(arguments: argparse.Namespace) -> int:
    from .draw import write
    from .language import load
    from .models import resolve

    run = load(resolve(arguments.file)).unroll(arguments.steps)
    write(run, arguments.output, level=arguments.level, backward=arguments.backward)
    print(f"wrote {arguments.output}")
    return RIGHT


def _demo(arguments: argparse.Namespace) -> int:
    from .draw import write
    from .language import load
    from .models import resolve
    from .verify import verify

    model = load(resolve("vanilla"))
    report = verify(model)
    print(report)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    for level in ("named", "op"):
        target = folder / f"vanilla-{level}.svg"
        write(model.unroll(4), target, level=level)
        print(f"wrote {target}")
    return RIGHT if report.ok else WRONG


if __name__ == "__main__":
    sys.exit(main())
