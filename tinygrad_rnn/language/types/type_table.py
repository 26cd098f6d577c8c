"""The types of the quantities of a document, as far as they are known: what the rules of inference read and join."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..expressions import Expr, Ref
from .conventions import Convention
from .dimensions import Dimension, Stacked, Type
from .quantities import Key, Quantities


class TypeTable(ABC):
    """The type of each quantity and of each expression met so far; which of the two dimensions a vector runs along."""

    def __init__(self, quantities: Quantities, convention: Convention) -> None:
        self.convention = convention
        #: how many columns a name has, in a file of batches
        self.samples = Dimension(convention.samples or None)
        self.quantities, self.source = quantities, quantities.source
        self.document = quantities.document
        self._types: dict[Key, Type] = {}
        self._nodes: dict[int, Type] = {}
        #: where each size comes from, in words
        self.origins: dict[Key, str] = {}
        #: sizes that a literal fixes (rows(v, 1, 4)), and stacks, whose rows are those of their parts
        self.literal: list[Dimension] = []
        self.stacks: list[Stacked] = []

    @abstractmethod
    def probe(self, expr: Expr) -> tuple[int, int] | None:
        """The shape of an expression that has not been reached yet; None where it cannot be told."""

    def type_of(self, expr: Expr) -> Type:
        """The type as far as it is known so far."""
        return self._nodes[id(expr)]

    def quantity(self, key: Key) -> Type:
        """The type of a quantity; dX has that of X."""
        base = self.quantities.base(key) if key not in self._types else None
        key = base or key
        if key not in self._types:
            self._types[key] = Type()
        return self._types[key]

    def along(self, type_: Type) -> Dimension:
        """The number of entries of a vector."""
        return type_.columns if self.convention.rows else type_.rows

    def across(self, type_: Type) -> Dimension:
        """What is 1 for a vector."""
        return type_.rows if self.convention.rows else type_.columns

    def vector(self, entries: Dimension | int) -> Type:
        """A column of so many entries, or a row."""
        return Type(1, entries) if self.convention.rows else Type(entries, 1)

    def refuse_class(self, ref: Ref) -> None:
        if ref.key in self.quantities.classes:
            told = f"{ref} is a class number, as its use in onehot or cross_entropy says; it is not a column"
            hint = f"did you mean onehot({ref}) ? As a column it is declared by   labels: {ref.name} one-hot"
            raise self.source.error(told, ref.span, hint=hint)
