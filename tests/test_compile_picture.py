"""The picture of a plan says which instructions there are, and what each node takes from which, in truth."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiler.planning.diagram import _nodes, picture_of
from tinygrad_rnn.compiler.planning.plan import Buffer, Instr, Loop, Map, MemRef, Once, Plan, Tile
from tinygrad_rnn.drawing.writers.svg import to_svg

STEP = ("step", 0)
N = 5


def buffer(name: str, *shape: int, time: bool = True, kind: str = "scratch", lead: int = 0, tail: int = 0) -> Buffer:
    return Buffer(name, shape, np.dtype(float), time, kind, lead, tail)


def network(direction: int = 1) -> Plan:
    """h[t] = tanh(W h[t-1] + U x[t]), and the gradient's sum; the other way round for direction -1."""
    W, U = (buffer(k, 4, n, time=False, kind="argument") for k, n in (("W", 4), ("U", 3)))
    x = buffer("x", 3, 2, kind="argument")
    u, a = buffer("u", 4, 2), buffer("a", 8, 2)
    h = buffer("h", 4, 2, lead=direction > 0, tail=direction < 0)
    total = buffer("g", 4, 3, time=False, kind="result")
    before = ("step", -direction)
    low, high = (0, 4), (4, 8)
    stages = [
        Once([Instr("fill", MemRef(h, ("start", -1) if direction > 0 else ("end", 0)), (0.0,))]),
        Once([Instr("fill", MemRef(total), (0.0,))]),
        Map([Instr("dot", MemRef(u, STEP), (MemRef(U), MemRef(x, STEP)))]),
        Loop(
            direction,
            [
                Instr("dot", MemRef(a, STEP, low), (MemRef(W), MemRef(h, before))),
                Instr("add", MemRef(a, STEP, low), (MemRef(a, STEP, low), MemRef(u, STEP))),
                Instr("tanh", MemRef(a, STEP, high), (MemRef(a, STEP, low),)),
                Instr("copy", MemRef(h, STEP), (MemRef(a, STEP, high),)),
            ],
        ),
        Tile(direction, 64, [Once([Instr("contract", MemRef(total), (MemRef(h, STEP), MemRef(x, STEP)))])]),
    ]
    return Plan(stages, [W, U, x], [u, a, h, total], [MemRef(total), MemRef(h, ("all", 0))])


def carried() -> Plan:
    """A buffer without time that a loop running backwards reads before it writes it, beside one it reads as it is."""
    W, c = buffer("W", 4, 4, time=False, kind="argument"), buffer("c", 4, 1, time=False)
    s, z = buffer("s", 4, 1), buffer("z", 4, 1)
    body = [
        Instr("add", MemRef(s, STEP), (MemRef(c), MemRef(z, STEP))),
        Instr("dot", MemRef(c), (MemRef(W, T=True), MemRef(s, STEP))),
    ]
    stages = [Once([Instr("fill", MemRef(c), (0.0,))]), Map([Instr("fill", MemRef(z, STEP), (1.0,))]), Loop(-1, body)]
    return Plan(stages, [W], [c, s, z], [MemRef(c)])


def compiled() -> Plan:
    """What an LSTM compiles to."""
    layer = tg.nn.LSTM(3, 4)
    fast = tg.compile(tg.value_and_grad(lambda layer, x: np.sum(layer(x)[0] ** 2)))
    fast(layer, np.ones((N, 2, 3)))
    return fast.plan


PLANS = {"network": network, "backwards": lambda: network(-1), "carried": carried, "compiled": compiled}
EACH = pytest.mark.parametrize("plan", PLANS)


def slots(ref: MemRef, t: int | None) -> range:
    """The slots that are meant at step t; None, outside of steps, for a step means all of them."""
    if ref.time is None:
        return range(1)
    base, k = ref.time
    first = ref.buffer.lead + k
    if base == "step" and t is not None:
        return range(first + t, first + t + 1)
    if base in ("start", "end"):
        return range(first + (base == "end") * N, first + (base == "end") * N + 1)
    return range(first, first + N)


def carried_out(plan: Plan) -> Iterator[tuple[Instr, int | None, bool]]:
    """Every instruction as often as it runs for N steps: the step, and whether a loop is around it."""

    def run(stages: list[Any]) -> Iterator[tuple[Instr, int | None, bool]]:
        for stage in stages:
            if isinstance(stage, Tile):
                yield from run(stage.body)  # one chunk holds all steps
            elif isinstance(stage, Loop):
                for t in range(N)[:: stage.direction]:
                    yield from ((instr, t, True) for instr in stage.body)
            else:
                times = range(N) if isinstance(stage, Map) else (None,)
                yield from ((instr, t, False) for instr in stage.body for t in times)

    yield from run(plan.stages)


