"""The rules that a machine can check: what is imported, from where, what is called the same, what is never called."""

import ast
import importlib
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import tinygrad_rnn as tg
from benchmarks import size
from docs import architecture
from tinygrad_rnn.core.loop.components import components

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tinygrad_rnn"
SOURCES = sorted(PACKAGE.rglob("*.py"))

#: package -> the packages below it that it may import
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
    "notes": {"core", "language", "models", "drawing", "system", "derivation", "verification"},
}
#: what a package may import from outside of the standard library
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


def package_of(path: Path) -> str:
    """The package a file stands in; a file at the top counts as one of its own."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path) -> Iterator[str]:
    """The absolute dotted names of all modules a file imports; of `from m import n` m.n, and m unless m.n
    is a module of the package.
    """
    package = ["tinygrad_rnn", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            inner = [f"{module}.{alias.name}" for alias in node.names]
            yield from inner
            if not all(_file_of(name) for name in inner):
                yield module


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


@pytest.mark.slow
def test_no_function_within_another_calls_itself() -> None:
    """It would hold itself, and all that its frame held, until the cycle collector comes."""
    assert offenders(_calls_itself) == {}


#: modules whose functions a user calls
CALLED = [path for path in SOURCES if package_of(path) in ("core", "nn", "train", "analysis")]
CALLED += [PACKAGE / name / "__init__.py" for name in ("compiler", "derivation", "drawing", "language", "verification")]


def _raised(function: ast.FunctionDef, errors: set[str]) -> set[str]:
    """The errors of this package that a function raises itself, not in functions inside of it."""
    inner = {node for part in ast.walk(function) if part is not function and isinstance(part, ast.FunctionDef)
             for node in ast.walk(part)}  # fmt: skip
    raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node not in inner]
    named = [exc.func if isinstance(exc, ast.Call) else exc for exc in raised]
    return {name.id for name in named if isinstance(name, ast.Name)} & errors


def _silent(path: Path) -> list[str]:
    """Public functions and methods that raise what neither their docstring nor that of their class names."""
    classes = [node for node in tree_of(path).body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    members = [(ast.get_docstring(outer) or "", node) for outer in classes for node in outer.body]
    functions = [
        (told, node)
        for told, node in [*(("", node) for node in tree_of(path).body), *members]
        if isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_"))
    ]
    errors = {node.name for node in tree_of(PACKAGE / "core" / "errors.py").body if isinstance(node, ast.ClassDef)}
    return [
        f"{node.name}: {name}"
        for told, node in functions
        for name in sorted(_raised(node, errors))
        if name not in told + (ast.get_docstring(node) or "")
    ]


def test_public_functions_say_what_they_raise() -> None:
    said = {path: _silent(path) for path in CALLED}
    assert offenders(lambda path: said.get(path, [])) == {}


def test_nothing_is_evaluated_or_unpickled() -> None:
    # a module's own eval(), torch's word for "not training", is none of Python's
    forbidden = re.compile(r"(?<![.\w])(?<!def )(eval|exec)\(|pickle")
    assert offenders(lambda path: forbidden.findall(text_of(path))) == {}


def test_every_module_says_what_belongs_there() -> None:
    assert offenders(lambda path: not ast.get_docstring(tree_of(path))) == {}


def _imported_upwards(path: Path) -> set[str]:
    if path.parent == PACKAGE:
        return set()  # the public names and the command line stand on top of all packages
    packages = {package_of(target) for name in imports(path) if (target := _file_of(name)) is not None}
    return packages - BELOW[package_of(path)] - {package_of(path)}


@pytest.mark.slow
def test_imports_point_downwards() -> None:
    assert offenders(_imported_upwards) == {}


@cache
def _reads() -> dict[Path, list[Path]]:
    """The files each file imports, those for a type checker and those within functions included."""
    files = {path: {f for name in imports(path) if (f := _file_of(name)) is not None} - {path} for path in SOURCES}
    return {path: sorted(found) for path, found in files.items()}


def _circles(reads: dict[str, set[str]]) -> list[set[str]]:
    found = components({name: reads[name] & reads.keys() for name in sorted(reads)})
    return [set(circle) for circle in found if len(circle) > 1]


def test_no_modules_import_each_other_in_a_circle() -> None:
    """A module can be read, and understood, when those it imports have been; a circle has no first one."""
    said = {path: path.relative_to(PACKAGE).as_posix() for path in SOURCES}
    circles = _circles({said[path]: {said[other] for other in others} for path, others in _reads().items()})
    assert circles == []


def _late(path: Path) -> list[str]:
    """Imports within functions that say no reason, on their line or above the first of them."""
    lines = text_of(path).splitlines()
    blocks = [node.body for node in ast.walk(tree_of(path)) if isinstance(node, ast.With)]
    extras = {id(node) for body in blocks if "extra(" in lines[body[0].lineno - 2] for node in body}
    found = []
    for function in ast.walk(tree_of(path)):
        inside = ast.walk(function) if isinstance(function, ast.FunctionDef) else ()
        late = sorted((n for n in inside if isinstance(n, ast.Import | ast.ImportFrom)), key=lambda n: n.lineno)
        told = any("#" in lines[n.lineno - 1] for n in late) or (late and "#" in lines[late[0].lineno - 2])
        found += [ast.unparse(node) for node in late if not told and id(node) not in extras]
    return found


def test_imports_within_functions_say_why() -> None:
    """The command line and the packages' own functions import what they are asked for, so that all starts quickly."""
    said = {path: [] if path.name in ("cli.py", "__init__.py") else _late(path) for path in SOURCES}
    assert offenders(lambda path: said[path]) == {}


