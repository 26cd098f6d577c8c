"""Pictures of other things than graphs: what an object's `__picture__()` says, as plain data.

The data are a mapping with `nodes`, each a mapping of `id`, `text` and, as wanted, `role` (a key of `styles.ROLES`),
`group` (nodes of one group share a frame with this title; groups stand from left to right), `lines` (small print);
`edges`, each (from, to), (from, to, letter or letters) or (from, to, letter, delay); and a `title`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import GraphError
from .layout.column_positions import in_a_row
from .picture import Column, Edge, Picture, PictureNode
from .styles import ROLES
from .view.label_text import clean, joined, symbol, words

ROLE = "operation"
#: roles whose text is no symbol
UPRIGHT = ("operation", "product", "constant")
#: of a text or a line of small print
LONGEST = 60


def picture_of_data(data: Mapping[str, Any]) -> Picture:
    """The picture that plain data describe; raises `GraphError` for what is unknown or missing."""
    nodes: list[PictureNode] = []
    number: dict[Any, int] = {}
    groups: dict[Any, int] = {}
    for given in data.get("nodes", ()):
        role = given.get("role", ROLE) if isinstance(given, Mapping) else None
        if role not in ROLES or "id" not in given or given["id"] in number:
            raise GraphError(
                f"__picture__: node {given!r} needs an id of its own, and a role out of {', '.join(sorted(ROLES))}"
            )
        number[given["id"]] = len(nodes)
        group = groups.setdefault(given.get("group"), len(groups))
        said = str(given.get("text", given["id"]))
        text = words(clean(said, LONGEST)) if role in UPRIGHT else symbol(said)
        lines = tuple(clean(str(line), LONGEST) for line in given.get("lines", ()))
        named = role not in UPRIGHT
        nodes.append(PictureNode(text, role, group, len(nodes), lines=lines, tooltip=clean(said, 120), named=named))
    edges = []
    for start, end, *more in data.get("edges", ()):
        if start not in number or end not in number:
            raise GraphError(f"__picture__: an edge joins {start!r} and {end!r}, which are not both among the nodes")
        letter, delay = [*more, None, 0][:2] if len(more) < 2 else more
        letters = [letter] if isinstance(letter, str) else letter or ()
        label = joined([symbol(str(name)) for name in letters]) if letters else None
        edges.append(Edge(number[start], number[end], label, delay=int(delay or 0)))
    plain = set(groups) <= {None}
    columns = [
        Column("plain" if plain else "step" if g is not None else "between", k, clean(str(g or ""), 60))
        for g, k in groups.items()
    ]
    picture = Picture(nodes, edges, columns or [Column("plain", 0)], [], "op", "LR", title=_title(data))
    in_a_row(picture)
    return picture


def _title(data: Mapping[str, Any]) -> str | None:
    return clean(str(data["title"]), 120) if data.get("title") else None
