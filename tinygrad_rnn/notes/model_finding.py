"""The models of a document: its definitions, joined where they repeat each other, varied where they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .formula_values import letters_of
from .meaning import (
    Blocks,
    Continued,
    Derivative,
    Factors,
    FunctionOf,
    GradientName,
    Known,
    Meaning,
    Named,
    PartOf,
    Said,
    Summands,
    When,
    rebuilt,
    shifted,
    walk,
)
from .notation import Link, Notation, Page, Statement
from .smooth_functions import KNOWN
from .unrolled_model import ModelDefinition, Network

DEFINING = frozenset({"=", ":=", "\\equiv", "\\triangleq", "\\coloneqq", "\\doteq", "≡", "\\stackrel{def}{=}"})
LOSS_NAMES = frozenset(["L", "ell", "l", "J", "E", "loss", "Loss", "cost", "Cost", "Err", "mathcalL"])


@dataclass
class Side:
    """One side of a statement: its notation, its meaning or why it has none."""

    notation: Notation
    meaning: Meaning | None
    why: str = ""


@dataclass
class Sentence:
    """A statement with its meaning: sides, links, where it stands and under which heading.

    `place` counts sentences from 0; `row` is the character where its line and column are counted from; `before` is the
    sentence it continues.
    """

    page: Page
    statement: Statement
    heading: int
    place: int
    row: int
    sides: list[Side]
    links: tuple[Link, ...]
    before: Sentence | None = None
    words: str = ""
    numbers: list[int] = field(default_factory=list)


def is_plain(node: Meaning) -> bool:
    """Whether a tree speaks of values only: no derivative, no gradient's name, no words or dots."""
    return not any(isinstance(part, (Derivative, GradientName, Said, Continued)) for part in walk(node))


def names_in(node: Meaning) -> Iterator[Named]:
    """The names in a tree."""
    return (part for part in walk(node) if isinstance(part, Named))