def test_no_packages_import_each_other_in_a_circle() -> None:
    reads: dict[str, set[str]] = defaultdict(set)
    for path, others in _reads().items():
        if path.parent != PACKAGE:
            reads[package_of(path)] |= {package_of(other) for other in others if other.parent != PACKAGE}
    assert _circles(reads) == []


def test_no_two_modules_have_one_name() -> None:
    stems = [path.stem for path in SOURCES if path.name != "__init__.py"]
    assert {stem for stem in stems if stems.count(stem) > 1} == set()


def test_no_two_public_classes_have_one_name() -> None:
    named: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                named[node.name].append(path.relative_to(PACKAGE).as_posix())
    assert {name: files for name, files in named.items() if len(files) > 1} == {}


def test_no_module_is_hidden_by_a_function() -> None:
    """`import a.b.c as c` takes the attributes, which are the modules of these names."""
    assert offenders(_hidden) == {}


def _hidden(path: Path) -> str | None:
    if path.name == "__main__.py":
        return None  # is run, not imported
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    found: object = importlib.import_module(parts[0])
    try:
        importlib.import_module(".".join(parts))
    except ModuleNotFoundError as error:
        return None if not (error.name or "").startswith("tinygrad_rnn") else str(error)  # an extra, not installed
    for part in parts[1:]:
        found = getattr(found, part)
        if not isinstance(found, ModuleType):
            return f"{part} is {found!r}"
    return None


def test_the_page_of_the_architecture_names_every_module() -> None:
    assert architecture.written() == architecture.page(), "run: python -m docs.architecture"
    drawn = architecture.PICTURE.read_text(encoding="utf-8")
    assert drawn == architecture.picture(), "run: python -m docs.architecture"


def test_a_package_needs_nothing_from_outside_that_was_not_agreed() -> None:
    inside = {*sys.stdlib_module_names, "tinygrad_rnn"}
    roots = {path: {name.partition(".")[0] for name in imports(path)} - inside for path in SOURCES}
    assert offenders(lambda path: roots[path] - OUTSIDE.get(package_of(path), {"numpy"})) == {}


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
    if parts[0] != "tinygrad_rnn":
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


def test_the_size_counts_the_files_whose_functions_run() -> None:
    assert size.files_met(lambda: tg.tensor(1.0) + 2.0) == ["core/declare.py", "core/tensor.py"]
    assert sum(files for files, _ in size.lines().values()) == len(SOURCES)
