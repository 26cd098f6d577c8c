"""Which nodes of a recorded graph are one line of the user's loop, and how that line reads.

Nodes are numbered as they are made, so a loop shows as a stretch of operations that comes again and again, each time
with the same weights. No step has to be declared. (`core.loop.fold` asks more, whether declared steps are one step
repeated; a loop that is wrong, or does not fold, has lines all the same.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...core.tensor import Tensor

#: what is not printed
ANY = "…"
#: operations inside of operations are printed so deep
DEPTH = 4
_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "matmul": "@"}
_BINDS = {"add": 1, "subtract": 1, "multiply": 2, "divide": 2, "matmul": 3}


def lines(nodes: list[Tensor]) -> list[list[Tensor]]:
    """The operations among nodes in groups, one for each line of a loop, in the order of the last step's nodes."""
    operations = [node for node in nodes if node.op is not None]
    groups: list[list[Tensor]] = []
    grouped: set[int] = set()
    for places, period in _loops(operations):
        for offset in range(period):
            members = [operations[p + offset] for p in places if p + offset < len(operations)]
            members = [node for node in members if node.id not in grouped and _kind(node) == _kind(members[-1])]
            if members:
                groups.append(members)
                grouped |= {node.id for node in members}
    groups += [[node] for node in operations if node.id not in grouped]
    return sorted(groups, key=lambda members: members[-1].id)


def _kind(node: Tensor) -> tuple[str, tuple[int, ...]]:
    assert node.op is not None
    return node.op.name, node.shape


def _loops(operations: list[Tensor]) -> Iterator[tuple[list[int], int]]:
    """Where the steps of a loop begin and how long they are, by the weights that each step uses again."""
    uses: dict[int, list[int]] = {}
    for position, node in enumerate(operations):
        for x in node.inputs:
            if x.op is None and x.requires_grad:
                uses.setdefault(x.id, []).append(position)
    seen: set[int] = set()
    groups = (sorted(set(positions)) for positions in uses.values())
    for positions in sorted(groups, key=lambda group: (-len(group), group)):
        gaps = Counter(b - a for a, b in pairwise(positions))
        if not gaps:
            continue
        period, times = gaps.most_common(1)[0]
        if 2 * times < len(positions) - 1 or period in seen:
            continue
        last = positions[-1]
        starts = [position for position in positions if (last - position) % period == 0]
        # a step begins where its first weight is used: step back while the operation before is the same in all steps
        back = 0
        while back < period - 1 and starts[0] - back > 0:
            before = {_kind(operations[p - back - 1])[0] for p in starts}
            if len(before) > 1:
                break
            back += 1
        seen.add(period)
        yield [position - back for position in starts], period


# -- how a line reads ------------------------------------------------------------------------------------------------
class Steps:
    """At which iteration of its loop each node was made, counted from the last one, -1."""

    def __init__(self, groups: list[list[Tensor]]) -> None:
        repeated = [members for members in groups if len(members) > 1]
        self._iterations = {node.id: i - len(members) for members in repeated for i, node in enumerate(members)}
        self.last = {node.id: members[-1].id for members in repeated for node in members}

    def iteration(self, node: Tensor) -> int:
        """The node's iteration; what stands in no loop belongs to the last one."""
        return self._iterations.get(node.id, -1)

    def crosses(self, node: Tensor, x: Tensor) -> bool:
        """Whether a node reads something of an earlier iteration."""
        before, now = self._iterations.get(x.id), self._iterations.get(node.id)
        return before is not None and now is not None and before < now


