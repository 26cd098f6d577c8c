"""Mutation testing: small mistakes made on purpose in a copy of the tree, and whether the tests of their module notice.

python -m benchmarks mutants [--count 100] [--seed 0] [--part PART] [--seconds 300]

A mutant that no test notices is printed as a diff: either a test is missing, or the mutant says the same.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: by package of the mutated module the test files that have to notice
TESTS: dict[str, tuple[str, ...]] = {
    "core": ("test_core_*.py", "test_parity.py"),
    "verification": ("test_verify_*.py", "test_every_length.py", "test_traps.py"),
    "derivation": ("test_deriv*.py", "test_prove.py", "test_proof.py"),
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One changed place of a module: the text that replaces the bytes from `start` to `stop`."""

    path: str
    start: int
    stop: int
    text: str
    kind: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.stop :]

    def diff(self, source: bytes) -> str:
        before, after = (data.decode().splitlines() for data in (source, self.applied(source)))
        return "\n".join(list(difflib.unified_diff(before, after, self.path, self.kind, lineterm="", n=1)))


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may stand in the place of a node, with the name of the mistake."""
    match node:
        case ast.Compare(left, [operator], right) if type(operator) in COMPARISONS:
            yield "comparison", ast.Compare(left, [COMPARISONS[type(operator)]()], right)
        case ast.BinOp(left, operator, right):
            if type(operator) in OPERATORS:
                yield "operator", ast.BinOp(left, OPERATORS[type(operator)](), right)
            if isinstance(operator, ast.Add | ast.Sub):
                yield "term removed", left
        case ast.BoolOp(operator, values):
            yield "and/or", ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), values)
            yield "condition removed", values[0] if len(values) == 2 else ast.BoolOp(operator, values[:-1])
        case ast.UnaryOp(ast.Not(), operand):
            yield "not removed", operand
        case ast.UnaryOp(ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield "sign removed", operand
        case ast.Constant(bool() as value):
            yield "constant", ast.Constant(not value)
        case ast.Constant(int() as value):
            yield "constant", ast.Constant(value + 1)
            yield "constant", ast.Constant(value - 1)
        case ast.Call(ast.Name("min" | "max")):
            return  # the same in any order
        case ast.Call(function, [first, second, *rest], keywords) if not {*map(type, (first, second))} & {ast.Starred}:
            yield "arguments swapped", ast.Call(function, [second, first, *rest], keywords)
        case ast.Name(name) if name in NAMES:
            yield "other function", ast.Name(NAMES[name])
        case ast.IfExp(test, body, orelse):
            yield "condition turned", ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Expr(ast.Call()) | ast.AugAssign():
            yield "statement removed", ast.Pass()
        case ast.For(target, iterated, body):
            yield "early end", ast.For(target, iterated, [*body, ast.Break()], [])
        case ast.Break():
            yield "break", ast.Continue()
        case ast.Continue():
            yield "continue", ast.Break()


def mutants_of(path: str, source: bytes) -> Iterator[Mutant]:
    """All mutants of a module; texts, annotations and what is said in errors stay as they are."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for node in _mutable(ast.parse(source)):
        made: list[tuple[ast.stmt | ast.expr, str, ast.AST]] = [
            (node, kind, changed) for kind, changed in changes(node)
        ]
        if isinstance(node, ast.If):
            made.append((node.test, "condition turned", ast.UnaryOp(ast.Not(), node.test)))
        for place, kind, changed in made:
            start = starts[place.lineno - 1] + place.col_offset
            stop = starts[(place.end_lineno or 1) - 1] + (place.end_col_offset or 0)
            text = ast.unparse(ast.fix_missing_locations(changed))
            lines_of = (
                f"({text})" if isinstance(changed, ast.expr) else text.replace("\n", "\n" + " " * place.col_offset)
            )
            yield Mutant(path, start, stop, lines_of, kind)


def _mutable(node: ast.AST) -> Iterator[ast.stmt | ast.expr]:
    """The nodes below one, without annotations, error messages, f-strings, keys of annotations and imports."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return
    if isinstance(node, ast.stmt | ast.expr):
        yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _mutable(child)


def drawn(parts: list[str], count: int, seed: int) -> list[Mutant]:
    """As many of each part: modules by their length, places at random, always the same for a seed."""
    rng, found = random.Random(seed), []
    for number, part in enumerate(parts):
        paths = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tinygrad_rnn" / part).rglob("*.py"))
        every = [mutant for path in paths for mutant in mutants_of(path, (ROOT / path).read_bytes())]
        found += rng.sample(every, count // len(parts) + (number < count % len(parts)))
    return found


class Copy:
    """A copy of the tree in which one module at a time is wrong."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.root, self.seconds, self.writes = folder / "tree", seconds, 0
        leave_out = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "gallery", "pictures")
        shutil.copytree(ROOT, self.root, ignore=leave_out)

    def noticed(self, mutant: Mutant) -> str:
        """The test that fails, or nothing."""
        source = (self.root / mutant.path).read_bytes()
        try:
            self._write(mutant.path, mutant.applied(source))
            return self.failing(mutant.path)
        finally:
            self._write(mutant.path, source)

    def failing(self, path: str) -> str:
        """The first test of a module that fails: its own examples, then the test files that share a word with it."""
        words = {*Path(path).with_suffix("").parts}
        named = {file for pattern in TESTS[path.split("/")[1]] for file in (self.root / "tests").glob(pattern)}
        files = sorted(named, key=lambda file: (not words & {*file.stem.split("_")[2:]}, file.name))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
        environment = os.environ | {"PYTHONPATH": str(self.root), "PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(
                [*command, path, *(str(file.relative_to(self.root)) for file in files)],
                cwd=self.root, env=environment, timeout=self.seconds, capture_output=True, text=True, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "out of time"
        said = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return (said or ["nothing could be collected"])[0][:150] if done.returncode else ""

    def _write(self, path: str, source: bytes) -> None:
        """Write a module, by its clock later than all before: no compiled file of another mutant is taken for it."""
        self.writes += 1
        (self.root / path).write_bytes(source)
        os.utime(self.root / path, (time.time() + self.writes, time.time() + self.writes))


def main(arguments: list[str]) -> None:
    """Draw mutants, run the tests of their modules, print the survivors and the score."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100, help="how many mutants, spread evenly over the parts (100)")
    parser.add_argument("--seed", type=int, default=0, help="where the random numbers start (0)")
    parser.add_argument("--part", choices=TESTS, action="append", help="core, verification or derivation; all of them")
    parser.add_argument("--seconds", type=float, default=300, help="what the tests of one mutant may take (300)")
    options = parser.parse_args(arguments)
    parts = options.part or list(TESTS)
    score: dict[str, Counter[str]] = {part: Counter() for part in parts}
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder), options.seconds)
        for part in parts:
            if failing := copy.failing(f"tinygrad_rnn/{part}/__init__.py"):
                parser.error(f"without any mutant the tests of {part} fail: {failing}")
        for number, mutant in enumerate(drawn(parts, options.count, options.seed), start=1):
            by = copy.noticed(mutant)
            score[mutant.path.split("/")[1]]["killed" if by else "survived"] += 1
            print(f"{number:4} {mutant.path} {mutant.kind}: {by or 'SURVIVED'}", flush=True)
            if not by:
                print(mutant.diff((ROOT / mutant.path).read_bytes()), flush=True)
    for part, counts in score.items():
        print(f"{part}: {counts['killed']} of {counts.total()} mutants killed, seed {options.seed}")
