"""A proof written down as a person would: one named rule a line, in matrices where they will do, then at an entry.

The derivative comes first, by the chain rule from what reads the quantity; gradients that the file does not state are
put in one after the other; then the equation as it was stated. What both sides are at one entry stands below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..language import Equation, Model
from ..language.affine import Affine, affine
from ..language.expressions import Binary, Call, Expr, Ref, Transpose, walk
from ..language.indices import Constraint
from ..language.latex import latex as tex
from ..language.printer import text
from ..language.quantities import Key, refs
from ..language.rewriting import substituted
from ..system.domain import Domain
from ..system.system import Clause
from .entries.arithmetic import Work
from .entries.definitions import Definition
from .entries.gradients import Gradients
from .entries.slopes import key_of
from .entries.units import Entry, Polynomial
from .entries.vanishing import without_implied
from .entrywise import Entrywise
from .matrices import Scene, matrix_form
from .prove import Proof, truth_of
from .search import Knowledge, knowledge_of, stances
from .stated import Stated


@dataclass(frozen=True)
class Line:
    """`= value` and the rule by which it is: an expression, or a polynomial where there is no matrix form."""

    value: Expr | Polynomial
    rule: str


@dataclass(frozen=True)
class Part:
    """The proof on one piece of the steps: what reads the target, the lines, and both sides at an entry."""

    target: Ref
    readers: tuple[Equation, ...]
    lines: tuple[Line, ...]
    entry: Polynomial
    context: Domain


def parts(proof: Proof) -> list[Part]:
    """The steps of a proof, for each piece of the steps its equation claims."""
    knowledge = knowledge_of(proof.model)
    work = knowledge.book.work(1_000_000, 30.0)
    clauses = knowledge.book.system.gradients[proof.equation.target.key]
    return [_Writing(proof, knowledge, work, clause).part for clause in clauses if clause.equation is proof.equation]


class _Writing:
    """One piece of a proof on its way to paper."""

    def __init__(self, proof: Proof, knowledge: Knowledge, work: Work, clause: Clause) -> None:
        self.model, self.proof, self.knowledge, self.work, self.clause = proof.model, proof, knowledge, work, clause
        self.stated = Stated(knowledge.book, knowledge.gradients, work, Domain.of())
        self.definition: Definition = self.stated.written(clause)
        self.context = self.definition.domain
        self.scene = Scene(knowledge.book, knowledge.names, self.context)

    @property
    def part(self) -> Part:
        """The lines of this piece."""
        role = self.model.role(self.proof.equation)
        base = self.model.quantities.base(self.clause.equation.target.key)
        truth = self._settled(truth_of(self.knowledge, self.clause, self.definition, role, self.work))
        lines: list[Line] = []
        readers: tuple[Equation, ...] = ()
        if base is not None and role == "gradient":
            target = Entry(base[0], self.clause.indices if base[1] else (), self.definition.entries)
            readers = tuple(self._readers(target))
            lines += self._chain_rule(target, readers)
        elif role == "copy":
            lines.append(self._line(truth, "the chain rule, for what reads it at this step"))
        else:
            lines.append(self._line(truth, "nothing that the loss depends on"))
        rules = [*self._helpers(), *_rules(self.proof.equation.rhs)]
        rules += [f"{name} put in" for name in self.proof.put_in]
        if _shown(lines[-1].value) != text(self.proof.equation.rhs):
            lines.append(Line(self.proof.equation.rhs, "; ".join(rules) or "in another order"))
        return Part(self.clause.equation.target, readers, tuple(lines), truth, self.context)

    def _settled(self, p: Polynomial) -> Polynomial:
        known = without_implied(p, self.context)
        return without_implied(self.knowledge.names.settled(known, self.context, self.work), self.context)

    def _line(self, p: Polynomial, rule: str) -> Line:
        form = matrix_form(p, self.scene)
        return Line(p if form is None else form, rule)

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

    def _chain_rule(self, target: Entry, readers: tuple[Equation, ...]) -> list[Line]:
        """The derivative in the gradients of its readers, then with those put in that are not stated."""
        book = self.knowledge.book
        kept, ones = self._without_ones(frozenset(book.system.forward))
        present = self._derivative(target, kept)
        rules = [f"d{reader.target} = 1" for reader in readers if reader.target.name in ones]
        rules += _slopes(readers, target.name)
        lines = [self._line(present, "; ".join(["the chain rule", *rules]))]
        while True:
            unstated = sorted({key for key in _gradients_in(present, self.model) if key not in book.kept})
            if not unstated:
                return lines
            kept -= {unstated[0]}
            present = self._derivative(target, kept)
            lines.append(self._line(present, self._put_in(unstated[0], kept)))

    def _without_ones(self, kept: frozenset[Key]) -> tuple[frozenset[Key], list[str]]:
        """Without the quantities that the loss is the sum of, whose gradient is 1."""
        ones = []
        for key in sorted(kept - self.knowledge.book.kept):
            if " = 1, as " in self._put_in(key, kept) and key != self.model.quantities.loss:
                ones.append(key)
        return kept - set(ones), [name for name, _ in ones]

    def _derivative(self, target: Entry, kept: frozenset[Key]) -> Polynomial:
        return self._settled(Gradients(self.knowledge.book, kept).of(target, self.work))

    def _put_in(self, key: Key, kept: frozenset[Key]) -> str:
        """The gradient of a quantity in those of its readers, as an equation."""
        book = self.knowledge.book
        letters = book.model.quantities.axes_named(key[0]) if key[1] else ()
        times = tuple(affine(letter) for letter in letters)
        places, domain = book.places(key)
        clauses = book.system.forward[key]
        context = domain & clauses[0].domain if len(clauses) == 1 and clauses[0].indices == times else domain
        value = Gradients(book, kept).of(Entry(key[0], times, places), self.work)
        settled = self.knowledge.names.settled(without_implied(value, context), context, self.work)
        scene = replace(self.scene, context=context)
        form = matrix_form(without_implied(settled, context), scene)
        left = Ref(self.clause.equation.span, f"d{key[0]}", times[0] if times else None, times[1:])
        readers = book.readers.get(key, [])
        because = f", as {text(replace(readers[0].equation, when=()))}" if len(readers) == 1 and key[1] else ""
        return f"{left} = {text(form)}{because}" if form is not None else f"{left} put in{because}"

    def _helpers(self) -> list[str]:
        return [f"{name} put in" for name in self.stated.helpers]


def _shown(value: Expr | Polynomial) -> str:
    return text(value) if isinstance(value, Expr) else ""


def _slopes(readers: Sequence[Equation], name: str) -> list[str]:
    """The rules of the functions through which equations read a quantity."""
    found = []
    for reader in readers:
        for node in walk(reader.rhs):
            inside = isinstance(node, Call) and any(isinstance(n, Ref) and n.name == name for n in walk(node))
            if isinstance(node, Call) and inside and node.function in _SLOPES:
                found.append(_SLOPES[node.function])
    return list(dict.fromkeys(found))


_SLOPES = {
    "tanh": "tanh' = 1 - tanh**2",
    "sigmoid": "sigmoid' = sigmoid * (1 - sigmoid)",
    "relu": "relu'(x) is 1 for x > 0, else 0",
    "softplus": "softplus' = sigmoid",
    "exp": "exp' = exp",
    "log": "log'(x) = 1 / x",
    "sqrt": "sqrt'(x) = 1 / (2 * sqrt(x))",
    "sin": "sin' = cos",
    "cos": "cos' = -sin",
    "cross_entropy": "the slope of cross_entropy(v, y) is softmax(v) - y",
    "squared_error": "the slope of squared_error(v, y) is v - y",
    "norm": "the slope of norm(v) is v / norm(v)",
    "stop": "nothing flows through stop",
}


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


_FUNCTION_RULES = {
    "diag": "diag(v) @ w = v * w",
    "outer": "outer(v, w) = v @ w.T",
    "dot": "dot(v, w) = v.T @ w",
    "softmax": "softmax(v) = exp(v) / sum(exp(v))",
    "tanh'": "tanh'(x) = 1 - tanh(x)**2",
    "sigmoid'": "sigmoid'(x) = sigmoid(x) * (1 - sigmoid(x))",
}


def _rules(rhs: Expr) -> list[str]:
    """The rules of matrices that the stated form uses."""
    found = [_FUNCTION_RULES[n.function] for n in walk(rhs) if isinstance(n, Call) and n.function in _FUNCTION_RULES]
    if any(isinstance(node, Transpose) and isinstance(node.operand, Binary) for node in walk(rhs)):
        found.append("(A @ B).T = B.T @ A.T")
    return list(dict.fromkeys(found))


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


def _part_written(part: Part, proof: Proof) -> list[str]:
    entrywise = Entrywise(proof.model, part.context)
    found = []
    for at, reader in enumerate(part.readers):
        found.append(f"    {'read by' if not at else '       '}  {text(reader)}")
    said = [line.value if isinstance(line.value, Expr) else entrywise.text(line.value) for line in part.lines]
    values = [value if isinstance(value, str) else text(value) for value in said]
    width = min(max(map(len, values)), 72)
    left = f"    {part.target}"
    for at, (value, line) in enumerate(zip(values, part.lines, strict=True)):
        found.append(f"{left if not at else ' ' * len(left)} = {value.ljust(width)}   [{line.rule}]")
    places = entrywise.places(part.entry)
    if places:
        found.append(f"    at {places} both are {entrywise.text(part.entry)}")
    return found


def _conclusion(proof: Proof) -> str:
    lengths = " and ".join(f"{name} >= {proof.shortest}" for name in proof.model.lengths(1))
    told = "; ".join(said for said in proof.assumptions if ">=" not in said)
    return f"for {lengths} and every size{', where ' + told if told else ''}  ∎"


def latex(proof: Proof) -> str:
    r"""A proof in LaTeX, for a document with the package amsmath: an `align*` for each piece of the steps."""
    if not proof.proved:
        return rf"\text{{not proved: {_escaped(proof.reason)}}}"
    found = []
    for part in parts(proof):
        entrywise = Entrywise(proof.model, part.context)
        rows = []
        for line in part.lines:
            value = tex(line.value, proof.model) if isinstance(line.value, Expr) else entrywise.latex(line.value)
            rows.append(rf"&= {value} && \text{{{_escaped(line.rule)}}}")
        body = " \\\\\n  ".join(rows)
        found.append(f"\\begin{{align*}}\n  {tex(part.target, proof.model)} {body}\n\\end{{align*}}")
    return "\n".join(found)


def _escaped(told: str) -> str:
    r"""Words for `\text`: what TeX would read as a command or a script is escaped."""
    for char, instead in (
        ("\\", r"\textbackslash "),
        ("_", r"\_"),
        ("^", r"\^{}"),
        ("%", r"\%"),
        ("&", r"\&"),
        ("#", r"\#"),
    ):
        told = told.replace(char, instead)
    return told
