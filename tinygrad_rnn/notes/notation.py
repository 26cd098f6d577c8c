"""Mathematics as a document prints it: trees of notation, before anybody has decided what a sign means.

A tree keeps what the page shows and no more: which product sign stands between two factors, where scripts stand, which
letters were typed without a space. What `h^t` or `*` or `dW` means is for the conventions of the document to say.
Every node knows where it was written, in characters of the page's own text, through repairs and macros.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Extent:
    """Where something stands in the text of its page: characters `start` to `end`, the end left out."""

    start: int
    end: int


@dataclass(frozen=True)
class Notation:
    """A part of a formula. Two are equal when they show the same, wherever they stand."""

    extent: Extent = field(compare=False, repr=False)


@dataclass(frozen=True)
class Numeral(Notation):
    """A number as printed: `0.50` has two decimals, which say how exact it is."""

    value: Fraction
    text: str


@dataclass(frozen=True)
class Letters(Notation):
    """A letter or a run of letters with what is set around it.

    `W`, `\\tilde{h}_{t-1}`, `\\Gamma_u`, `loss`, `\\text{prev}`.

    `name` is ASCII (`gamma`, `Gamma`, `L` for `\\mathcal{L}`). A run of letters typed without a space or command
    between them (`Wx`, `loss`, `dc`) is one node with `run` true, whose scripts stand at its last letter: `x` of
    `Wx_t`, or all of `dc_{next}`; only somebody who knows the document's names can tell. `upright` is set by \\text,
    \\mathrm, \\operatorname and the commands of functions (`\\tanh`, `\\log`). Accents are named from the letter
    outwards: ("hat",), ("tilde", "bar").
    """

    name: str
    accents: tuple[str, ...] = ()
    lower: tuple[Notation, ...] = ()
    upper: tuple[Notation, ...] = ()
    primes: int = 0
    upright: bool = False
    run: bool = False


@dataclass(frozen=True)
class WithScripts(Notation):
    """Scripts at something in brackets or a fraction: `(a + b)^2`, `(h_t)_i`, `{W^{hh}}^T`."""

    base: Notation
    lower: tuple[Notation, ...] = ()
    upper: tuple[Notation, ...] = ()
    primes: int = 0


@dataclass(frozen=True)
class Brackets(Notation):
    """What brackets hold, its parts divided by commas or semicolons: `(a + b)`, `[h, x]`, `<t>`, `|x|`, `\\|x\\|`.

    `opening` is one of ( [ { < | and || (a bare group in braces has none and is dropped by the reader). Whether
    `f(x)` is a call or a product is for the reader of the tree to say: it stands as a product with the operator "".
    """

    opening: str
    parts: tuple[Notation, ...]
    separators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Multiplied(Notation):
    """Factors and the signs between them, as typed: `operators[i]` stands after `factors[i]`.

    "" is juxtaposition; else one of * . × as \\cdot, \\odot, \\circ, \\times, \\otimes, \\ast, \\bullet, @, /, or
    `dot` for `.dot(`.
    """

    factors: tuple[Notation, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Added(Notation):
    """Terms and their signs.

    Each "+", "-" or "±"; the first sign is that in front of the first term ("+" where there is none).
    """

    terms: tuple[Notation, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Over(Notation):
    """A fraction that is no derivative."""

    top: Notation
    bottom: Notation


@dataclass(frozen=True)
class Differentiation(Notation):
    """`\\frac{\\partial L}{\\partial h_t}`, `dL/dh`, `\\frac{\\partial}{\\partial h}(..)`, `\\nabla_h L`.

    `kind` is "partial", "d" or "nabla"; `of` is what is differentiated; `by` has one entry for each variable; `note`
    holds words set at the sign (`\\nabla^{from\\ o_t}_{c_t}`, `|_{via}`). A factor that a fraction carries beside the
    differentials (`\\frac{\\partial l}{T \\partial o}`) is multiplied outside of it by the reader.
    """

    kind: str
    of: Notation | None
    by: tuple[Notation, ...]
    order: int = 1
    note: tuple[Notation, ...] = ()


@dataclass(frozen=True)
class BigOperator(Notation):
    """`\\sum`, `\\prod` (and `\\max`, `\\int`, ... by that name), its limits as typed, and all it governs."""

    kind: str
    lower: Notation | None
    upper: Notation | None
    body: Notation


@dataclass(frozen=True)
class Array(Notation):
    """Rows of entries in brackets: a matrix, a column, or `cases` (each row a value and its condition)."""

    kind: str
    rows: tuple[tuple[Notation, ...], ...]


@dataclass(frozen=True)
class Related(Notation):
    """Sides with relations between them, inside a formula: the limit `t=1` of a sum, the condition `t < T`."""

    sides: tuple[Notation | None, ...]
    relations: tuple[str, ...]


@dataclass(frozen=True)
class Braced(Notation):
    """Something with a remark above or below: \\underbrace, \\overbrace, \\overset, \\xleftarrow."""

    body: Notation
    remark: Notation


@dataclass(frozen=True)
class Words(Notation):
    """Words within a formula: `\\text{ for } t < T`, Chinese, a label."""

    text: str


@dataclass(frozen=True)
class Ellipsis(Notation):
    """Dots that stand for what the reader is to continue."""


@dataclass(frozen=True)
class Slicing(Notation):
    """`:n_a` in brackets: what is before and after the colon, either may be missing."""

    first: Notation | None
    last: Notation | None


@dataclass(frozen=True)
class Link:
    """A relation of a chain.

    Its sign ("=", ":=", "\\equiv", "+=", "\\leftarrow", "\\approx", "<", "\\in", ...) and where it stands.
    """

    sign: str
    extent: Extent


@dataclass(frozen=True)
class Statement:
    """One row of a formula: sides with links between them; the first side is None where the row begins with its link.

    Such a row continues the statement above it in the same `column`: rows may hold several equations side by side.
    `remarks` are conditions and words beside it: `t < T`, "for all j".
    """

    sides: tuple[Notation | None, ...]
    links: tuple[Link, ...]
    remarks: tuple[Notation, ...]
    extent: Extent
    column: int = 0


@dataclass(frozen=True)
class Unreadable:
    """A formula, or the row of one, that could not be read, and what stopped it."""

    extent: Extent
    reason: str


@dataclass(frozen=True)
class Formula:
    """A formula of a page: `form` is inline, display or code; `latex` its text as typed."""

    extent: Extent
    form: str
    latex: str
    statements: tuple[Statement, ...]
    unread: tuple[Unreadable, ...] = ()


@dataclass(frozen=True)
class Prose:
    """Words between formulas.

    Their markup taken off; formulas inside stand as `\\ue000` characters, one each, in order.
    """

    extent: Extent
    text: str


@dataclass(frozen=True)
class Title:
    """A heading: 1 is the highest `level`."""

    extent: Extent
    level: int
    text: str


@dataclass(frozen=True)
class Fence:
    """A block of code: `language` is the first word behind the marks, `text` what it holds."""

    extent: Extent
    language: str
    text: str


@dataclass(frozen=True)
class Directive:
    """What the author told us: front matter, or a comment that begins with `rnn:`; keys and values as typed."""

    extent: Extent
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Repair:
    """Damage that was undone before reading: what was seen and what it was taken for."""

    extent: Extent
    seen: str
    taken_for: str


@dataclass(frozen=True)
class Page:
    """One text: a file, or one cell of a notebook (`cell` counts all cells from 1; None for a file).

    `items` are in the order of the text. `kind` is md, tex or code.
    """

    file: str
    text: str
    kind: str
    cell: int | None
    items: tuple[Title | Prose | Formula | Fence | Directive, ...]
    repairs: tuple[Repair, ...] = ()

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character."""
        line = self.text.count("\n", 0, offset)
        return line + 1, offset - (self.text.rfind("\n", 0, offset) + 1) + 1


@dataclass(frozen=True)
class Pages:
    """A document as read: one page, or one for each cell of a notebook and for each file that is \\input."""

    file: str
    pages: tuple[Page, ...]
