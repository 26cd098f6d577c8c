"""Damaged and random documents: cut, shuffled, unbalanced, huge, binary. None may break the command or hold it up."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from benchmarks.soak.documents import ENDINGS, ask, sheets
from benchmarks.soak.judging import Tally

#: seconds that any document may take
LONGEST = 10.0
Damage = Callable[[str, Random], str]
_PIECES = (
    "$", "$$", r"\(", r"\)", r"\[", r"\]", r"\\[", r"\\", "```math\n", "```\n", "```rnn\n", "{", "}", "&", "_", "^",
    "=", "_{t-1}", "^{(t)}", "^{<t>}", r"\frac", r"\partial", r"\sum_{t=1}^T", r"\left(", r"\right]", "\n", "#", "%",
    r"\begin{aligned}", r"\end{aligned}", r"\begin{bmatrix}", r"\newcommand{\a}[1]{\a{#1}}", r"\def\b{\b\b}", r"\a",
    "h_t", "W", r"\tanh", r"\odot", "dL", r"\nabla_{h}", "0.5", "门", "δ", "\u0338", "\x00", "<!-- rnn: ", "-->",
    r"\input{03_macros}", r"\input{../../x}", "<script>alert(1)</script>", "^\\top", r"\cdots", r"\text{", "---\n",
)  # fmt: skip


def _cut(text: str, rng: Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[start : start + rng.randrange(1, 1500)] if rng.random() < 0.5 else text[:start]


def _shuffled(text: str, rng: Random) -> str:
    parts = text.splitlines(keepends=True)
    rng.shuffle(parts)
    return "".join(parts)


def _unbalanced(text: str, rng: Random) -> str:
    signs = [at for at, letter in enumerate(text) if letter in "{}()[]$\\&_^`"]
    gone = set(rng.sample(signs, min(len(signs), rng.randrange(1, 8)))) if signs else set()
    return "".join(letter for at, letter in enumerate(text) if at not in gone)


def _salted(text: str, rng: Random) -> str:
    for _ in range(rng.randrange(1, 10)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(_PIECES) + text[at:]
    return text


def _pieces(_: str, rng: Random) -> str:
    return "".join(rng.choice(_PIECES) for _ in range(rng.randrange(1, 400)))


def _binary(_: str, rng: Random) -> str:
    return rng.randbytes(rng.randrange(0, 3000)).decode("latin-1")


def _nested(_: str, rng: Random) -> str:
    opened, closed = rng.choice([("{", "}"), ("(", ")"), (r"\frac{a}{", "}"), ("x_{", "}"), (r"\left[", r"\right]")])
    depth = rng.choice([50, 900, 20000])
    return f"$$ h_t = {opened * depth} x {closed * (depth if rng.random() < 0.5 else depth - 1)} $$"


def _huge(text: str, rng: Random) -> str:
    part = rng.choice(["$$ h_t = W h_{t-1} $$\n", "$", r"\frac", "a+", "=", text[:2000]])
    return rng.choice(["", "$$ ", text]) + part * (rng.choice([20_000, 400_000]) // max(1, len(part)))


DAMAGES: dict[str, Damage] = {
    "cut": _cut, "shuffled": _shuffled, "unbalanced": _unbalanced, "salted": _salted, "pieces": _pieces,
    "binary": _binary, "nested": _nested, "huge": _huge,
}  # fmt: skip
#: huge documents take long to make and to refuse
_WEIGHTS = (4, 3, 5, 5, 4, 2, 1, 1)


def damage_documents(seeds: Iterator[str], tally: Tally) -> None:
    """One damaged document for each seed."""
    sources = [path for path, _ in sheets(tally.notes)]
    for seed in seeds:
        rng = Random(seed)
        name = rng.choices(list(DAMAGES), _WEIGHTS)[0]
        path = rng.choice(sources)
        text = DAMAGES[name](path.read_text(encoding="utf-8"), rng)
        ending = path.suffix if rng.random() < 0.8 else rng.choice(ENDINGS)
        if ending == ".ipynb" and path.suffix != ".ipynb":
            cells = [{"cell_type": "markdown", "metadata": {}, "source": text}]
            text = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"notes{ending}"
            file.write_bytes(text.encode("latin-1" if name == "binary" else "utf-8", "replace"))
            answer = ask(file, LONGEST)
        tally.count(name, answer.broken or f"exit code {answer.code}")
        if answer.broken:
            tally.find(answer.broken, f"{seed}, {name}, {ending}", answer.said, text[:20_000])
