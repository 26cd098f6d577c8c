"""What was found in a document, as data.

Verdicts on its claims, its models, its conventions. Reports are functions of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..verification.results import BlockVerdict
from .notation import Pages

CONDITIONAL = "CONDITIONAL"
NOTATION = "NOTATION"
UNATTACHED = "UNATTACHED"
UNREAD = "UNREAD"
DISAGREE = "DISAGREE"


@dataclass(frozen=True)
class ClaimVerdict:
    """The verdict on one link.

    `line` and `column` where the row's left side starts, from 1, within the `cell` in a notebook.

    `reading` is the convention under which it holds, if the text leaves it open; `explanation` says what is wrong and
    the right form; `right_form` is that form as LaTeX, "" where there is none; `start` and `end` are the characters
    of the link in its page.
    """

    file: str
    cell: int | None
    line: int
    column: int
    start: int
    end: int
    latex: str
    verdict: str
    model: str | None = None
    reading: str = ""
    explanation: str = ""
    right_form: str = ""
    readings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class VotedConvention:
    """One convention.

    What it settles ("time", "rows", "product *", ...), the choice, and the votes for each choice.

    `since` names the heading it begins at, "" for the whole document; `origin` is voted, stated (by the author) or
    default.
    """

    about: str
    choice: str
    votes: tuple[tuple[str, int], ...] = ()
    since: str = ""
    origin: str = "voted"


@dataclass(frozen=True)
class FoundModel:
    """A model.

    Its name (heading or a letter), its definitions as equations of the language, and what is taken for granted.

    `equation_file` is the model with its right gradients as an equation file, `inputs`, `parameters` and `assumed`
    list names without definition and what was declared for want of it (a loss, an initial state, a size).
    """

    name: str
    line: int
    cell: int | None
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    inputs: tuple[str, ...]
    assumed: tuple[str, ...]
    equation_file: str


@dataclass(frozen=True)
class UnreadFormula:
    """A formula with what stopped the reader."""

    file: str
    cell: int | None
    line: int
    column: int
    latex: str
    reason: str
    has_equality: bool


@dataclass(frozen=True)
class DocumentVerdict:
    """Everything found in a document: what `verify` prints, writes and exits by."""

    file: str
    conventions: tuple[VotedConvention, ...]
    models: tuple[FoundModel, ...]
    claims: tuple[ClaimVerdict, ...]
    unread: tuple[UnreadFormula, ...]
    repairs: tuple[str, ...] = ()
    blocks: tuple[BlockVerdict, ...] = field(default=())
    #: the document as read, for whoever shows it
    pages: Pages | None = field(default=None, repr=False)
