"""What the machine offers: numpy's BLAS and its threads, the jitted executor, graphviz, the extras; and what to do.

Findings only; nothing is changed, nothing is installed, and nothing else in the package asks this module.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .compiler.blas_threads import function
from .compiler.jit.cache import folder

#: what sets the number of threads of the BLAS libraries that numpy may be built on
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
CORE_TYPE = "OPENBLAS_CORETYPE"
#: a product this much faster without the variable is worth a word
WORTH_IT = 1.15
_PROBE = "from tinygrad_rnn.doctor import blas_here; import json; print(json.dumps(blas_here()))"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `wrong` is what costs speed or fails; an extra that nobody asked for is not."""

    topic: str
    found: str
    advice: str = ""
    wrong: bool = False


def examine() -> list[Finding]:
    """Everything there is to say about this machine, in order.

    >>> from tinygrad_rnn.doctor import examine
    >>> [finding.topic for finding in examine()][:3]
    ['python', 'numpy', 'BLAS']
    """
    return [
        Finding("python", f"{platform.python_version()} on {platform.system()}, {os.cpu_count()} processors"),
        Finding("numpy", np.__version__),
        *blas(),
        *threads(),
        jit(),
        dot(),
        *extras(),
    ]


def text(findings: Sequence[Finding]) -> str:
    """The findings as a table, with what to do about each below."""
    width = max(len(finding.topic) for finding in findings)
    lines = [f"{_mark(f)} {f.topic:<{width}}  {f.found}" for f in findings]
    advised = sorted((f for f in findings if f.advice), key=lambda f: not f.wrong)
    return "\n".join([*lines, *(f"\n{_mark(f)} {f.topic}: {f.advice}" for f in advised)])


def _mark(finding: Finding) -> str:
    return "!" if finding.wrong else " "


# -- numpy's products -------------------------------------------------------------------------------------------------
def blas() -> Iterator[Finding]:
    """Which library multiplies, how fast, and whether the environment keeps it from doing better."""
    here = blas_here()
    core = f", core {here['core']}" if here["core"] else ""
    yield Finding("BLAS", f"{here['name']} {here['version']}{core}, {here['gflops']:.0f} GFLOP/s in float32")
    forced = os.environ.get(CORE_TYPE)
    if not forced:
        return
    free = _elsewhere({key: value for key, value in os.environ.items() if key != CORE_TYPE})
    if free is None or free["gflops"] < WORTH_IT * here["gflops"]:
        yield Finding(CORE_TYPE, f"{forced}, set in the environment; costs nothing here")
        return
    yield Finding(
        CORE_TYPE,
        f"{forced}, set in the environment",
        f"too low for this processor: left alone, OpenBLAS takes {free['core'] or 'another core'} and multiplies at "
        f"{free['gflops']:.0f} instead of {here['gflops']:.0f} GFLOP/s. Run `unset {CORE_TYPE}`.",
        wrong=True,
    )


def blas_here() -> dict[str, Any]:
    """Name, version, core type, threads and speed of the BLAS in this process."""
    config: Any = np.show_config(mode="dicts")
    built = config.get("Build Dependencies", {}).get("blas", {})
    core = _asked("get_corename", ctypes.c_char_p)
    return {
        "name": str(built.get("name", "unknown")),
        "version": str(built.get("version", "")),
        "core": core.decode() if core else "",
        "threads": _asked("get_num_threads", ctypes.c_int),
        "gflops": _gflops(),
    }


def _asked(question: str, answer: Any) -> Any:
    """What numpy's own OpenBLAS answers; None where numpy has another library, or keeps it elsewhere."""
    found = function(question)
    if found is None:
        return None
    found.restype = answer
    return found()


def _gflops(n: int = 384, times: int = 12) -> float:
    """The best of some products of two square matrices."""
    a = np.ones((n, n), np.float32)
    out, best = np.empty_like(a), float("inf")
    for _ in range(times):
        start = perf_counter()
        np.dot(a, a, out=out)
        best = min(best, perf_counter() - start)
    return 2e-9 * n**3 / best


def _elsewhere(environment: dict[str, str]) -> dict[str, Any] | None:
    """`blas_here` in a fresh process with another environment."""
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join([root, *filter(None, [environment.get("PYTHONPATH")])])
    command = [sys.executable, "-c", _PROBE]
    found = subprocess.run(command, env=environment | {"PYTHONPATH": paths}, capture_output=True, text=True)
    return json.loads(found.stdout) if found.returncode == 0 else None


def threads() -> Iterator[Finding]:
    """How many threads numpy's products take, and from where that comes."""
    given = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    count = _asked("get_num_threads", ctypes.c_int)
    told = f"{'unknown' if count is None else count} ({', '.join(given) or 'no variable set'})"
    if given or (count or os.cpu_count() or 1) == 1:
        yield Finding("threads", told)
        return
    yield Finding(
        "threads",
        told,
        f"the matrices of a recurrent step are small, and threads that wait for each other cost more than they bring "
        f"(compiled functions with small products take one by themselves): try {THREADS[0]}=1 (before Python starts) "
        f"and keep what is faster.",
    )


# -- what else there is -----------------------------------------------------------------------------------------------
def jit() -> Finding:
    """Whether plans can be compiled to machine code: numba, and scipy, through which numba multiplies."""
    found = []
    for module in ("numba", "scipy"):
        try:
            found.append(f"{module} {import_module(module).__version__}")
        except ImportError as error:
            advice = "compiled functions run in numpy; for machine code: pip install 'tinygrad-rnn[jit]'"
            present = _version(module)
            if present is None:
                return Finding("jit", f"no: {module} is not installed", advice)
            return Finding("jit", f"no: {module} {present} does not load", f"{error}", wrong=True)
    return Finding("jit", f"yes: {', '.join(found)}; what was compiled is kept in {folder()}")


def dot() -> Finding:
    """The program that lays out pictures other than unfolded graphs."""
    path = shutil.which("dot")
    if path is None:
        advice = "pictures of unfolded graphs need no program; for others install graphviz (apt, brew, winget or conda)"
        return Finding("dot", "no", advice)
    told = subprocess.run([path, "-V"], capture_output=True, text=True).stderr
    number = re.search(r"version (\S+)", told)
    return Finding("dot", number[1] if number else path)


def extras(package: str = "tinygrad-rnn", ask: Callable[[str], str | None] | None = None) -> Iterator[Finding]:
    """For each extra the packages it names, and those that are not there."""
    ask = ask or _version
    try:
        wanted = requires(package) or []
    except PackageNotFoundError:
        yield Finding("extras", f"{package} runs from a folder and is not installed", "pip install -e .", wrong=False)
        return
    named: dict[str, list[str]] = {}
    for line in wanted:
        found = re.match(r"([\w.-]+).*extra == ['\"](\w+)['\"]", line)
        if found and found[1] != package:
            named.setdefault(found[2], []).append(found[1])
    for extra, packages in named.items():
        missing = [name for name in packages if ask(name) is None]
        told = f"missing: {', '.join(missing)}" if missing else "installed"
        yield Finding(f"[{extra}]", told, f"pip install '{package}[{extra}]'" if missing else "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
