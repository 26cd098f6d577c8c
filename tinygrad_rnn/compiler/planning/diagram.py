"""A plan as a picture that a person can read: what is computed in which loop, and what flows from where to where.

Here a plan is read and described as plain data (docs/draw.md), for which `tg.draw(plan)` asks; nothing is drawn here.
Every stage is a frame, in the order in which they run. In it a product of matrices is a node of its own, and all that
is computed between two products is one node, with a line for each instruction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from .plan import ALL, END, STEP, Buffer, Instr, Loop, MemRef, Once, Plan, Stage, Tile

PRODUCTS = ("dot", "contract")
#: a node with more lines than this is read by nobody; `print(plan)` has them all
MOST_LINES = 14


@dataclass(eq=False)
class _Node:
    """Instructions of one stage that are drawn as one."""

    id: str
    frame: str
    stage: Stage
    body: list[Instr]

    @property
    def product(self) -> bool:
        return self.body[0].op in PRODUCTS

    @property
    def loop(self) -> Loop | None:
        return self.stage if isinstance(self.stage, Loop) else None


def picture_of(plan: Plan) -> dict[str, Any]:
    """The plan as nodes and edges for `tg.draw`."""
    nodes = list(_nodes(plan))
    given, first = _given(plan, nodes)
    returned, last = _returned(plan, nodes)
    count, products = sum(len(n.body) for n in nodes), sum(n.product for n in nodes)
    return {
        "title": f"the plan: {count} instructions, {products} products of matrices",
        "nodes": [*given, *map(_described, nodes), *returned],
        "edges": [*first, *_flows(nodes), *last],
    }


# -- nodes ------------------------------------------------------------------------------------------------------------
def _nodes(plan: Plan) -> Iterator[_Node]:
    """Products alone, everything between them together, stage by stage."""
    count = 0
    for number, (stage, where, body) in enumerate(_stages(plan.stages, ""), start=1):
        title = f"{number}  {where}"
        for product, run in groupby(body, key=lambda instr: instr.op in PRODUCTS):
            for part in ([instr] for instr in run) if product else [list(run)]:
                count += 1
                yield _Node(f"i{count}", title, stage, part)


def _stages(stages: list[Stage], inside: str) -> Iterator[tuple[Stage, str, list[Instr]]]:
    """Every stage with instructions, what it says of itself, and neighbours that run once as one."""
    for kind, found in groupby(stages, key=type):
        alike: Any = list(found)
        if kind is Tile:
            for tile in alike:
                yield from _stages(tile.body, f" {tile.chunk} steps at a time")
        elif kind is Once:
            yield alike[0], f"once:{inside}" if inside else "once", [instr for stage in alike for instr in stage.body]
        else:
            for stage in alike:
                yield stage, _said(stage) + inside, stage.body


def _said(stage: Stage) -> str:
    if isinstance(stage, Loop):
        return "for t in range(N):" if stage.direction > 0 else "for t in reversed(range(N)):"
    return "for all t at once:"


def _described(node: _Node) -> dict[str, Any]:
    if node.product:
        text, lines = _product(node.body[0])
        return {"id": node.id, "text": text, "role": "product", "group": node.frame, "lines": lines}
    text = "one instruction" if len(node.body) == 1 else f"{len(node.body)} instructions"
    once = isinstance(node.stage, Once) and len(node.body) > 1
    lines = list(_sources(node.body)) if once else [str(instr) for instr in node.body]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], f"… and {len(lines) - MOST_LINES + 1} more"]
    return {"id": node.id, "text": text, "group": node.frame, "lines": lines}


def _product(instr: Instr) -> tuple[str, list[str]]:
    """The product, where it goes, and its size."""
    left, right = (x for x in instr.ins if isinstance(x, MemRef))
    size = f"({_size(left)}) @ ({_size(right)})"
    if instr.op == "dot":
        return f"{left} @ {right}", [f"{instr.out} = …", size]
    turned = MemRef(right.buffer, right.time, right.rows, not right.T, right.groups, right.view)
    return f"Σ {left} @ {turned}", [f"{instr.out} += …", f"({_size(left)}) @ ({_size(turned)}), summed over t"]


def _size(ref: MemRef) -> str:
    return " × ".join(map(str, ref.shape))


def _sources(body: list[Instr]) -> Iterator[str]:
    """For what runs once, a line for each buffer that is put together: `w6 from p0 … p3`."""
    sources: dict[str, dict[str, None]] = {}
    for instr in body:
        read = (ref.buffer.name for ref in instr.refs if ref.buffer.kind != "constant")
        sources.setdefault(instr.out.buffer.name, {}).update(dict.fromkeys(read))
    for name, found in sources.items():
        found.pop(name, None)
        yield f"{name} from {_names(found)}" if found else f"{name} is set"


def _names(names: Iterable[str]) -> str:
    """`p0, p1, p2, p5` as `p0 … p2, p5`."""
    runs: list[list[str]] = []
    for name in names:
        letter, number = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
        if runs and number and runs[-1][-1] == f"{letter}{int(number) - 1}":
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{run[0]} … {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


# -- what flows -------------------------------------------------------------------------------------------------------
Area = tuple[int, int, int, int]
#: a sequence longer than any delay, to see which slots are meant
LONG = 10_000


@dataclass(frozen=True, eq=False)
class _Written:
    """One instruction as a writer: where it stands, and what it writes."""

    at: int
    node: _Node
    out: MemRef


def _flows(nodes: list[_Node]) -> list[tuple[Any, ...]]:
    """(from, to, the buffers, delay): each reader with those who wrote last what it reads."""
    order = [(node, instr) for node in nodes for instr in node.body]
    writers: dict[int, list[_Written]] = {}
    for at, (node, instr) in enumerate(order):
        writers.setdefault(id(instr.out.buffer), []).append(_Written(at, node, instr.out))
    found: dict[tuple[str, str, int], dict[str, None]] = {}
    for at, (node, instr) in enumerate(order):
        for ref in instr.refs:
            for source, delay in _sources_of(ref, at, node, writers.get(id(ref.buffer), [])):
                if source is not node or delay:
                    found.setdefault((source.id, node.id, delay), {})[ref.buffer.name] = None
    return [
        (tail, head, sorted(names, key=lambda name: (len(name), name)), delay)
        for (tail, head, delay), names in found.items()
    ]


def _sources_of(ref: MemRef, at: int, node: _Node, writers: list[_Written]) -> Iterator[tuple[_Node, int]]:
    """Who wrote what is read, and how many steps before; what a loop carries was first written before the loop."""
    inside = [w for w in writers if w.node.stage is node.stage]
    outside = [w for w in writers if w.node.stage is not node.stage and w.at < at]
    delays = {w: _delay(w, ref, at, node.loop) for w in inside}
    wanted = [_area(ref)]
    for delay in sorted(set(delays.values())):
        around = [w for w in inside if delays[w] == delay and (delay or w.at < at)]
        left = wanted
        for w in reversed(around):
            met, left = _without(left, _area(w.out))
            if met:
                yield w.node, delay
        if ref.time is not None or not delay:  # what has no time is at the first step what it was before the loop
            wanted = left
    for w in reversed(outside):
        met, wanted = _without(wanted, _area(w.out))
        if met:
            yield w.node, 0


def _delay(w: _Written, read: MemRef, at: int, loop: Loop | None) -> int:
    """Steps between writing and reading in one loop; what is without time and written later is read a step later."""
    if loop is None:
        return 0
    if w.out.time is None or read.time is None:
        return int(w.at > at)
    return max(0, (w.out.time[1] - read.time[1]) * loop.direction)


def _area(ref: MemRef) -> Area:
    """The slots and the rows that are meant, in a long sequence."""
    low, high = ref.rows or (0, max(1, ref.buffer.shape[0] if ref.buffer.shape else 1))
    if ref.time is None:
        return 0, 1, low, high
    base, k = ref.time
    first = k + (LONG if base == END else 0)
    return first, first + (LONG if base in (STEP, ALL) else 1), low, high


def _without(areas: list[Area], other: Area) -> tuple[bool, list[Area]]:
    """Whether `other` meets any of these areas, and what it leaves of them."""
    left: list[Area] = []
    met = False
    for a, b, c, d in areas:
        e, f, g, h = max(a, other[0]), min(b, other[1]), max(c, other[2]), min(d, other[3])
        if e >= f or g >= h:
            left.append((a, b, c, d))
            continue
        met = True
        left += [r for r in ((a, e, c, d), (f, b, c, d), (e, f, c, g), (e, f, h, d)) if r[0] < r[1] and r[2] < r[3]]
    return met, left


# -- what is given and returned ---------------------------------------------------------------------------------------
def _given(plan: Plan, nodes: list[_Node]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Arguments that the same nodes read are one node."""
    groups: dict[Any, list[Buffer]] = {}
    for b in plan.arguments:
        readers = tuple(n.id for n in nodes if any(ref.buffer is b for i in n.body for ref in i.refs))
        groups.setdefault((b.time, readers), []).append(b)
    drawn, edges = [], []
    for k, ((time, readers), buffers) in enumerate(groups.items()):
        sizes = dict.fromkeys(" × ".join(["N"] * time + [str(n) for n in b.shape]) or "scalar" for b in buffers)
        words = [b.label for b in buffers if b.label]
        role, lines = ("input" if time else "parameter"), [", ".join(words)] if words else []
        text = _names(b.name for b in buffers)
        lines += list(sizes) if len(sizes) < 4 else [f"{len(sizes)} shapes"]
        drawn.append({"id": f"a{k}", "text": text, "role": role, "group": "given", "lines": lines})
        edges += [(f"a{k}", reader) for reader in readers]
    return drawn, edges


def _returned(plan: Plan, nodes: list[_Node]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """What is returned, one node for each buffer."""
    outputs: dict[int, list[MemRef]] = {}
    for ref in plan.outputs:
        outputs.setdefault(id(ref.buffer), []).append(ref)
    drawn, edges = [], []
    for k, refs in enumerate(outputs.values()):
        name = refs[0].buffer.name
        lines = [f"in {len(refs)} parts"] if len(refs) > 1 else []
        drawn.append({"id": f"r{k}", "text": name, "role": "output", "group": "returned", "lines": lines})
        writer = next((n for n in reversed(nodes) if any(i.out.buffer is refs[0].buffer for i in n.body)), None)
        if writer is not None:
            edges.append((writer.id, f"r{k}"))
    return drawn, edges


Plan.__picture__ = picture_of  # type: ignore[attr-defined]
