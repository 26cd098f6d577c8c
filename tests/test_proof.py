"""A proof on paper: every line of it is true, and it reads as in a textbook. Truth: the prover, on each line alone."""

import shutil
import subprocess
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.derivation.prover.proof import latex, parts, written
from tinygrad_rnn.derivation.prover.prove import Budget, prove
from tinygrad_rnn.language import Model, load
from tinygrad_rnn.language.expressions import Equation, Expr
from tinygrad_rnn.language.text.printer import text

FEW = ("vanilla", "lstm", "attention", "clockwork", "delay")


def judged(model: Model) -> list[Equation]:
    return [equation for equation in model.gradients if model.role(equation) != "helper"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_every_line_of_a_proof_can_stand_in_the_place_of_the_equation(name: str) -> None:
    model = tg.load(name)
    source = model.document.source.text
    for equation in judged(model):
        for part in parts(prove(model, equation)):
            for line in part.lines:
                assert isinstance(line.value, Expr), f"{equation.name}: {line.value}"
                head, _, _ = equation.text.partition("=")
                _, when, condition = equation.text.partition("    for ")
                other = load(source.replace(equation.text, f"{head}= {text(line.value)}{when}{condition}", 1))
                same = next(e for e in other.gradients if e.line == equation.line)
                assert prove(other, same, Budget(seconds=20.0)).proved, f"{equation.name}: {text(line.value)}"


def test_a_proof_reads_as_in_a_textbook() -> None:
    model = tg.load("vanilla")
    equation = next(e for e in model.gradients if e.name == "dh[t]")
    assert written(prove(model, equation)) == (
        "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T    (line 30)\n"
        "    read by  a[t+1] = b + W @ h[t] + U @ x[t+1]\n"
        "             o[t] = c + V @ h[t]\n"
        "    dh[t] = W.T @ da[t+1] + V.T @ do[t]                         [the chain rule]\n"
        "          = V.T @ do[t] + W.T @ (dh[t+1] * (1 - h[t+1]**2))     "
        "[da[t] = dh[t] * (1 - h[t]**2); h[t] = tanh(a[t])]\n"
        "          = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]   [diag(v) @ w = v * w]\n"
        "    at entry (i) both are sum(k, V(k, i) * do[t](k)) "
        "+ sum(k, W(k, i) * dh[t+1](k) * (1 - h[t+1](k)**2))\n"
        "  for T >= 1 and every size  ∎\n"
    )


def test_what_is_not_proved_is_told_with_the_reason() -> None:
    model = load("sizes: h = 2\nh[t] = W @ h[t-1]\nL = sum(t, sum(h[t]))\ngradients:\ndh[T] = ones_like(h[T]) / T")
    proof = prove(model, model.gradients[0])
    assert "not proved: the two sides differ by (1 / T - 1); at a random point with T = 5" in written(proof)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("name", ["vanilla", "lstm", "attention"])
def test_the_proofs_of_a_model_compile_in_latex(name: str, tmp_path: Path) -> None:
    model = tg.load(name)
    body = "\n\n".join(latex(prove(model, equation, Budget(seconds=20.0))) for equation in judged(model))
    packages = "\\documentclass{article}\n\\usepackage{amsmath,amssymb}\n"
    document = f"{packages}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "proof.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "proof.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_latex_says_what_is_claimed_and_where_it_ends() -> None:
    model = tg.load("lstm")
    equation = next(e for e in model.gradients if e.name == "dh[t]")
    said = latex(prove(model, equation, Budget(seconds=20.0)))
    assert said.startswith(r"\medskip\noindent\textbf{Claim.} $\nabla_{h^{(t)}} L = ") and r"t < T" in said
    assert said.endswith(r"This holds for $T \ge 1$ and every size. \hfill $\square$")
    assert r"\\" in said.partition(r"\begin{align*}")[2].partition(r"\end{align*}")[0]  # five terms, in two rows


def test_a_helper_that_is_a_gradient_has_its_proof_in_latex() -> None:
    row = next(row for row in tg.verify("gru").rows if row.name == "v[t]")  # what flows into a product of the file
    assert row.proof is not None and "$v^{(t)}$ is read by $a_{n}" in latex(row.proof)
