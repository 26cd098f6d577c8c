"""Trees of notation in one line each, for `--explain` and for whoever looks at what was read."""

from __future__ import annotations

from collections.abc import Sequence

from .notation import (
    Added,
    Array,
    BigOperator,
    Braced,
    Brackets,
    Differentiation,
    Ellipsis,
    Letters,
    Multiplied,
    Notation,
    Numeral,
    Over,
    Related,
    Slicing,
    Statement,
    WithScripts,
    Words,
)


def shown(node: Notation | None) -> str:
    """A tree in one line, with every sign it was typed with.

    >>> from .notation import Extent
    >>> shown(Letters(Extent(0, 1), "h", ("tilde",), (Letters(Extent(2, 3), "t"),)))
    'tilde(h)_t'
    """
    match node:
        case None:
            return "?"
        case Numeral():
            return node.text
        case Letters():
            name = ("'" + node.name + "'") if node.run else node.name
            for accent in node.accents:
                name = f"{accent}({name})"
            return name + _scripts(node.lower, node.upper, node.primes)
        case WithScripts():
            return f"({shown(node.base)})" + _scripts(node.lower, node.upper, node.primes)
        case Brackets():
            return f"{node.opening}{_list(node.parts)}{node.opening}"
        case Multiplied():
            rest = [f" {op or '·'} {shown(x)}" for op, x in zip(node.operators, node.factors[1:], strict=True)]
            return "[" + shown(node.factors[0]) + "".join(rest) + "]"
        case Added():
            return "{" + " ".join(f"{s} {shown(x)}" for s, x in zip(node.signs, node.terms, strict=True)) + "}"
        case Over():
            return f"({shown(node.top)} / {shown(node.bottom)})"
        case Differentiation():
            note = f" via {_list(node.note)}" if node.note else ""
            return f"D{node.kind}({shown(node.of)}; {_list(node.by)}{note})"
        case BigOperator():
            return f"{node.kind}[{shown(node.lower)}..{shown(node.upper)}]({shown(node.body)})"
        case Array():
            return f"{node.kind}<" + " \\\\ ".join(_list(row) for row in node.rows) + ">"
        case Related():
            signs = (*node.relations, "")
            return " ".join(f"{shown(x)} {s}" for x, s in zip(node.sides, signs, strict=True)).strip()
        case Braced():
            return f"{shown(node.body)}<<{shown(node.remark)}>>"
        case Words():
            return f'"{node.text}"'
        case Ellipsis():
            return "..."
        case Slicing():
            return f"{shown(node.first)}:{shown(node.last)}"
        case _:
            return repr(node)


def shown_statement(statement: Statement) -> str:
    """A statement in one line: its sides with their links, and what is remarked on it."""
    signs = [f" {link.sign} " for link in statement.links]
    sides = "".join(shown(x) + s for x, s in zip(statement.sides, [*signs, ""], strict=False))
    return sides + "".join(f"  # {shown(remark)}" for remark in statement.remarks)


def _list(parts: Sequence[Notation | None]) -> str:
    return ", ".join(map(shown, parts))


def _scripts(lower: Sequence[Notation], upper: Sequence[Notation], primes: int) -> str:
    below = f"_{_list(lower)}" if lower else ""
    return "'" * primes + below + (f"^{_list(upper)}" if upper else "")
