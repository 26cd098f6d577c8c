"""Sums and products said so that less of them is left in a loop: grouped by when their parts are known, and sigmoids
as tanh.

Of a * b * c in a loop, where b and c are known before it, b * c is computed for all steps at once: so the factors of a
backward pass, i * (1 - i) * g, leave its loop. In the same way sums: U @ x + b. Terms with a common factor from inside
the loop, dh * p + dh * q, become one product.

sigma(z) = tanh(z / 2) / 2 + 1/2, so that one call of tanh serves all gates. The 1/2 before the tanh is moved into the
weights, exactly, since it is a power of two. The result agrees with the sigmoid to half an ulp of 1 in absolute terms;
where its logarithm or its reciprocal is taken, that is not enough, and the sigmoid stays.

Measured over RNN, LSTM and GRU (H 32 to 256, batches of 1 and 32): grouping earns 5 %, tanh 6 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.loop.program import Node, constant, order, rewrite, users
from ...core.primitive import PRIMITIVES
from ...core.tensor import as_value
from ..planning.stages import Stages

_NEEDS_RELATIVE = frozenset({"log", "log1p", "divide", "reciprocal", "power", "power_constant", "sqrt"})


def sigmoids_as_tanh(outputs: list[Node]) -> list[Node]:
    """The outputs with the sigmoids of the steps written so."""
    readers = users(order(outputs))

    def rule(node: Node) -> Node | None:
        if node.op != "sigmoid" or not node.step or not node.shape:
            return None
        if any(reader.op in _NEEDS_RELATIVE for reader, _ in readers.get(id(node), ())):
            return None
        halved = _halved(node.ins[0], readers)
        tanh = entrywise("tanh", halved)
        result = entrywise("add", entrywise("multiply", tanh, constant(0.5)), constant(0.5))
        result.label = node.label
        return result

    return rewrite(outputs, rule)


def entrywise(op: str, *ins: Node) -> Node:
    """A node for an operation entry by entry."""
    function: Any = PRIMITIVES[op]
    with np.errstate(all="ignore"):
        sample = as_value(function.forward(*(x.sample for x in ins)))
    return Node(op, ins, {}, any(x.step for x in ins), sample, function)


def _halved(node: Node, readers: dict[int, Any]) -> Node:
    """Half of a node, with the factor as near to the weights as it can get: not past what others read as well."""
    alone = len(readers.get(id(node), ())) == 1  # a sigmoid that was rewritten before has no readers
    if node.op == "add" and alone:
        return entrywise("add", *[_halved(x, readers) for x in node.ins])
    if node.op == "gemm" and alone:
        for j, x in enumerate(node.ins):
            if not x.step:
                ins = list(node.ins)
                ins[j] = entrywise("multiply", x, constant(0.5))
                return Node("gemm", ins, node.params, node.step, node.sample)
    return entrywise("multiply", node, constant(0.5))


# -- by when their parts are known ------------------------------------------------------------------------------------
def reassociate(outputs: list[Node]) -> list[Node]:
    """The outputs with sums and products in loops regrouped, until nothing changes."""
    for _ in range(4):
        changed, outputs = _Regrouping(outputs).run()
        if not changed:
            break
    return outputs


class _Regrouping:
    def __init__(self, outputs: list[Node]) -> None:
        self.outputs = outputs
        self.stages = Stages(outputs)
        self.readers = users(self.stages.nodes)
        self.asked = {id(output) for output in outputs}

    def run(self) -> tuple[bool, list[Node]]:
        became: dict[int, Node] = {}
        for node in self.stages.nodes:
            if not self.stages.inside(node) or self._part_of_more(node):
                continue
            new = None
            if node.op in ("multiply", "negative"):
                new = self.product(node)
            elif node.op in ("add", "subtract"):
                new = self.sum(node)
            if new is not None:
                new.label = node.label
                became[id(node)] = new
        return bool(became), rewrite(self.outputs, lambda node: became.get(id(node)))

    def _inner(self, x: Node, root: Node) -> bool:
        """Whether x belongs to the loop of the root."""
        return self.stages.loop.get(id(x)) == self.stages.loop[id(root)]

    def _alone(self, x: Node, root: Node) -> bool:
        """Whether x is an intermediate result of the root's chain and of nothing else."""
        return (
            self._inner(x, root)
            and len(self.readers[id(x)]) == 1
            and id(x) not in self.asked
            and x.shape == root.shape
            and not x.label
        )

    def _part_of_more(self, node: Node) -> bool:
        kinds = ("multiply", "negative") if node.op in ("multiply", "negative") else ("add", "subtract")
        readers = self.readers.get(id(node), [])
        return len(readers) == 1 and readers[0][0].op in kinds and self._alone(node, readers[0][0])

    # -- products -----------------------------------------------------------------------------------------------------
    def product(self, root: Node) -> Node | None:
        inner: list[Node] = []
        outer: list[Node] = []
        sign = 1
        stack = [root]
        links = 0
        while stack:
            x = stack.pop()
            if x is root or (x.op in ("multiply", "negative") and self._alone(x, root)):
                links += 1
                sign = -sign if x.op == "negative" else sign
                stack += reversed(x.ins)
            else:
                (inner if self._inner(x, root) else outer).append(x)
        negated = sign < 0 and not outer
        if len(outer) + (sign < 0) < 2 and not (negated and links > 1):
            return None
        if sign < 0:
            outer.append(constant(-1.0))
        known = self._times(sorted(outer, key=lambda x: (self.stages.rank.get(id(x), 0), -len(x.shape))))
        result = inner[0]
        for x in inner[1:]:
            result = entrywise("multiply", result, x)
        return entrywise("multiply", result, known)

    @staticmethod
    def _times(factors: list[Node]) -> Node:
        numbers = [x for x in factors if x.op == "constant" and not x.shape]
        others = [x for x in factors if not (x.op == "constant" and not x.shape)]
        result = others[0] if others else numbers.pop(0)
        for x in others[1:]:
            result = entrywise("multiply", result, x)
        for x in numbers:
            result = entrywise("multiply", result, x)
        return result

    # -- sums ---------------------------------------------------------------------------------------------------------
    def sum(self, root: Node) -> Node | None:
        terms: list[tuple[Node, int]] = []
        stack = [(root, 1)]
        while stack:
            x, sign = stack.pop()
            if x is root or (x.op in ("add", "subtract") and self._alone(x, root)):
                a, b = x.ins
                stack += [(b, -sign if x.op == "subtract" else sign), (a, sign)]
            else:
                terms.append((x, sign))
        outer = [(x, s) for x, s in terms if not self._inner(x, root)]
        inner = [(x, s) for x, s in terms if self._inner(x, root)]
        factored = self._factored(inner, root)
        if len(outer) < 2 and factored is None:
            return None
        inner = factored or inner
        # matrix products last: what else is known can be added into their result
        result = _signed_sum(inner)
        return result if not outer else _added(result, outer)

    def _factored(self, terms: list[tuple[Node, int]], root: Node) -> list[tuple[Node, int]] | None:
        """dh * p + dh * q as dh * (p + q), where p and q are known before the loop."""
        groups: dict[int, list[tuple[Node, Node, int]]] = {}
        rest: list[tuple[Node, int]] = []
        for x, sign in terms:
            if x.op == "multiply" and self._alone(x, root):
                a, b = x.ins
                if self._inner(a, root) != self._inner(b, root):
                    common, known = (a, b) if self._inner(a, root) else (b, a)
                    if common.shape == root.shape:
                        groups.setdefault(id(common), []).append((common, known, sign))
                        continue
            rest.append((x, sign))
        if not any(len(group) > 1 for group in groups.values()):
            return None
        found = []
        for group in groups.values():
            factor = _signed_sum([(known, sign) for _, known, sign in group])
            found.append((entrywise("multiply", group[0][0], factor), 1))
        return found + rest


def _signed_sum(terms: list[tuple[Node, int]]) -> Node:
    terms = sorted(terms, key=lambda term: -term[1])
    first, sign = terms[0]
    result = first if sign > 0 else entrywise("negative", first)
    return _added(result, terms[1:])


def _added(result: Node, terms: list[tuple[Node, int]]) -> Node:
    """A sum, where what the terms have in common in time is added first."""
    if len(terms) > 1:
        return _added(result, [(_signed_sum(terms), 1)]) if any(s > 0 for _, s in terms) else _subtracted(result, terms)
    for x, sign in terms:
        result = entrywise("add" if sign > 0 else "subtract", result, x)
    return result


def _subtracted(result: Node, terms: list[tuple[Node, int]]) -> Node:
    return entrywise("subtract", result, _signed_sum([(x, 1) for x, _ in terms]))
