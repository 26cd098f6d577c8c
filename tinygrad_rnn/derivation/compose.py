"""Which gradients may appear: the others are put in, so that every share is linear in a gradient that is kept.

A share of an unkept name in a share of another goes by solving `pattern = index`; shares of the loss end in 1. A circle
of unkept names would have no end: it is found on the names, and one of them is kept after all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ..core.errors import DerivationError
from ..language.affine import affine
from ..language.syntax.indices import Constraint
from ..system import Clause, Domain, System
from .adjoint import Key, Share, shares_of
from .forms import ONE, Symbol, is_zero
from .from_expressions import Reader
from .limits import Limits
from .long_sequences import at_length


class Adjoint:
    """The shares of every quantity of a model, in terms of the gradients of the names in `keep`.

    `kept` are the keys whose gradients may appear, `added` the names that had to be kept beside those asked for.
    """

    def __init__(self, system: System, reader: Reader, keep: Collection[str], limits: Limits) -> None:
        self.system, self.reader, self.algebra, self.limits = system, reader, reader.algebra, limits
        loss = reader.model.quantities.loss
        if loss is None:
            raise DerivationError("there is no loss: one number without index that nothing else reads, called L")
        self.loss = loss
        self._constant: set[int] = set()
        self.direct = self._direct_shares()
        relevant = self._relevant(keep)
        self.kept = {key for key in system.forward if key[0] in keep and key != loss}
        self.added: list[str] = []
        order = self._order(relevant)
        self.shares: dict[Key, list[Share]] = {loss: [Share(loss, (), (), Domain.of(), ONE, None)]}
        for key in order:
            if key != loss:
                self.shares[key] = []
                for share in self._composed(key):
                    self.shares[key].append(share)
                    limits.check(key[0], len(self.shares[key]) - len(self.direct[key]))

    # -- who reads whom -----------------------------------------------------------------------------------------------
    def _direct_shares(self) -> dict[Key, list[Share]]:
        quantities = self.reader.model.quantities
        fixed = {(name, False) for name in quantities.document.fixed} | quantities.classes
        shares: dict[Key, list[Share]] = {}
        clauses = [clause for found in self.system.forward.values() for clause in found]
        for number, clause in enumerate(clauses):
            self.limits.check(clause.equation.target.name)
            handed = [share for share in shares_of(clause, self.reader, number) if share.key not in fixed]
            for share in handed:
                shares.setdefault(share.key, []).append(share.solved(self.algebra))
            if not handed:
                self._constant.add(id(clause.equation))
        return shares

    def hands_back(self, clause: Clause) -> bool:
        """Whether an equation reads anything that has a gradient: g[T+1] = 0 does not."""
        return id(clause.equation) not in self._constant

    def _relevant(self, keep: Collection[str]) -> list[Key]:
        """What a gradient is asked for, and what it is computed by: parameters and what depends on them, what the file
        states and what is kept.
        """
        quantities = self.reader.model.quantities
        stated = [quantities.base(equation.target.key) for equation in self.reader.model.gradients]
        asked = [
            *quantities.parameters,
            *(key for key in stated if key),
            *(key for key in self.direct if key[0] in keep),
        ]
        found: dict[Key, None] = {}
        stack = [key for key in asked if key in self.direct]
        while stack:
            key = stack.pop()
            if key not in found:
                found[key] = None
                stack += self.readers(key)
        return [key for key in self.direct if key in found]

    def readers(self, key: Key) -> list[Key]:
        """The quantities whose equations read this one, each once."""
        return list(dict.fromkeys(reader_of(share) for share in self.direct.get(key, [])))

    def _order(self, wanted: Iterable[Key]) -> list[Key]:
        """Every quantity after those that read it and are not kept; circles are cut by keeping one name more."""
        done: dict[Key, None] = {}
        for start in wanted:
            path: list[Key] = [start] if start not in done else []
            while path:
                key = path[-1]
                waiting = [] if key == self.loss else [r for r in self.readers(key) if self._open(r) and r not in done]
                circle = next((r for r in waiting if r in path), None)
                if circle is not None:
                    self._keep_one(path[path.index(circle) :])
                    path = [start]
                elif waiting:
                    path.append(waiting[0])
                else:
                    done[path.pop()] = None
        return list(done)

    def _open(self, key: Key) -> bool:
        return key not in self.kept and key != self.loss

    def _keep_one(self, circle: list[Key]) -> None:
        """Keep the name of a circle that is no number and has the most readers."""
        shapes = self.reader.model.shapes_.names
        chosen = max(circle, key=lambda key: (shapes[key] != (1, 1), len(self.readers(key))))
        self.kept.add(chosen)
        self.added.append(chosen[0])

    # -- putting in ---------------------------------------------------------------------------------------------------
    def _composed(self, key: Key) -> Iterable[Share]:
        for share in self.direct.get(key, []):
            reader = reader_of(share)
            if reader in self.kept:
                yield share
            elif reader == self.loss:
                yield self._with(share, self.shares[self.loss][0], share.domain)
            else:
                for outer in self.shares.get(reader, []):
                    composed = self._through(share, outer.renamed(self.reader))
                    if composed is not None:
                        yield composed

    def _through(self, share: Share, outer: Share) -> Share | None:
        """A share that hands on what its reader receives by `outer`."""
        assert share.cotangent is not None
        equal = [
            Constraint("=", pattern - index)
            for pattern, index in zip(outer.pattern, share.cotangent.indices, strict=True)
        ]
        domain = Domain.of(*share.domain.constraints, *outer.domain.constraints, *equal)
        if domain.is_empty:
            return None
        composed = self._with(share, outer, domain)
        return None if is_zero(composed.form) else composed.solved(self.algebra)

    def _with(self, share: Share, outer: Share, domain: Domain) -> Share:
        assert share.cotangent is not None
        name = share.cotangent.name
        form = self.algebra.rebuilt(
            share.form,
            lambda leaf: outer.form if isinstance(leaf, Symbol) and leaf.cotangent and leaf.name == name else leaf,
        )
        return replace(
            share,
            variables=(*share.variables, *outer.variables),
            domain=domain,
            form=form,
            cotangent=outer.cotangent,
            origin=(*share.origin, *outer.origin),
        )


def reader_of(share: Share) -> Key:
    """The quantity that hands back a direct share."""
    assert share.cotangent is not None
    return share.cotangent.name[1:], bool(share.cotangent.indices)


# -- where a gradient is not zero -------------------------------------------------------------------------------------
#: so often the places where gradients are zero are put into those who read them
ROUNDS = 4


def without_zeros(shares: Mapping[Key, list[Share]], kept: Collection[Key]) -> dict[Key, list[Share]]:
    """The shares less those that read a gradient where it is zero, because nothing reads its quantity there.

    Where zeros go on from step to step (a loss that reads h[1] alone), or depend on what T is a multiple of, they are
    left, and are stated as such.
    """
    untouched = {key: list(found) for key, found in shares.items()}
    before = untouched
    for _ in range(ROUNDS):
        live = {key: _live(before.get(key, [])) for key in kept}
        parted = {key: [_alive(share, live) for share in found] for key, found in before.items()}
        if all(
            parts == [share] for key, found in before.items() for share, parts in zip(found, parted[key], strict=True)
        ):
            return before
        if any(_by_length(part) for found in parted.values() for parts in found for part in parts):
            return untouched
        before = {key: [part for parts in found for part in parts] for key, found in parted.items()}
    return untouched


def _by_length(share: Share) -> bool:
    """Whether a share depends on the length alone, so that it is there in some sequences only."""
    values = {name: value for name in share.variables if (value := share.domain.value_of(name)) and value.fixed}
    constraints = share.domain.substituted(values).constraints
    return any(not c.affine.running and (c.modulus or c.kind == "!=") for c in constraints)


def _axis(place: int) -> str:
    return f"axis~{place}~"


def _live(shares: list[Share]) -> list[Domain]:
    """Where a gradient receives anything: domains that exclude each other, of the variables axis~0~, axis~1~, …"""
    pieces: list[Domain] = []
    for share in shares:
        equal = [Constraint("=", index - affine(_axis(i))) for i, index in enumerate(share.pattern)]
        for shadow in share.domain.where(*equal).projected(*share.variables):
            left: tuple[Domain, ...] = (shadow,)
            for piece in pieces:
                left = tuple(rest for part in left for rest in part.minus(piece))
            pieces += [part.simplified() for part in left if not part.is_empty]
    return pieces


def _alive(share: Share, live: Mapping[Key, list[Domain]]) -> list[Share]:
    if share.cotangent is None:
        return [share]
    values = {_axis(i): index for i, index in enumerate(share.cotangent.indices)}
    places = [domain.substituted(values) for domain in live[reader_of(share)]]
    if any(share.domain.constraints >= place.constraints for place in places):
        return [share]
    zeros: tuple[Domain, ...] = (share.domain,)
    for place in places:
        zeros = tuple(rest for part in zeros for rest in part.minus(place))
    if not any(map(at_length, zeros)):
        return [share]
    parts = [share.domain & place for place in places]
    return [replace(share, domain=part.simplified()) for part in parts if not part.is_empty]
