"""The rules of the house that a machine can check: what is imported, from where, and what is never called."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tinygrad_rnn"
SOURCES = sorted(PACKAGE.rglob("*.py"))

#: room -> the rooms below it that it may import; "" is the package itself, its public names
BELOW = {
    "core": set(),
    "compiler": {"core"},
    "models": {"language"},
    "language": {"core", "compiler"},
    "nn": {"core", "compiler"},
    "analysis": {"core", "nn", "drawing"},
    "train": {"core", "nn", "compiler", "analysis"},
    "drawing": {"core"},
    "system": {"core", "compiler", "language"},
    "derivation": {"core", "language", "models", "system"},
    "verification": {"core", "language", "models", "drawing", "system", "derivation"},
}
#: what a room may import from outside of the standard library
OUTSIDE = {
    "drawing": {"numpy", "graphviz"},
    "analysis": {"numpy", "matplotlib"},
    "train": {"numpy", "matplotlib", "rich", "safetensors"},
    "compiler": {"numpy", "numba"},
}


@cache
def text_of(path: Path) -> str:
    """A file, read once for all rules."""
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    """A file, parsed once for all rules."""
    return ast.parse(text_of(path))


def offenders(rule: Callable[[Path], object]) -> dict[str, object]:
    """What a rule says of each file that breaks it; nothing said (None, an empty set) is nothing broken."""
    return {path.relative_to(PACKAGE).as_posix(): said for path in SOURCES if (said := rule(path))}


def room_of(path: Path) -> str:
    """The folder of the package a file stands in; a file at the top is a room of its own."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path) -> Iterator[str]:
    """The absolute dotted names of all modules a file imports; of `from m import n`, both m and m.n."""
    package = ["tinygrad_rnn", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _calls_itself(path: Path) -> list[str]:
    """Functions within functions that name themselves."""
    found = []
    for outer in ast.walk(tree_of(path)):
        for inner in ast.walk(outer) if isinstance(outer, ast.FunctionDef) else ():
            if isinstance(inner, ast.FunctionDef) and inner is not outer:
                names = [node for part in inner.body for node in ast.walk(part) if isinstance(node, ast.Name)]
                bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
                if inner.name in {node.id for node in names} - bound:
                    found.append(f"{inner.name}, line {inner.lineno}")
    return found


def test_no_function_within_another_calls_itself() -> None:
    """It would hold itself, and all that its frame held, until the cycle collector comes."""
    assert offenders(_calls_itself) == {}


def test_nothing_is_evaluated_or_unpickled() -> None:
    # a module's own eval(), torch's word for "not training", is none of Python's
    forbidden = re.compile(r"(?<![.\w])(?<!def )(eval|exec)\(|pickle")
    assert offenders(lambda path: forbidden.findall(text_of(path))) == {}


def test_every_room_says_what_belongs_there() -> None:
    assert offenders(lambda path: not ast.get_docstring(tree_of(path))) == {}


def _imported_upwards(path: Path) -> set[str]:
    if path.parent == PACKAGE:
        return set()  # the public names and the command line stand on top of all rooms
    rooms = {room_of(target) for name in imports(path) if (target := _file_of(name)) is not None}
    return rooms - BELOW[room_of(path)] - {room_of(path)}


def test_imports_point_downwards() -> None:
    assert offenders(_imported_upwards) == {}


def test_a_room_needs_nothing_from_outside_that_was_not_agreed() -> None:
    inside = {*sys.stdlib_module_names, "tinygrad_rnn"}
    roots = {path: {name.partition(".")[0] for name in imports(path)} - inside for path in SOURCES}
    assert offenders(lambda path: roots[path] - OUTSIDE.get(room_of(path), {"numpy"})) == {}


def test_the_command_line_calls_public_names_only() -> None:
    assert [name for name in imports(PACKAGE / "cli.py") if "._" in name.replace(".__", ".")] == []


def test_the_package_only_gathers_public_names() -> None:
    tree = tree_of(PACKAGE / "__init__.py")
    defined = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.Lambda)]
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert defined == []
    assert functions <= {"__getattr__", "__dir__"}, "names may be fetched late, nothing is defined here"


def test_import_stays_light() -> None:
    code = "import sys, tinygrad_rnn; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(_printed(sys.executable, "-c", code).split())
    assert "tinygrad_rnn" in loaded
    assert not loaded & {
        "torch",
        "autograd",
        "matplotlib",
        "numba",
        "rich",
        "safetensors",
        "graphviz",
        "scipy",
        "mpmath",
        "pytest",
        "hypothesis",
    }


def test_readme_opens_with_a_picture_and_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = re.search(r"!\[[^\]]*\]\(([^)]+)\)", readme)
    block = re.search(r"```(\w+)\n(.*?)```", readme, re.DOTALL)
    assert picture and block and picture.start() < block.start() and block[1] == "sh"
    assert (ROOT / picture[1]).is_file()
    setup, test = block[2].strip().splitlines()
    assert setup.endswith(".venv/bin/tinygrad-rnn demo")
    assert test == ".venv/bin/python -m pytest -q -n auto"


def test_ci_runs_the_commands_of_the_readme() -> None:
    block = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block and _printed("bash", ".ci/run", "--commands") == block[1]


def test_shipped_models_and_types_reach_the_wheel() -> None:
    listed = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert "models/*.rnn" in listed and "py.typed" in listed
    assert (PACKAGE / "py.typed").is_file() and {path.stem for path in (PACKAGE / "models").glob("*.rnn")} >= {
        "vanilla",
        "lstm",
        "gru",
    }


def _printed(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _file_of(module: str) -> Path | None:
    """The file of the package that a dotted name refers to, if it is a module of the package."""
    parts = module.split(".")
    if parts[0] != "tinygrad_rnn" or len(parts) == 1:
        return None
    path = PACKAGE.joinpath(*parts[1:])
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


def test_the_sdist_holds_every_file() -> None:
    """The tests read docs, demos, benchmarks and data: who has the archive has them all."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no checkout")
    lines = [line.split() for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()]
    whole = {f"{name}/" for kind, *names in lines if kind == "graft" for name in names}
    single = {name for kind, *names in lines if kind == "include" for name in names} | {"MANIFEST.in"}
    left_out = [file for file in done.stdout.splitlines() if file not in single and not file.startswith(tuple(whole))]
    assert left_out == []
