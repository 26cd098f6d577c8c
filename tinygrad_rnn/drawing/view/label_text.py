"""How names, steps and numbers read in a picture: superscripts, subscripts, escaping, widths.

Text goes in, `Text` comes out; each writer turns it into its own markup with `unicode`, `svg_spans` or `dot_html`.
Every string that reaches a picture passes through `clean` and one of the escapes here, because names are not to be
trusted.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np

from ...core.symbols import name_parts

_SUPERSCRIPT = str.maketrans("0123456789+-−(),tT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾˒ᵗᵀ")
LONGEST = 28
#: size of what stands below and above, against that of its symbol
SMALL = 0.68


def clean(text: str, longest: int = LONGEST) -> str:
    """One printable line: what XML cannot hold or a page cannot show becomes a visible sign, and long text is cut."""
    shown = "".join(c if c.isprintable() else "␤" if c == "\n" else "�" for c in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


@dataclass(frozen=True, slots=True)
class Text:
    """A symbol with what stands below and above it; italic as mathematics sets it, upright for operations and words.

    `more` follows it, each piece set in its own way: `W₁, W₂`, or `V` and upright words.
    """

    base: str
    sub: str = ""
    sup: str = ""
    italic: bool = True
    more: tuple[Text, ...] = ()

    @property
    def unicode(self) -> str:
        """One line of plain text, such as `W_f⁽²⁾`."""
        own = self.base + (f"_{self.sub}" if self.sub else "") + self.sup.translate(_SUPERSCRIPT)
        return own + "".join(text.unicode for text in self.more)

    def width(self, size: float) -> float:
        """Estimated width in points at this font size (the writers have no font metrics)."""
        own = size * (_ems(self.base) + SMALL * max(_ems(self.sub), _ems(self.sup)))
        return own + sum(text.width(size) for text in self.more)

    def svg_spans(self, size: float) -> str:
        """What stands inside of `<text>`."""
        spans, fallen, behind = "", 0.0, 0.0  # how far below its line the pen is, and how far left of what it wrote
        for text in (self, *self.more):
            style = ' font-style="italic"' if text.italic else ""
            move = (f' dx="{behind:.3g}"' if behind else "") + (f' dy="{-fallen:.3g}"' if fallen else "")
            spans += f"<tspan{move}{style}>{escape(text.base)}</tspan>" if move or style else escape(text.base)
            fallen = behind = 0.0
            small = f'font-size="{size * SMALL:.3g}"'
            if text.sub:
                fallen = 0.22 * size
                spans += f'<tspan dy="{fallen:.3g}" {small}{style}>{escape(text.sub)}</tspan>'
            if text.sup:
                # a superscript stands above the subscript, not behind it
                back = f' dx="{-SMALL * size * _ems(text.sub):.3g}"' if text.sub else ""
                spans += f'<tspan dy="{-0.36 * size - fallen:.3g}"{back} {small}>{escape(text.sup)}</tspan>'
                fallen, behind = -0.36 * size, SMALL * size * max(0.0, _ems(text.sub) - _ems(text.sup))
        return spans

    def dot_html(self, size: float) -> str:
        """Inner part of a graphviz HTML-like label."""
        base = dot_escaped(self.base)
        text = f"<I>{base}</I>" if self.italic else base
        if self.sub:
            text += f'<SUB><FONT POINT-SIZE="{size * SMALL:.3g}"><I>{dot_escaped(self.sub)}</I></FONT></SUB>'
        if self.sup:
            text += dot_escaped(self.sup.translate(_SUPERSCRIPT))
        return text + "".join(piece.dot_html(size) for piece in self.more)


def words(text: str) -> Text:
    """Text set upright."""
    return Text(text, italic=False)


def joined(texts: list[Text], comma: str = ", ") -> Text:
    """Several texts as one, with upright commas, or what is given, between them."""
    first, *rest = texts
    between = [words(comma)] if comma else []
    more = [piece for text in rest for piece in (*between, replace(text, more=()), *text.more)]
    return replace(first, more=(*first.more, *more))


def noted(label: Text | None, said: str) -> Text:
    """A letter with words in brackets behind it, or the words alone."""
    return words(said) if label is None else joined([label, words(f" ({said})")], "")


def dot_escaped(text: str) -> str:
    """For HTML-like labels: graphviz reads entities, and swallows leading blanks."""
    return escape(text).replace(" ", "&#160;") or "&#160;"


def symbol(name: str, step: Any = None) -> Text:
    """The name as mathematics writes it: `W_f` and `h1` with a subscript, `alpha` as α, the step in brackets above.

    >>> symbol("h", 2).unicode, symbol("W_f").sub, symbol("sigma").base
    ('h⁽²⁾', 'f', 'σ')
    >>> symbol("cos_w")
    Text(base='cos', sub='w', sup='', italic=True, more=())
    """
    sup = "" if step is None else f"({index_text(step)})"
    parts = name_parts(name)
    base = unicodedata.normalize("NFC", clean(parts.base) + parts.accents) + "′" * parts.primes
    return Text(base, clean(parts.below), sup)


def index_text(step: Any) -> str:
    """A step number or a tuple of them, with a true minus."""
    parts = step if isinstance(step, tuple) else (step,)
    return clean(",".join(str(part) for part in parts)).replace("-", "−")


def shape_text(shape: tuple[int, ...]) -> str:
    """`4 × 3`, or `scalar`."""
    return " × ".join(map(str, shape)) if shape else "scalar"


def value_lines(value: Any) -> tuple[str, ...]:
    """Shape, then the values themselves when there are at most four, otherwise their range; one value stands alone."""
    array = np.asarray(value)
    if array.size == 1:
        return (_number(array.item()),)
    if not array.size:
        return (shape_text(array.shape), "empty")
    if array.size <= 4:
        return (shape_text(array.shape), ", ".join(_number(v) for v in array.ravel().tolist()))
    return (shape_text(array.shape), f"{_number(array.min().item())} … {_number(array.max().item())}")


def _number(value: Any) -> str:
    if isinstance(value, complex):
        return f"{value:.3g}"
    return f"{value:.3g}".replace("-", "−")


def constant_text(value: Any) -> str:
    """A constant in a picture: the number itself, or the shape of an array."""
    array = np.asarray(value)
    return _number(array.item()) if array.size == 1 else shape_text(array.shape)


#: advance widths of Times for the printable ASCII letters, in thousandths of the font size: enough to size a box
# fmt: off
_TIMES = dict(zip(map(chr, range(32, 127)), (
    250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278, 500, 500, 500, 500, 500, 500,
    500, 500, 500, 500, 278, 278, 564, 564, 564, 444, 921, 722, 667, 667, 722, 611, 556, 722, 722, 333, 389, 722,
    611, 889, 722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722, 722, 611, 333, 278, 333, 469, 500, 333, 444,
    500, 444, 500, 444, 333, 500, 500, 278, 278, 500, 278, 778, 500, 500, 500, 500, 333, 389, 278, 500, 500, 722,
    500, 500, 444, 480, 200, 480, 541,
), strict=True))
# fmt: on


def _ems(text: str) -> float:
    return sum(_TIMES.get(c, 560 if c < "\u2e80" else 1000) for c in text) / 1000


def text_width(text: str, size: float) -> float:
    """Estimated width of plain text in points."""
    return size * _ems(text)
