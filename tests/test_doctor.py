"""The doctor says what is there, and what to do about what is not."""

import importlib
import os
import shutil
from typing import Any

import pytest

from tinygrad_rnn import cli, doctor

BLAS = {"name": "scipy-openblas", "version": "0.3", "core": "Haswell", "threads": 1, "gflops": 100.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_gflops", lambda: 100.0)
    monkeypatch.delenv(doctor.CORE_TYPE, raising=False)


def test_the_command_prints_every_finding_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    healthy = not any(finding.wrong for finding in doctor.examine())
    assert (cli.main(["doctor"]) == cli.RIGHT) is healthy
    told = capsys.readouterr().out
    assert all(topic in told for topic in ("python", "numpy", "BLAS", "threads", "jit", "dot"))


@pytest.mark.parametrize(("free", "wrong"), [(200.0, True), (105.0, False)])
def test_a_core_type_that_costs_speed_is_named(monkeypatch: pytest.MonkeyPatch, free: float, wrong: bool) -> None:
    asked: list[dict[str, str]] = []

    def elsewhere(environment: dict[str, str]) -> dict[str, Any]:
        asked.append(environment)
        return BLAS | {"core": "SkylakeX", "gflops": free}

    monkeypatch.setenv(doctor.CORE_TYPE, "Haswell")
    monkeypatch.setattr(doctor, "blas_here", lambda: BLAS)
    monkeypatch.setattr(doctor, "_elsewhere", elsewhere)
    _, finding = doctor.blas()
    assert doctor.CORE_TYPE not in asked[0]
    assert finding.wrong is wrong
    assert ("200 instead of 100 GFLOP/s" in finding.advice and "unset" in finding.advice) is wrong


def test_the_same_questions_are_answered_in_another_process() -> None:
    answer = doctor._elsewhere(dict(os.environ))
    assert answer is not None and answer.keys() == BLAS.keys()


def test_many_threads_that_nobody_asked_for_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in doctor.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "_asked", lambda question, answer: 8)
    (finding,) = doctor.threads()
    assert finding.found == "8 (no variable set)" and "OPENBLAS_NUM_THREADS=1" in finding.advice
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    (finding,) = doctor.threads()
    assert finding.found == "8 (OMP_NUM_THREADS=4)" and not finding.advice


@pytest.mark.parametrize(("present", "wrong"), [(None, False), ("0.1", True)])
def test_a_jit_that_does_not_load_is_wrong_and_a_missing_one_is_not(
    monkeypatch: pytest.MonkeyPatch, present: str | None, wrong: bool
) -> None:
    def refuse(name: str) -> Any:
        raise ImportError("numba needs another numpy")

    monkeypatch.setattr(doctor, "import_module", refuse)
    monkeypatch.setattr(doctor, "_version", lambda package: present)
    finding = doctor.jit()
    assert finding.wrong is wrong
    assert finding.advice.startswith("numba needs another numpy" if wrong else "compiled functions run in numpy")


def test_a_missing_dot_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert doctor.dot() == doctor.Finding("dot", "no", doctor.dot().advice) and "graphviz" in doctor.dot().advice


def test_extras_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ["numpy>=1.26", 'numba; extra == "jit"', "rich>=3; extra == 'train'", 'matplotlib; extra == "train"']
    monkeypatch.setattr(doctor, "requires", lambda package: listed)
    found = list(doctor.extras(ask=lambda name: None if name == "rich" else "1"))
    assert [(f.topic, f.found) for f in found] == [("[jit]", "installed"), ("[train]", "missing: rich")]
    assert found[1].advice == "pip install 'tinygrad-rnn[train]'"


def test_a_package_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(package: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(doctor, "requires", unknown)
    (finding,) = doctor.extras()
    assert "not installed" in finding.found and not finding.wrong


def test_what_is_wrong_is_told_first_and_marked() -> None:
    findings = [doctor.Finding("a", "fine", "could be finer"), doctor.Finding("bb", "bad", "mend it", wrong=True)]
    assert doctor.text(findings).splitlines() == [
        "  a   fine",
        "! bb  bad",
        "",
        "! bb: mend it",
        "",
        "  a: could be finer",
    ]
