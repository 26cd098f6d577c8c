"""A proof written down as a person would: one named rule a line, in matrices where they will do, then at an entry.

The derivative comes first, by the chain rule from what reads the quantity; gradients that the file does not state are
put in one after the other; then the equation as it was stated. What both sides are at one entry stands below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...language import Equation, Model
from ...language.affine import Affine, affine
from ...language.expressions import Expr, Number, Ref
from ...language.rewriting import addends, substituted
from ...language.syntax.indices import Constraint
from ...language.syntax.source import NOWHERE, listed
from ...language.text.latex import latex as tex
from ...language.text.printer import text
from ...language.types.quantities import Key, refs
from ...system.affine_system import Clause
from ...system.domain import Domain
from ..entries.arithmetic import Work
from ..entries.definitions import Definition
from ..entries.entry_gradients import EntryGradients
from ..entries.slopes import key_of
from ..entries.units import Entry, Polynomial
from ..entries.vanishing import without_implied
from .entry_text import EntryText
from .matrices import Scene, matrix_form
from .proof_rules import CHAIN_RULE, COPY, NOTHING, REORDERED, Rule, escaped, meanings, slopes, words
from .prove import Proof, truth_of
from .search import Knowledge, knowledge_of, stances
from .stated import Stated

#: a row of LaTeX with more characters than this is cut between terms
LONGEST_ROW = 200


@dataclass(frozen=True)
class ProofLine:
    """`= value` and the rules by which it is: an expression, or a polynomial where there is no matrix form."""

    value: Expr | Polynomial
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class ProofPart:
    """The proof on one piece of the steps: the target, whose gradient it is, what reads that; the lines; an entry."""

    target: Ref
    quantity: Ref | None
    readers: tuple[Equation, ...]
    lines: tuple[ProofLine, ...]
    entry: Polynomial
    context: Domain


def parts(proof: Proof) -> list[ProofPart]:
    """The steps of a proof, for each piece of the steps its equation claims."""
    knowledge = knowledge_of(proof.model)
    work = knowledge.book.work(1_000_000, 30.0)
    clauses = knowledge.book.system.gradients[proof.equation.target.key]
    return [_Writing(proof, knowledge, work, clause).part for clause in clauses if clause.equation is proof.equation]


class _Writing:
    """One piece of a proof on its way to paper."""

    def __init__(self, proof: Proof, knowledge: Knowledge, work: Work, clause: Clause) -> None:
        self.model, self.proof, self.knowledge, self.work, self.clause = proof.model, proof, knowledge, work, clause
        self.stated = Stated(knowledge.book, knowledge.gradients, work, Domain.of(), knowledge.disguised)
        self.definition: Definition = self.stated.written(clause)
        self.context = self.definition.domain
        self.scene = Scene(knowledge.book, knowledge.names, self.context)

    @property
    def part(self) -> ProofPart:
        """The lines of this piece."""
        role = self.model.role(self.proof.equation)
        base = self.model.quantities.base(self.clause.equation.target.key)
        truth = self._settled(truth_of(self.knowledge, self.clause, self.definition, role, self.work))
        lines: list[ProofLine] = []
        readers: tuple[Equation, ...] = ()
        if base is not None and role == "gradient":
            target = Entry(base[0], self.clause.indices if base[1] else (), self.definition.entries)
            readers = tuple(self._readers(target))
            lines += self._chain_rule(target, readers)
        elif role == "copy":
            lines.append(self._line(truth, COPY))
        else:
            lines.append(self._line(truth, NOTHING))
        rules = [words(f"{name} put in") for name in (*self.stated.helpers, *self.proof.put_in)]
        rules += [words(f"{key[0]} is d{self.knowledge.disguised[key][0]}") for key in self.stated.taken]
        rules += meanings(self.proof.equation.rhs)
        if _shown(lines[-1].value) != text(self.proof.equation.rhs):
            lines.append(ProofLine(self.proof.equation.rhs, tuple(rules) or (REORDERED,)))
        stated = self.clause.equation.target
        quantity = None if base is None else replace(stated, name=base[0])
        return ProofPart(stated, quantity, readers, tuple(lines), truth, self.context)

    def _settled(self, p: Polynomial) -> Polynomial:
        known = without_implied(p, self.context)
        return without_implied(self.knowledge.names.settled(known, self.context, self.work), self.context)

    def _line(self, p: Polynomial, *rules: Rule) -> ProofLine:
        form = matrix_form(p, self.scene)
        return ProofLine(p if form is None else form, rules)

    # -- the chain rule -----------------------------------------------------------------------------------------------
    def _readers(self, target: Entry) -> Iterator[Equation]:
        """The equations that read the target, at the step at which they do if that is one step."""
        for clause in self.knowledge.book.readers.get(key_of(target), ()):
            seen: list[Equation] = []
            for ref in refs(clause.equation):
                if ref.key == key_of(target):
                    equation = _at(clause, ref.indices, target.times, self.context)
                    if equation is not None and equation not in seen:
                        seen.append(equation)
            yield from seen

    def _chain_rule(self, target: Entry, readers: tuple[Equation, ...]) -> list[ProofLine]:
        """The derivative in the gradients of its readers, then with those put in that are not stated."""
        book = self.knowledge.book
        kept, ones = self._without_ones(frozenset(book.system.forward))
        present = self._derivative(target, kept)
        rules = [self._equation_rule(_gradient_of(reader.target), Number(NOWHERE, 1)) for reader in readers]
        rules = [rule for rule, reader in zip(rules, readers, strict=True) if reader.target.name in ones]
        lines = [self._line(present, CHAIN_RULE, *rules, *slopes(readers, target.name))]
        while True:
            unstated = sorted({key for key in _gradients_in(present, self.model) if key not in book.kept})
            if not unstated:
                return lines
            kept -= {unstated[0]}
            present = self._derivative(target, kept)
            lines.append(self._line(present, *self._put_in(unstated[0], kept)))

    def _without_ones(self, kept: frozenset[Key]) -> tuple[frozenset[Key], list[str]]:
        """Without the quantities that the loss is the sum of, whose gradient is 1."""
        ones = []
        for key in sorted(kept - self.knowledge.book.kept):
            form = self._gradient_form(key, kept)
            if isinstance(form, Number) and form.value == 1 and key != self.model.quantities.loss:
                ones.append(key)
        return kept - set(ones), [name for name, _ in ones]

    def _derivative(self, target: Entry, kept: frozenset[Key]) -> Polynomial:
        return self._settled(EntryGradients(self.knowledge.book, kept).of(target, self.work))

    def _put_in(self, key: Key, kept: frozenset[Key]) -> list[Rule]:
        """What the gradient of a quantity is in those of its readers, and the equation that says so."""
        form = self._gradient_form(key, kept)
        target = _ref(key, self.model)
        rules = [words(f"d{key[0]} put in") if form is None else self._equation_rule(_gradient_of(target), form)]
        readers = self.knowledge.book.readers.get(key, [])
        if len(readers) == 1:
            reader = readers[0].equation
            rules.append(self._equation_rule(reader.target, reader.rhs))
        return rules

    def _gradient_form(self, key: Key, kept: frozenset[Key]) -> Expr | None:
        """The gradient of a quantity at its own indices, where its only equation defines it."""
        book = self.knowledge.book
        times = _ref(key, self.model).indices
        places, domain = book.places(key)
        clauses = book.system.forward[key]
        context = domain & clauses[0].domain if len(clauses) == 1 and clauses[0].indices == times else domain
        value = EntryGradients(book, kept).of(Entry(key[0], times, places), self.work)
        settled = self.knowledge.names.settled(without_implied(value, context), context, self.work)
        return matrix_form(without_implied(settled, context), replace(self.scene, context=context))

    def _equation_rule(self, target: Ref, rhs: Expr) -> Rule:
        equation = Equation(target, (), rhs, NOWHERE)
        return Rule(text(equation), tex(equation, self.model))


def _ref(key: Key, model: Model) -> Ref:
    """A quantity at its own indices: h[t]."""
    letters = model.quantities.axes_named(key[0]) if key[1] else ()
    indices = tuple(affine(letter) for letter in letters)
    return Ref(NOWHERE, key[0], indices[0], indices[1:]) if indices else Ref(NOWHERE, key[0])


def _gradient_of(ref: Ref) -> Ref:
    return Ref(NOWHERE, f"d{ref.name}", ref.index, ref.more)


def _shown(value: Expr | Polynomial) -> str:
    return text(value) if isinstance(value, Expr) else ""


def _gradients_in(p: Polynomial, model: Model) -> set[Key]:
    """The quantities whose gradients a polynomial contains."""
    found = set()
    for name, place in stances(p):
        base = model.quantities.base((name, bool(place)))
        if base is not None and base[1] == bool(place):
            found.add(base)
    return found


def _at(clause: Clause, own: tuple[Affine, ...], wanted: tuple[Affine, ...], context: Domain) -> Equation | None:
    """An equation at the step at which it reads certain indices; as it is where that is more than one step."""
    away = {name: affine(f"{name}~") for name in clause.variables}
    equal = [Constraint("=", a.substituted(away) - b) for a, b in zip(own, wanted, strict=True)]
    steps = clause.domain.substituted(away).where(*equal)
    if (steps & context).is_empty:
        return None
    values = {name: steps.value_of(f"{name}~") for name in clause.variables}
    known = {name: value for name, value in values.items() if value is not None and "~" not in str(value)}
    if not known:
        return clause.equation
    target = clause.equation.target
    moved = target.moved_to(tuple(form.substituted(known) for form in target.indices)) if target.indices else target
    return Equation(moved, (), substituted(clause.equation.rhs, known), clause.equation.span)


# -- on paper ---------------------------------------------------------------------------------------------------------
def written(proof: Proof) -> str:
    """A proof as text; where there is none, the reason."""
    head = f"{text(proof.equation)}    (line {proof.equation.line})"
    if not proof.proved:
        return f"{head}\n  not proved: {proof.reason}\n"
    found = [head]
    for part in parts(proof):
        found += _part_written(part, proof)
    return "\n".join([*found, f"  {_conclusion(proof)}", ""])


def _part_written(part: ProofPart, proof: Proof) -> list[str]:
    entrywise = EntryText(proof.model, part.context)
    found = []
    for at, reader in enumerate(part.readers):
        found.append(f"    {'read by' if not at else '       '}  {text(reader)}")
    said = [line.value if isinstance(line.value, Expr) else entrywise.text(line.value) for line in part.lines]
    values = [value if isinstance(value, str) else text(value) for value in said]
    width = min(max(map(len, values)), 72)
    left = f"    {part.target}"
    for at, (value, line) in enumerate(zip(values, part.lines, strict=True)):
        rules = "; ".join(rule.text for rule in line.rules)
        found.append(f"{left if not at else ' ' * len(left)} = {value.ljust(width)}   [{rules}]")
    places = entrywise.places(part.entry)
    if places:
        found.append(f"    at {places} both are {entrywise.text(part.entry)}")
    return found


def _conclusion(proof: Proof) -> str:
    lengths = " and ".join(f"{name} >= {proof.shortest}" for name in proof.model.lengths(1))
    told = "; ".join(said for said in proof.assumptions if ">=" not in said)
    return f"for {lengths} and every size{', where ' + told if told else ''}  ∎"


def latex(proof: Proof) -> str:
    r"""A proof in LaTeX, for a document with the packages amsmath and amssymb.

    First what is claimed; for each piece of the steps a sentence says what reads the quantity, then an `align*` has one
    rule a line.
    """
    if not proof.proved:
        return rf"Not proved: {escaped(proof.reason)}."
    claim = rf"\medskip\noindent\textbf{{Claim.}} ${tex(proof.equation, proof.model)}$."
    pieces = [_part_in_latex(part, proof) for part in parts(proof)]
    lengths = ", ".join(rf"${name} \ge {proof.shortest}$" for name in proof.model.lengths(1))
    told = "; ".join(escaped(said) for said in proof.assumptions if ">=" not in said)
    end = rf"\noindent This holds for {lengths} and every size{', where ' + told if told else ''}. \hfill $\square$"
    return "\n\n".join([claim, "\\noindent\\emph{Proof.} " + pieces[0], *pieces[1:], end] if pieces else [claim, end])


def _part_in_latex(part: ProofPart, proof: Proof) -> str:
    entrywise, rows = EntryText(proof.model, part.context), []
    for line in part.lines:
        rules = r",\; ".join(rule.latex for rule in line.rules)
        *rows_before, last = _rows(line.value, proof.model, entrywise)
        rows += [*rows_before, f"{last} && {rules}"]
    body = " \\\\\n  ".join(rows)
    readers = [f"${tex(reader, proof.model)}$" for reader in part.readers]
    opening = ""
    if readers and part.quantity is not None:
        opening = f"${tex(part.quantity, proof.model)}$ is read by {listed(readers, 'and')}.\n"
    return f"{opening}\\begin{{align*}}\n  {tex(part.target, proof.model)} {body}\n\\end{{align*}}"


def _rows(value: Expr | Polynomial, model: Model, entrywise: EntryText) -> list[str]:
    """A side of an equation in rows that a page has room for, cut between the terms of a sum."""
    if not isinstance(value, Expr):
        return [f"&= {entrywise.latex(value)}"]
    rows, row = [], ""
    for sign, term in addends(value):
        said = tex(term, model)
        if row and len(row) + len(said) > LONGEST_ROW:
            rows.append(row)
            row = r"\quad "
        lead = "" if not rows and not row else " + "
        row += f"{lead if sign > 0 else ' - ' if lead else '-'}{said}"
    rows.append(row)
    return [f"&= {rows[0]}", *(f"&{row}" for row in rows[1:])]
