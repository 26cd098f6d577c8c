"""What each pass of the compiler does to an LSTM: a table, the loops before and after, and two pictures.

    python -m docs.passes

writes `docs/passes.md` and its pictures; `tests/test_docs_passes.py` compares them with what is committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.compiler.function import Compiled
from tinygrad_rnn.compiler.passes.pipeline import PASSES, optimised, planned, with_gradients
from tinygrad_rnn.compiler.passes.simplify import simplify
from tinygrad_rnn.compiler.planning.lower import lower
from tinygrad_rnn.compiler.planning.plan import Loop, Plan, walk
from tinygrad_rnn.compiler.trace.build import matched
from tinygrad_rnn.compiler.trace.record import Recorder, candidates
from tinygrad_rnn.core.atomic_files import write_atomically
from tinygrad_rnn.core.loop.program import Node
from tinygrad_rnn.drawing.writers.svg import to_svg

DOCS = Path(__file__).parent
PAGE, BEFORE, AFTER = DOCS / "passes.md", DOCS / "pictures/plan-before.svg", DOCS / "pictures/plan-after.svg"
H, D, B = 4, 3, 2
NAMES = {
    "simplify": "common subexpressions, constants, identities",
    "features_first": "one layout, so that all products of matrices are products of one kind",
    "sigmoids_as_tanh": "more lines for now: the halves go into the weights, and one tanh serves all gates",
    "reassociate": "factors of the backward pass that are known before its loop leave it",
    "merge_products": "the gates' products become one, and so do the gradients of their weights",
    "planned": "what lies side by side is computed by one call; a value takes the place of what it is made of",
}


_INTRODUCTION = (
    "# What each pass does",
    "",
    "An LSTM with its gates apart, as on the page, and its backward pass (H = 4, D = 3, B = 2). After each pass: how",
    "many lines the loops would have if it were the last, how many products of matrices, how many lines in all.",
)
_HEAD = (
    "| After | What it is for | Forward loop | Backward loop | Products in the loops | All lines |",
    "|---|---|---|---|---|---|",
)
_BEFORE = (
    "## The plan as it is written, in one layout",
    "",
    "![Each gate by itself: many small products in both loops](pictures/plan-before.svg)",
)
_AFTER = (
    "## The plan that runs",
    "",
    "![One product in each loop; the inputs' product before, the weights' gradients behind](pictures/plan-after.svg)",
)


def lstm(p: dict[str, Any], x: Any) -> Any:
    """The LSTM with forget gate, gates apart, as on the page."""
    h, c, total = p["h0"], p["c0"], 0.0
    for t in tg.steps(len(x)):
        a = {k: tg.linear(h, p[f"W_{k}"]) + tg.linear(x[t], p[f"U_{k}"]) + p[f"b_{k}"] for k in "ifgo"}
        c = tg.sigmoid(a["f"]) * c + tg.sigmoid(a["i"]) * np.tanh(a["g"])
        h = tg.sigmoid(a["o"]) * np.tanh(c)
        total = total + np.sum(h * h)
    return total


def program() -> list[Node]:
    """The loss and its gradients, as recorded; made anew, since passes change what they are given."""
    shapes = {name: shape for k in "ifgo" for name, shape in ((f"W_{k}", (H, H)), (f"U_{k}", (H, D)), (f"b_{k}", (H,)))}
    parameters = {name: np.full(shape, 0.5) for name, shape in (shapes | {"h0": (B, H), "c0": (B, H)}).items()}
    recorder = Recorder(lstm, (parameters, np.zeros((5, B, D))), {}, (0,))
    times = next(candidates(recorder.leaves))
    outputs = matched(recorder.run(times, 6, other=False)[0], recorder.run(times, 7, other=True)[0])
    return with_gradients(Compiled(tg.value_and_grad(lstm)), recorder, simplify(outputs))


def plans() -> Iterator[tuple[str, Plan]]:
    """After each pass the plan there would be if it were the last."""
    for count in range(len(PASSES) + 1):
        outputs = simplify(program())
        for each in PASSES[:count]:
            outputs = simplify(each(outputs))
        yield PASSES[count - 1].__name__ if count else "simplify", lower(outputs, pack=False).plan
    yield "planned", planned(optimised(program()), "numpy").plan


def loops(plan: Plan) -> list[Loop]:
    """The loop forwards and the one back."""
    return [stage for stage in walk(plan.stages) if isinstance(stage, Loop)]


def page() -> str:
    """The text of the page."""
    made = dict(plans())
    rows = [
        f"| `{name}` | {NAMES[name]} | {len(there.body)} | {len(back.body)} | {_products(there)} + {_products(back)} | "
        f"{sum(1 for _ in plan.instructions())} |"
        for name, plan in made.items()
        for there, back in [loops(plan)]
    ]
    made_by = "Written by `python -m docs.passes`; what the passes are called by is said in [compile](compile.md)."
    before, after = _code(made["features_first"]), _code(made["planned"])
    parts = (*_INTRODUCTION, made_by, "", *_HEAD, *rows, "", *_BEFORE, "", *before, "", *_AFTER, "", *after, "")
    return "\n".join(parts)


def picture(plan: Plan) -> bytes:
    """A plan drawn by the package's own writer, so that the file does not depend on the fonts that `dot` finds."""
    return to_svg(tg.draw(plan).placed).encode()


def build() -> None:
    """Write the page and its pictures."""
    made = dict(plans())
    write_atomically(BEFORE, picture(made["features_first"]))
    write_atomically(AFTER, picture(made["planned"]))
    write_atomically(PAGE, page().encode())


def _products(loop: Loop) -> int:
    return sum(instr.op == "dot" for instr in loop.body)


def _code(plan: Plan) -> list[str]:
    lines = []
    for loop in loops(plan):
        lines += [f"for t in {'range(N)' if loop.direction > 0 else 'reversed(range(N))'}:"]
        lines += [f"    {instr}" for instr in loop.body]
    return ["```text", *lines, "```"]


if __name__ == "__main__":
    build()