class ModelFinder:
    """Reads definitions off sentences in their order and groups them into networks."""

    def __init__(self, sentences: list[Sentence], time: str) -> None:
        self.sentences, self.time = sentences, time
        self.networks: list[Network] = [Network("model", 0, {}, time)]
        self.opened = -1
        self.defining: set[int] = set()
        self.late: list[tuple[int, ModelDefinition]] = []
        self.timed = {
            n.key
            for s in sentences
            for side in s.sides
            if side.meaning
            for n in names_in(side.meaning)
            if n.when is not None
        }
        self.overwritten: set[int] = set()
        self.headings: dict[tuple[str, bool], int] = {}
        self.functions: dict[str, str] = {}

    def find(self) -> list[Network]:
        """The networks, in the order of the text. `defining` then holds the sentences that define something."""
        for sentence in self.sentences:
            self._sentence(sentence)
        for _at, definition in self.late:
            for network in self.networks:
                if (definition.key, definition.timed) not in network.definitions:
                    network.definitions[definition.key, definition.timed] = definition
        loss, losses = self._losses()
        numbers = frozenset(self._numbers())
        for network in self.networks:
            network.loss, network.losses, network.numbers = loss, frozenset(losses), numbers
            self._complete(network)
        return self.networks

    # -- definitions --------------------------------------------------------------------------------------------------
    def _sentence(self, sentence: Sentence) -> None:
        if not sentence.sides or sentence.before is not None:
            return
        left = sentence.sides[0].meaning
        if left is None or not sentence.links or sentence.links[0].sign not in DEFINING:
            return
        bodies = [side.meaning for side in sentence.sides[1:] if side.meaning is not None and is_plain(side.meaning)]
        bodies += [
            side.meaning
            for later in self._continuing(sentence)
            for side in later.sides
            if side.meaning is not None and is_plain(side.meaning)
        ]
        bodies = [body for body in bodies if any(names_in(body))]
        if not bodies:
            return
        if isinstance(left, FunctionOf) and left.function not in KNOWN and not left.slopes and left.arguments:
            self.functions[left.function] = left.function
            left = Named(left.function)
        if not isinstance(left, Named) or any(isinstance(i, int) for i in left.index):
            return
        self.defining.add(sentence.place)
        stack = next((b for b in bodies if self._is_stack(b)), None)
        if stack is not None and len(bodies) > 1 and not self._is_stack(bodies[-1]):
            self._stacked(left, stack, bodies, sentence)
            return
        self._define(left, bodies[0], sentence)
        for other in bodies[1:]:
            self._match(bodies[0], other, sentence)

    def _continuing(self, sentence: Sentence) -> list[Sentence]:
        later: list[Sentence] = []
        for other in self.sentences[sentence.place + 1 : sentence.place + 6]:
            if other.before is sentence or (later and other.before is later[-1]):
                later.append(other)
        return later

    def _is_stack(self, body: Meaning) -> bool:
        return (
            isinstance(body, Blocks)
            and len(body.rows) > 1
            and all(len(row) == 1 and isinstance(row[0], Named) and row[0].when is not None for row in body.rows)
        )

    def _stacked(self, left: Named, stack: Meaning, bodies: list[Meaning], sentence: Sentence) -> None:
        """A name for names on top of each other which is also a product: they become its parts."""
        assert isinstance(stack, Blocks)
        parts = tuple(row[0] for row in stack.rows)
        assert all(isinstance(part, Named) for part in parts)
        self._define(left, bodies[-1], sentence)
        for other in bodies[:-1]:
            if other is not stack:
                self._match(bodies[-1], other, sentence)
        for number, part in enumerate(parts):
            assert isinstance(part, Named)
            self._define(part, PartOf(left, number, parts), sentence, replacing=True)  # type: ignore[arg-type]

    def _match(self, one: Meaning, other: Meaning, sentence: Sentence) -> None:
        """Two forms of one thing: where one has a name that nobody defines, the other says what it is."""
        for a, b in ((one, other), (other, one)):
            if isinstance(a, Named) and not isinstance(b, Named) and not self._known(a):
                self._define(a, b, sentence)
                return
        if isinstance(one, FunctionOf) and isinstance(other, FunctionOf) and one.function == other.function:
            for a, b in zip(one.arguments, other.arguments, strict=False):
                self._match(a, b, sentence)
        elif isinstance(one, Factors) and isinstance(other, Factors) and one.operators == other.operators:
            for a, b in zip(one.factors, other.factors, strict=True):
                self._match(a, b, sentence)
        # what is defined as another form's inside: h = s(Wx) = s(z) reads z from now on
        if (
            isinstance(one, FunctionOf)
            and isinstance(other, FunctionOf)
            and len(other.arguments) == 1
            and isinstance(other.arguments[0], Named)
        ):
            self._refine(one, other)

    def _refine(self, one: Meaning, other: Meaning) -> None:
        network = self.networks[-1]
        for slot, definition in list(network.definitions.items()):
            if definition.body == one:
                network.definitions[slot] = replace(definition, body=other)

    def _known(self, name: Named) -> bool:
        return (name.key, name.when is not None) in self.networks[-1].definitions

    def _define(self, left: Named, body: Meaning, sentence: Sentence, replacing: bool = False) -> None:
        definition = self._normal(left, body, sentence.place)
        if definition is None:
            return
        if left.when is not None and not left.when.terms:
            self.late.append((sentence.place, definition))
            return
        network = self.networks[-1]
        slot = (definition.key, definition.timed)
        if not replacing and any(
            n.key == definition.key and (n.when or When()) == (When(((self.time, 1),)) if definition.timed else When())
            for n in names_in(definition.body)
        ):
            return
        known = network.definitions.get(slot)
        if known is None or replacing:
            twin = self._twin(definition)
            if twin is not None and not replacing:
                del network.definitions[twin]
            network.definitions[slot] = definition
            self.headings[slot] = sentence.heading
        elif known.body == definition.body:
            return
        elif self._expanded(known.body) == self._expanded(definition.body):
            if len(list(walk(definition.body))) < len(list(walk(known.body))) and not isinstance(known.body, PartOf):
                self.overwritten.add(definition.place)
                network.definitions[slot] = definition
        elif definition.key.split("_")[0] in LOSS_NAMES and self.headings.get(slot) == sentence.heading:
            return
        else:
            if sentence.heading != self.opened or self.headings.get(slot) == sentence.heading:
                network = self._open(sentence, definition, known)
            network.definitions[slot] = definition
            self.headings[slot] = sentence.heading

    def _open(self, sentence: Sentence, definition: ModelDefinition, known: ModelDefinition) -> Network:
        """A variant of the last network; what was defined for the new form of a name belongs to it alone.

        Where an earlier network has the same form already, the text has gone back to it.
        """
        slot = (definition.key, definition.timed)
        for earlier in self.networks[:-1]:
            if slot in earlier.definitions and self._expanded(earlier.definitions[slot].body) == self._expanded(
                definition.body
            ):
                again = Network(f"model {len(self.networks) + 1}", sentence.place, dict(earlier.definitions), self.time)
                self.networks.append(again)
                self.opened = sentence.heading
                return again
        last = self.networks[-1]
        fresh = Network(f"model {len(self.networks) + 1}", sentence.place, dict(last.definitions), self.time)
        moved = self._reads(definition.body) - self._reads(known.body) - {slot}
        for other in moved:
            below = fresh.definitions[other]
            if below.place > known.place and below.place not in self.overwritten:
                fresh.place = min(fresh.place, below.place)
                last.definitions.pop(other, None)
        self.networks.append(fresh)
        self.opened = sentence.heading
        return fresh

    def _reads(self, body: Meaning) -> set[tuple[str, bool]]:
        """The definitions of the last network that a body reads, and those they read."""
        definitions = self.networks[-1].definitions
        seen: set[tuple[str, bool]] = set()
        waiting = [body]
        while waiting:
            for name in names_in(waiting.pop()):
                slot = (name.key, name.when is not None)
                if slot in definitions and slot not in seen:
                    seen.add(slot)
                    waiting.append(definitions[slot].body)
        return seen

    def _normal(self, left: Named, body: Meaning, place: int) -> ModelDefinition | None:
        index = tuple(i for i in left.index if isinstance(i, str))
        now = When(((self.time, 1),))
        if left.when is None:
            timed = self.time in letters_of(body)[0]
            return ModelDefinition(left.key, timed, body, index, place)
        if not left.when.terms:
            offset = left.when.offset

            def moved(node: Meaning) -> Meaning | None:
                if isinstance(node, Named) and node.when is not None and not node.when.terms:
                    return replace(node, when=When(((self.time, 1),), node.when.offset - offset))
                return None

            return ModelDefinition(left.key, True, rebuilt(body, moved), index, place)
        if len(left.when.terms) != 1 or left.when.terms[0][1] != 1 or left.when.terms[0][0] == "T":
            return None
        letter = left.when.terms[0][0]
        shift = now.plus(When((), left.when.offset), -1)
        return ModelDefinition(left.key, True, shifted(body, letter, shift), index, place)

    def _expanded(self, body: Meaning, depth: int = 4) -> Meaning:
        """The body with every name of the same step that has a definition written out."""
        network = self.networks[-1]

        def written(node: Meaning) -> Meaning | None:
            if isinstance(node, Named) and node.when is not None and not node.index:
                inner = network.definitions.get((node.key, True))
                if (
                    inner is not None
                    and not inner.index
                    and depth
                    and not isinstance(inner.body, PartOf)
                    and node.when == When(((self.time, 1),))
                ):
                    return self._expanded(inner.body, depth - 1)
            return None

        return _ordered(rebuilt(body, written))

    def _twin(self, definition: ModelDefinition) -> tuple[str, bool] | None:
        """A definition of another name with the same meaning: the name was changed."""
        mine = self._expanded(definition.body)
        for slot, other in self.networks[-1].definitions.items():
            same = (
                slot[1] == definition.timed
                and definition.timed
                and isinstance(other.body, FunctionOf)
                and isinstance(definition.body, FunctionOf)
            )
            if same and self._expanded(other.body) == mine and other.body != definition.body:
                return slot
        return None

    def _numbers(self) -> Iterator[str]:
        """Names without a time that the text gives a number."""
        for sentence in self.sentences:
            for left, right in zip(sentence.sides, sentence.sides[1:], strict=False):
                known = right.meaning is not None and all(isinstance(p, (Known, Summands)) for p in walk(right.meaning))
                if known and isinstance(left.meaning, Named) and left.meaning.when is None and not left.meaning.index:
                    yield left.meaning.key

    # -- losses -------------------------------------------------------------------------------------------------------
    def _losses(self) -> tuple[str | None, set[str]]:
        votes: Counter[str] = Counter()
        losses: set[str] = set()
        for sentence in self.sentences:
            for side in sentence.sides:
                for part in walk(side.meaning) if side.meaning is not None else ():
                    if isinstance(part, Derivative) and isinstance(part.of, Named) and not part.of.index:
                        base = part.of.key.split("_")[0]
                        if (
                            part.of.when is None
                            and part.of.key
                            not in self.timed | {n for n, timed in self.networks[0].definitions if timed}
                        ) or base in LOSS_NAMES:
                            votes[part.of.key] += 1 + 10 * (part.of.when is None and base in LOSS_NAMES)
                            if part.of.when is not None or base in LOSS_NAMES:
                                losses.add(part.of.key)
                    if isinstance(part, FunctionOf) and part.function.split("_")[0] in LOSS_NAMES:
                        losses.add(part.function)
                    if (
                        isinstance(part, Named)
                        and part.key.split("_")[0] in LOSS_NAMES
                        and part.key not in ("l", "E", "C")
                    ):
                        losses.add(part.key)
        timeless = [key for key, _ in votes.most_common() if any((key, False) in n.definitions for n in self.networks)]
        named = [key for key, _ in votes.most_common()]
        loss = next(iter(timeless or named), None)
        if loss is None:
            defined = [key for n in self.networks for key, timed in n.definitions if not timed and key in losses]
            loss = next(iter(defined), None)
        if loss is not None:
            losses.add(loss)
        return loss, losses

    def _name_arguments(self, network: Network) -> None:
        """What a function is applied to, where another definition gives that a name: h = s(Wx) with z = Wx reads z."""
        named = {
            _ordered(d.body): Named(key, When(((self.time, 1),)))
            for (key, timed), d in network.definitions.items()
            if timed and not d.index and not isinstance(d.body, Named)
        }
        for slot, definition in list(network.definitions.items()):
            body = definition.body
            if slot[1] and isinstance(body, FunctionOf) and len(body.arguments) == 1:
                argument = named.get(_ordered(body.arguments[0]))
                if argument is not None and argument.key != slot[0]:
                    network.definitions[slot] = replace(definition, body=replace(body, arguments=(argument,)))

    def _complete(self, network: Network) -> None:
        """Calls of losses that the text gives one letter: `\\ell_t` for `\\ell(y_t, o_t)`."""
        calls = [
            part
            for d in network.definitions.values()
            for part in walk(d.body)
            if isinstance(part, FunctionOf) and part.function in network.losses
        ]
        for call in calls:
            times = {n.when.letters for a in call.arguments for n in names_in(a) if n.when is not None}
            if len(times) == 1:
                letter = next(iter(times))
                if len(letter) == 1 and letter[0] != "T":
                    body = shifted(call, letter[0], When(((self.time, 1),)))
                    network.definitions[call.function, True] = ModelDefinition(call.function, True, body, (), 10**6)
        self._name_arguments(network)
        for (key, timed), definition in list(network.definitions.items()):
            if (
                timed
                and isinstance(definition.body, FunctionOf)
                and len(definition.body.arguments) == 1
                and definition.body.function != "diag"
            ):
                argument = definition.body.arguments[0]
                inner = f"pre {key}"
                if (
                    not isinstance(argument, Named)
                    and key not in network.losses
                    and (inner, True) not in network.definitions
                ):
                    network.definitions[inner, True] = ModelDefinition(inner, True, argument, (), definition.place)
                    read = Named(inner, When(((self.time, 1),)), definition.index)
                    network.definitions[key, True] = replace(
                        definition, body=replace(definition.body, arguments=(read,))
                    )
                    if definition.index:
                        network.definitions[inner, True] = ModelDefinition(
                            inner, True, argument, definition.index, definition.place
                        )


def _ordered(node: Meaning) -> Meaning:
    """Sums in one order, so that a + b is b + a."""

    def change(part: Meaning) -> Meaning | None:
        if isinstance(part, Summands):
            terms = sorted(zip([_ordered(t) for t in part.terms], part.signs, strict=True), key=repr)
            return Summands(tuple(t for t, _ in terms), tuple(s for _, s in terms))
        if isinstance(part, Factors):
            return Factors(tuple(_ordered(f) for f in part.factors), ("",) * len(part.operators))
        if isinstance(part, Known):
            return part
        return None

    return rebuilt(node, change)