class Printer:
    """Prints nodes in the words of the user's code, else as expressions of weights and inputs.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(0.5, name="w")
    >>> Printer(Steps([]), {})(w * 2.0 + 1.0)
    'w * 2 + 1'
    """

    def __init__(self, steps: Steps, words: Mapping[int, list[str]]) -> None:
        self._steps, self._words = steps, words

    def __call__(self, node: Tensor, depth: int = DEPTH, state_of: Tensor | None = None) -> str:
        """The node as text; as an operand of `state_of` it is `state` where it comes from the step before."""
        if state_of is not None:
            return self._operand(state_of, node, depth)
        if node.op is not None and not node.name and node.id in self._words:
            return min(self._words[node.id], key=_is_of_before)
        if node.name:
            return f"{node.name.partition('[')[0]}[t]" if "[" in node.name else node.name
        if node.op is None:
            value = np.asarray(node.value)
            return f"{float(value.flat[0]):g}" if value.size == 1 else ANY
        if depth == 0:
            return ANY
        inner = sigmoid_of(node)
        if inner is not None:
            return f"sigmoid({self._operand(node, inner, depth)})"
        return self._operation(node, node.op.name, depth)

    def _operation(self, node: Tensor, op: str, depth: int) -> str:
        if op in ("identity", "reshape", "broadcast_to"):
            return self._operand(node, node.inputs[0], depth)
        parts = [self._operand(node, x, depth - 1) for x in node.inputs]
        if op in _SIGNS and len(parts) == 2:
            least = (_BINDS[op], _BINDS[op] + (op in ("subtract", "divide")))
            pairs = zip(node.inputs, parts, least, strict=True)
            return f" {_SIGNS[op]} ".join(f"({p})" if _binds(x, p) < needed else p for x, p, needed in pairs)
        if op == "getitem":
            return f"{parts[0]}[t]"
        if op == "transpose":
            return f"{parts[0]}.T"
        if op == "negative":
            return f"-({parts[0]})" if " " in parts[0] else f"-{parts[0]}"
        return f"{op}({', '.join(parts)})"

    def _operand(self, node: Tensor, x: Tensor, depth: int) -> str:
        if self._steps.crosses(node, x):
            return self._before(x)
        return self(x, depth)

    def _before(self, x: Tensor) -> str:
        """A quantity of the step before: its second word, as `prev_h` for what was `next_h`, or `h[t-1]`."""
        if x.name:
            return f"{x.name}[t-1]"
        words, now = self._words.get(x.id, []), self._words.get(self._steps.last[x.id], [])
        carried = [word for word in words + now if _is_of_before(word)]
        if carried or (len(words) > 1 and not words[1].endswith("[t]")):
            return carried[0] if carried else words[1]
        return f"{now[0].removesuffix('[t]')}[t-1]" if now else "state"


def _is_of_before(word: str) -> bool:
    """Whether a variable is called after the step before: `prev_h`, `C_prev`, `h_old`."""
    if word.endswith("[t]"):
        return False
    return bool({"prev", "previous", "old", "last"} & set(word.lower().removeprefix("self.").split("_")))


def _binds(x: Tensor, text: str) -> int:
    return _BINDS.get(x.op.name, 4) if x.op is not None and " " in text and not x.name else 4


@dataclass(frozen=True)
class Quantity:
    """What the user's code gives a word to: the Tensor it stands for at each iteration."""

    word: str
    at: Mapping[int, Tensor]


def quantities(
    groups: list[list[Tensor]], steps: Steps, printed: Printer, words: Mapping[int, list[str]]
) -> list[Quantity]:
    """The quantities of a loop that have words, and those that each iteration takes over from the one before."""
    by_word: dict[str, Quantity] = {}
    for members in groups:
        last = members[-1]
        if last.name or last.id in words:
            word = printed(last)
            by_word.setdefault(word, Quantity(word, {steps.iteration(node): node for node in members}))
        for i, x in enumerate(last.inputs):
            if steps.crosses(last, x):
                word = printed(x, state_of=last)
                by_word.setdefault(word, Quantity(word, {steps.iteration(node): node.inputs[i] for node in members}))
    return list(by_word.values())


# -- nonlinearities --------------------------------------------------------------------------------------------------
def nonlinearities(nodes: list[Tensor], calls: Mapping[int, Tensor]) -> dict[int, tuple[Tensor, str]]:
    """By node: the x and the name of what is tanh, sigmoid or relu of x, as one operation, written out, or as what a
    function of the user's returned for x.
    """
    known: dict[int, tuple[Tensor, str]] = {}
    for node in nodes:
        if node.op is not None and node.op.name in SHAPES:
            known[node.id] = node.inputs[0], node.op.name
        elif (inner := sigmoid_of(node)) is not None:
            known[node.id] = inner, "sigmoid"
        elif node.id in calls and calls[node.id].shape == node.shape:
            x, y = np.asarray(calls[node.id].value), np.asarray(node.value)
            names = [name for name, function in SHAPES.items() if np.allclose(function(x), y, rtol=1e-12, atol=0)]
            if names:
                known[node.id] = calls[node.id], names[0]
    return known


SHAPES: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
}


def sigmoid_of(node: Tensor) -> Tensor | None:
    """x where a node is 1 / (1 + exp(-x)), as people write it."""
    if node.op is None or node.op.name != "divide":
        return None
    for x in node.inputs[1].inputs:
        if x.op is not None and x.op.name == "exp" and x.inputs[0].op is not None and x.inputs[0].op.name == "negative":
            return x.inputs[0].inputs[0]
    return None
