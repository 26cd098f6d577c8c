"""The usual slips of a hand, undone one at a time: candidates for the right form of a formula, as LaTeX.

Each edit changes the text of one name, sign or factor, so that what is told is the author's own formula with one
thing changed. Whether a candidate is right is for the judge to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .notation import Added, Letters, Multiplied, Notation, Numeral
from .resolving import parts_of


@dataclass(frozen=True)
class MendingEdit:
    """A candidate: the whole side as LaTeX, what was changed and into what."""

    latex: str
    before: str
    after: str


def mending_edits(side: Notation, text: str, time: str, names: Mapping[str, str]) -> Iterator[MendingEdit]:
    """Candidates for a side that stands in a text: times shifted, transposes, signs, factors and names changed.

    `names` are those of the document as they are written, with the letter of each.
    """
    start, end = side.extent.start, side.extent.end

    def edit(first: int, last: int, new: str) -> MendingEdit:
        return MendingEdit(text[start:first] + new + text[last:end], text[first:last].strip(), new.strip())

    for node in parts_of(side):
        if not start <= node.extent.start <= node.extent.end <= end:
            continue
        if isinstance(node, Letters):
            yield from _of_name(node, text, time, names, edit)
        elif isinstance(node, Added):
            for before, after in zip(node.terms, node.terms[1:], strict=False):
                between = text[before.extent.end : after.extent.start]
                for old, new in (("+", "-"), ("-", "+")):
                    if between.strip() == old:
                        yield edit(before.extent.end, after.extent.start, between.replace(old, new))
        elif isinstance(node, Multiplied) and len(node.factors) > 1:
            for number, factor in enumerate(node.factors):
                following = node.factors[number + 1] if number + 1 < len(node.factors) else None
                if following is not None:
                    yield edit(factor.extent.start, following.extent.start, "")
                else:
                    yield edit(node.factors[number - 1].extent.end, factor.extent.end, "")


def _of_name(
    node: Letters, text: str, time: str, names: Mapping[str, str], edit: Callable[[int, int, str], MendingEdit]
) -> Iterator[MendingEdit]:
    shown = text[node.extent.start : node.extent.end]
    for script in (*node.lower, *node.upper):
        written = text[script.extent.start : script.extent.end]
        bare = written.strip("()<> ")
        if bare.replace(" ", "") in (time, f"{time}-1", f"{time}+1"):
            for other in (f"{time}-1", time, f"{time}+1"):
                if other != bare.replace(" ", ""):
                    place = text.index(bare, script.extent.start)
                    new = other if text[place - 1 : place] in ("{", "(", "<", " ") else "{" + other + "}"
                    yield edit(place, place + len(bare), new)
    transposes = [u for u in node.upper if isinstance(u, Letters) and u.name in ("T", "top")]
    if transposes and shown.count("^") == 1:
        head = shown[: shown.index("^")]
        yield edit(node.extent.start, node.extent.end, head)
    elif not node.upper and node.name[:1].isupper() and len(node.name) == 1:
        yield edit(node.extent.start, node.extent.end, shown + "^T")
    squares = [u for u in node.upper if isinstance(u, Numeral)]
    if not squares and not node.upper and node.lower:
        yield edit(node.extent.start, node.extent.end, shown + "^2")
    # names of the same letter first: an accent, a label or a step is what is mistaken most often
    alike = sorted(names, key=lambda name: names[name] != node.name) if node.lower or node.upper else []
    for name in alike[:40]:
        if name != shown:
            yield edit(node.extent.start, node.extent.end, name)
