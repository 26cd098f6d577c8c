"""Which nodes are computed in a loop, which for all steps at once, and in which order.

One pass over the strongly connected components is hoisting and sinking at once: a component with a `shift` in it is a
loop, and nothing else is. Ranks are longest paths: `rank % 3` is 0 for what is computed once, 1 for maps over all
steps, 2 for loops; what does not depend on a loop ranks before it, what no loop needs comes after.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...core.loop.components import components
from ...core.loop.program import Node, order
from ..unsupported import Unfoldable

ONCE, MAP, LOOP = 0, 1, 2


class Stages:
    """`rank` of each node, `loop` (a number) of those in a loop, `direction` of each loop, and `nodes` in order."""

    def __init__(self, outputs: Iterable[Node]) -> None:
        self.nodes = order(outputs)
        self.loop: dict[int, int] = {}
        self.direction: dict[int, int] = {}
        self.rank: dict[int, int] = {}
        found = components({node: node.ins for node in self.nodes})
        for component in found:
            if len(component) > 1:
                self._loop(component)
        for component in found:  # each after those it depends on
            kind = LOOP if len(component) > 1 else MAP if component[0].step else ONCE
            inside = {id(node) for node in component}
            least = 0
            for node in component:
                for x in node.ins:
                    if id(x) not in inside:
                        least = max(least, self.rank[id(x)] + self._distance(x, kind, node))
            rank = least + (kind - least) % 3
            for node in component:
                self.rank[id(node)] = rank

    def _distance(self, x: Node, kind: int, reader: Node) -> int:
        """1 where the reader has to wait for the whole stage of what it reads: loops, and maps read at other steps."""
        of = self.rank[id(x)] % 3
        if kind == MAP and of == MAP:
            return int(reader.op == "shift" and x.op != "input" and x.step)
        return int(kind == of == LOOP)

    def _loop(self, component: list[Node]) -> None:
        ways = {node.params["by"] for node in component if node.op == "shift"}
        if len(ways) != 1:
            raise Unfoldable("a loop that reads both earlier and later steps")
        number = len(self.direction)
        self.direction[number] = -ways.pop()
        for node in component:
            self.loop[id(node)] = number

    def together(self, a: Node, b: Node) -> bool:
        """Whether two nodes are computed in the same stage."""
        return self.rank[id(a)] == self.rank[id(b)] and self.loop.get(id(a)) == self.loop.get(id(b))

    def inside(self, node: Node) -> bool:
        """Whether a node is computed in a loop."""
        return id(node) in self.loop