def what_really_flows(plan: Plan) -> set[tuple[str, str, str, int]]:
    """Carry the plan out with, in place of numbers, who wrote them: (writer, reader, buffer, steps between)."""
    node = {id(instr): n for n in _nodes(plan) for instr in n.body}
    owner: dict[tuple[int, int, int], tuple[Any, int | None]] = {}
    found = set()
    for instr, t, looped in carried_out(plan):
        here = node[id(instr)]
        for ref in instr.refs:
            for slot in slots(ref, t):
                for row in range(*(ref.rows or (0, max(1, *ref.buffer.shape[:1], 1)))):
                    writer, then = owner.get((id(ref.buffer), slot, row), (None, None))
                    delay = abs(t - then) if looped and writer and writer.stage is here.stage else 0
                    if writer and (writer is not here or delay):
                        found.add((writer.id, here.id, ref.buffer.name, delay))
        for slot in slots(instr.out, t):
            for row in range(*(instr.out.rows or (0, max(1, *instr.out.buffer.shape[:1], 1)))):
                owner[id(instr.out.buffer), slot, row] = here, t
    return found


@EACH
def test_an_arrow_is_drawn_where_carrying_the_plan_out_moves_a_value_and_nowhere_else(plan):
    made = PLANS[plan]()
    inner = {n.id for n in _nodes(made)}
    drawn = {
        (tail, head, name, delay)
        for tail, head, names, delay in ((*e, None, 0)[:4] for e in picture_of(made)["edges"])
        for name in names or ()
        if {tail, head} <= inner
    }
    assert drawn == what_really_flows(made)


@EACH
def test_every_instruction_is_in_one_node_and_every_product_is_a_node_of_its_own(plan):
    made = PLANS[plan]()
    nodes = list(_nodes(made))
    assert [instr for n in nodes for instr in n.body] == [instr for _, instr in made.instructions()]
    described = [n for n in picture_of(made)["nodes"] if n.get("role") == "product"]
    assert len(described) == sum(instr.op in ("dot", "contract") for _, instr in made.instructions())


def test_what_is_said_of_a_network():
    said = picture_of(network())
    assert said["title"] == "the plan: 8 instructions, 3 products of matrices"
    frames = list(dict.fromkeys(n["group"] for n in said["nodes"]))
    assert frames == [
        "given", "1  once", "2  for all t at once:", "3  for t in range(N):", "4  once: 64 steps at a time", "returned",
    ]  # fmt: skip
    text = {n["text"]: n for n in said["nodes"]}
    assert text["W @ h[t-1]"]["lines"] == ["a[t, 0:4] = …", "(4 × 4) @ (4 × 2)"]
    assert text["3 instructions"]["lines"] == [
        "a[t, 0:4] = a[t, 0:4] + u[t]",
        "a[t, 4:8] = tanh(a[t, 0:4])",
        "h[t] = a[t, 4:8]",
    ]
    assert text["Σ h[t] @ x[t].T"]["lines"] == ["g += …", "(4 × 2) @ (2 × 3), summed over t"]
    assert text["2 instructions"]["lines"] == ["h is set", "g is set"]
    assert (text["x"]["role"], text["W"]["role"], text["g"]["role"]) == ("input", "parameter", "output")


def test_many_arguments_of_one_use_are_one_node():
    p = [buffer(f"p{k}", 2, 2, time=False, kind="argument") for k in range(12)]
    w = buffer("w", 24, 2, time=False, kind="result")
    body = [Instr("copy", MemRef(w, None, (2 * k, 2 * k + 2)), (MemRef(b),)) for k, b in enumerate(p)]
    said = picture_of(Plan([Once(body)], p, [w], [MemRef(w)]))
    assert [n["text"] for n in said["nodes"]] == ["p0 … p11", "12 instructions", "w"]
    assert said["nodes"][1]["lines"] == ["w from p0 … p11"]


def test_a_long_run_of_instructions_is_cut_and_says_so():
    s = [buffer(f"s{k}", 2, 1) for k in range(31)]
    body = [Instr("tanh", MemRef(b, STEP), (MemRef(a, STEP),)) for a, b in pairwise(s)]
    said = picture_of(Plan([Map(body)], [], s, [MemRef(s[30], ("all", 0))]))
    (node,) = (n for n in said["nodes"] if n["text"] == "30 instructions")
    assert len(node["lines"]) == 14 and node["lines"][-1] == "… and 17 more"


@pytest.mark.parametrize("direction", ["LR", "TB"])
@EACH
def test_a_plan_is_drawn_with_a_square_for_what_a_loop_carries(plan, direction):
    made = PLANS[plan]()
    layout = tg.draw(made, direction=direction).placed
    assert {s.delay for s in layout.squares} == {1}
    svg = to_svg(layout)
    assert "product of matrices" in svg and ElementTree.fromstring(svg) is not None
    for panel in layout.panels:
        assert (panel.width if direction == "LR" else panel.height) > 4.5 * len(panel.title)
