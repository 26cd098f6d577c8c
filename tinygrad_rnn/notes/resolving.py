"""From what a page shows to what it means: where time stands, which scripts belong to a name, what is a call.

`DocumentVocabulary` is what the document as a whole says about its names; `NotationResolver` reads one formula with
it. Nothing is evaluated here, and no sign of multiplication is interpreted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction

from .meaning import (
    Accumulated,
    Blocks,
    Continued,
    Derivative,
    EntryOf,
    Factors,
    FunctionOf,
    GradientName,
    Incomprehensible,
    Known,
    Length,
    Meaning,
    Named,
    Power,
    Quotient,
    Said,
    StepNumber,
    Summands,
    Transposed,
    When,
)
from .notation import (
    Added,
    Array,
    BigOperator,
    Braced,
    Brackets,
    Differentiation,
    Ellipsis,
    Letters,
    Multiplied,
    Notation,
    Numeral,
    Over,
    Related,
    Slicing,
    WithScripts,
    Words,
)

#: functions that mean the same in every document
FUNCTIONS = frozenset(
    [
        "tanh",
        "sin",
        "cos",
        "tan",
        "exp",
        "log",
        "ln",
        "sqrt",
        "sigmoid",
        "softmax",
        "relu",
        "diag",
        "ReLU",
        "Diag",
        "softplus",
        "logistic",
        "sech",
        "cosh",
        "sinh",
        "Sigmoid",
        "Softmax",
        "Tanh",
        "lg",
        "sign",
    ]
)
_SAME = {"ln": "log", "Diag": "diag", "ReLU": "relu", "logistic": "sigmoid", "Sigmoid": "sigmoid", "Softmax": "softmax"}
_SAME |= {"sigm": "sigmoid", "logsig": "sigmoid", "expit": "sigmoid", "sgm": "sigmoid", "Softmax": "softmax"}
_SAME |= {"Tanh": "tanh", "lg": "log", "SoftMax": "softmax"}
#: letters that are functions where something in brackets follows and no quantity has the name
_FUNCTION_LETTERS = frozenset(
    ["f", "g", "phi", "varphi", "psi", "sigma", "theta", "F", "G", "Theta", "Phi", "rho", "varsigma"]
)
_STEP_WORDS = {"prev": -1, "next": 0, "previous": -1}
_LOSS_LETTERS = frozenset(["L", "ell", "l", "E", "J", "C", "loss", "Loss", "cost", "Cost", "calL", "mathcalL", "Err"])
_PREFIXES = ("delta", "d", "partial", "Delta", "nabla")
_TRANSPOSE = frozenset({"T", "top", "intercal", "mathsf", "prime"})
TIME = "t"


def parts_of(node: object) -> Iterator[Notation]:
    """A tree of notation and everything in it."""
    if isinstance(node, Notation):
        yield node
        for part in fields(node):
            if part.name != "extent":
                yield from parts_of(getattr(node, part.name))
    elif isinstance(node, tuple):
        for item in node:
            yield from parts_of(item)


@dataclass
class DocumentVocabulary:
    """What the whole document says about its names.

    `time` is the letter of the steps, `last` the letters of the last one, `timed` the names that have a time,
    `defined` those the document gives an expression for, `entries` the letters that number entries, `prefixes` the
    letters that make a gradient of the name behind them.
    """

    time: str = TIME
    last: set[str] = field(default_factory=lambda: {"T"})
    timed: Counter[str] = field(default_factory=Counter)
    defined: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    layered: set[str] = field(default_factory=set)
    places: Counter[str] = field(default_factory=Counter)
    called: set[str] = field(default_factory=set)
    losses: set[str] = field(default_factory=set)
    prefixes: set[str] = field(default_factory=set)
    gradients: set[str] = field(default_factory=set)
    final: int | None = None
    bare: set[str] = field(default_factory=set)

    def upper_is_time(self, base: str) -> bool:
        """Whether a name has its time above."""
        return self.places["^", base] > self.places["_", base]  # type: ignore[index]


def spelled(letters: Letters) -> str:
    """The name of a letter with its accents, without scripts: `h~` for a tilde."""
    marks = {"tilde": "~", "widetilde": "~", "hat": "^", "widehat": "^", "bar": "-", "overline": "-"}
    ignored = {"mathbf", "vec", "boldsymbol", "bm", "mathrm", "underline"}
    return letters.name + "".join(marks.get(accent, accent) for accent in letters.accents if accent not in ignored)


def _flat(scripts: Iterable[Notation]) -> list[Notation]:
    """Script parts in a flat list: brackets without meaning of their own and products of letters are taken apart."""
    flat: list[Notation] = []
    for part in scripts:
        if isinstance(part, Multiplied) and all(not operator for operator in part.operators):
            flat += _flat(part.factors)
        elif isinstance(part, Brackets) and part.opening in ("", "{"):
            flat += _flat(part.parts)
        elif isinstance(part, Braced):
            flat += _flat((part.body,))
        elif isinstance(part, tuple):
            flat += _flat(part)
        else:
            flat.append(part)
    return flat


class Survey:
    """One walk over a document's trees that fills a `DocumentVocabulary`."""

    def __init__(self, trees: Iterable[Notation]) -> None:
        self.trees = list(trees)
        self.words = DocumentVocabulary()

    def vocabulary(self) -> DocumentVocabulary:
        """The vocabulary of these trees."""
        self._time_letter()
        for tree in self.trees:
            for node in parts_of(tree):
                if isinstance(node, BigOperator):
                    self._limits(node)
        for tree in self.trees:
            for node in parts_of(tree):
                if isinstance(node, Letters):
                    self._scripts(node)
                elif isinstance(node, Multiplied):
                    self._calls(node)
        return self.words

    def _time_letter(self) -> None:
        votes: Counter[str] = Counter()
        for tree in self.trees:
            for node in parts_of(tree):
                if isinstance(node, Letters):
                    for script in (*node.lower, *node.upper):
                        for part in parts_of(script):
                            if isinstance(part, Added) and len(part.terms) == 2 and isinstance(part.terms[1], Numeral):
                                first = part.terms[0]
                                if isinstance(first, Letters) and len(first.name) == 1 and not first.run:
                                    votes[first.name] += 1
        if votes and "t" not in votes:
            self.words.time = votes.most_common(1)[0][0]

    def _limits(self, node: BigOperator) -> None:
        if not isinstance(node.lower, Related) or not isinstance(node.lower.sides[0], Letters):
            return
        letter = node.lower.sides[0].name
        if letter == self.words.time:
            if isinstance(node.upper, Letters):
                self.words.last.add(spelled(node.upper))
            elif isinstance(node.upper, Numeral) and node.upper.value.denominator == 1:
                self.words.final = max(self.words.final or 0, int(node.upper.value))

    def _scripts(self, node: Letters) -> None:
        base = spelled(node)
        if node.run and not node.upright and len(node.name) == 2:
            base = node.name[1]  # scripts stand at the last letter of W x, d c
        scripted = _flat((*node.lower, *node.upper))
        if scripted and all(self._timely(part) for part in scripted):
            self.words.bare.add(base)
        for place, scripts in (("_", node.lower), ("^", node.upper)):
            for part in _flat(scripts):
                if self._timely(part) and not (place == "^" and _is_exponent(base, part)):
                    self.words.timed[base] += 1
                    self.words.places[place, base] += 1  # type: ignore[index]
                    self.words.places[place] += 1
                elif place == "^" and isinstance(part, Numeral) and part.value == 1:
                    self.words.layered.add(base)  # nobody writes a first power

    def _timely(self, part: Notation) -> bool:
        if isinstance(part, Letters):
            return (
                part.name == self.words.time
                or part.name in _STEP_WORDS
                or (part.name.endswith(self.words.time) and part.run and len(part.name) <= 3)
            )
        if isinstance(part, Added):
            return any(isinstance(term, Letters) and term.name == self.words.time for term in part.terms)
        if isinstance(part, Brackets) and part.opening in ("(", "<") and len(part.parts) == 1:
            return self._timely(part.parts[0])
        return False

    def _calls(self, node: Multiplied) -> None:
        for head, operator, tail in zip(node.factors, node.operators, node.factors[1:], strict=False):
            if operator == "" and isinstance(head, Letters) and isinstance(tail, Brackets) and tail.opening == "(":
                known = head.name in FUNCTIONS or head.name in _FUNCTION_LETTERS
                if len(tail.parts) > 1 or known or head.primes:
                    self.words.called.add(spelled(head))


@dataclass(frozen=True)
class BoundLetters:
    """Letters bound around a part of a formula: those that are times and those that number entries."""

    times: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()


class NotationResolver:
    """Reads trees of notation with the vocabulary of their document."""

    def __init__(self, words: DocumentVocabulary) -> None:
        self.words = words
        self.bound: BoundLetters = BoundLetters()
        self.labels_only = False

    # -- times --------------------------------------------------------------------------------------------------------
    def time_of(self, part: Notation, free: bool = False) -> When | None:
        """The time a script shows, None if it shows none; `free` lets any single letter be one."""
        if isinstance(part, Brackets) and part.opening in ("(", "<") and len(part.parts) == 1:
            return self.time_of(part.parts[0], free)
        if isinstance(part, Numeral) and part.value.denominator == 1:
            return When((), int(part.value)) if free else None
        if isinstance(part, Letters):
            if part.lower or part.upper or part.accents or part.primes:
                return None
            if part.name in _STEP_WORDS and (part.run or part.upright or len(part.name) > 1):
                return When(((self.words.time, 1),), _STEP_WORDS[part.name])
            if part.name == self.words.time or part.name in self.bound.times:
                return When(((part.name, 1),))
            if part.name in self.words.last:
                return When((("T", 1),))
            if free and len(part.name) == 1 and not part.upright and part.name.islower():
                return When(((part.name, 1),))
            return None
        if isinstance(part, Added):
            total = When()
            certain = any(self.time_of(term) is not None for term in part.terms) or free
            if not certain:
                return None
            for term, sign in zip(part.terms, part.signs, strict=True):
                if isinstance(term, Numeral) and term.value.denominator == 1:
                    when: When | None = When((), int(term.value))
                else:
                    when = self.time_of(term, free=True)
                if when is None:
                    return None
                total = total.plus(when, -1 if sign == "-" else 1)
            return total
        return None

    # -- formulas -----------------------------------------------------------------------------------------------------
    def read(self, node: Notation | None) -> Meaning:
        """What a formula means. Raises `Incomprehensible` where nobody can say."""
        if node is None:
            raise Incomprehensible("a side is missing")
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise Incomprehensible(f"{type(node).__name__} has no meaning here")
        meaning: Meaning = method(node)
        return meaning

    def _numeral(self, node: Numeral) -> Meaning:
        exact = "." not in node.text
        return Known(node.value, None if exact else len(node.text.split(".")[1]))

    def _words(self, node: Words) -> Meaning:
        return Said(node.text)

    def _ellipsis(self, node: Ellipsis) -> Meaning:
        return Continued()

    def _braced(self, node: Braced) -> Meaning:
        return self.read(node.body)

    def _slicing(self, node: Slicing) -> Meaning:
        raise Incomprehensible("a slice")

    def _related(self, node: Related) -> Meaning:
        raise Incomprehensible("a relation inside a formula")

    def _over(self, node: Over) -> Meaning:
        return Quotient(self.read(node.top), self.read(node.bottom))

    def _added(self, node: Added) -> Meaning:
        return Summands(tuple(self.read(term) for term in node.terms), node.signs)

    def _array(self, node: Array) -> Meaning:
        if node.kind == "cases":
            raise Incomprehensible("cases")
        return Blocks(tuple(tuple(self.read(entry) for entry in row) for row in node.rows))

    def _brackets(self, node: Brackets) -> Meaning:
        if node.opening in ("|", "||"):
            if node.opening == "|" or len(node.parts) != 1:
                raise Incomprehensible("a modulus")
            return Length(self.read(node.parts[0]))
        if len(node.parts) == 1:
            return self.read(node.parts[0])
        if not node.parts:
            raise Incomprehensible("empty brackets")
        return Blocks(tuple((self.read(part),) for part in node.parts))

    def _differentiation(self, node: Differentiation) -> Meaning:
        if node.kind == "nabla" and not node.by and node.of is not None and node.order == 1:
            return Derivative(None, self.read(node.of), "", node.kind)
        if node.order != 1 or len(node.by) != 1:
            raise Incomprehensible("a derivative of another order than the first")
        note = " ".join(_text(part) for part in node.note)
        of = None if node.of is None else self.read(node.of)
        by = self.read(node.by[0])
        if isinstance(by, Transposed) and isinstance(by.base, Named):
            by = by.base
        return Derivative(of, by, note, node.kind)

    def _bigoperator(self, node: BigOperator) -> Meaning:
        if node.kind not in ("sum", "prod"):
            raise Incomprehensible(node.kind)
        letter, lower = self._limit(node.lower)
        before = self.bound
        over = self._runs_over(letter, lower, node)
        try:
            if over == "time":
                self.bound = BoundLetters(before.times | {letter}, before.entries - {letter})
                first = None if lower is None else self.time_of(lower, free=True)
                if node.upper is not None:
                    last = self.time_of(node.upper, free=True)
                    if isinstance(node.upper, Letters) and node.upper.name in self.words.last:
                        last = When((("T", 1),))
                else:
                    last = None
                return Accumulated(
                    node.kind, letter, over, first or When((), 1), last or When((("T", 1),)), self.read(node.body)
                )
            if over == "examples":
                return Accumulated(node.kind, letter, over, None, None, self.read(node.body))
            self.bound = BoundLetters(before.times - {letter}, before.entries | {letter})
            above = "" if node.upper is None else _text(node.upper)
            return Accumulated(node.kind, letter, over, None, None, self.read(node.body), above)
        finally:
            self.bound = before

    def _limit(self, lower: Notation | None) -> tuple[str, Notation | None]:
        if lower is None:
            return "", None
        if isinstance(lower, Related) and isinstance(lower.sides[0], Letters):
            head = lower.sides[0]
            return head.name + "'" * head.primes, lower.sides[1] if lower.relations[0] in (
                "=",
                "\\geq",
                "\\ge",
                ">=",
            ) else None
        if isinstance(lower, Letters):
            return lower.name + "'" * lower.primes, None
        return "", None

    def _runs_over(self, letter: str, lower: Notation | None, node: BigOperator) -> str:
        if letter == self.words.time:
            return "time"
        if not letter:
            raise Incomprehensible("a sum without an index")
        if len(letter.rstrip("'")) > 1 and letter.rstrip("'") not in ("tau", "iota", "phi", "omega", "gamma"):
            return "examples"
        if node.lower is not None and isinstance(node.lower, Letters):
            return "entries"
        limits = [limit for limit in (lower, node.upper) if limit is not None]
        for limit in limits:
            for part in parts_of(limit):
                if isinstance(part, Letters) and (part.name in self.bound.times or part.name == self.words.time):
                    return "time"
        if isinstance(node.upper, Letters) and node.upper.name.lower() == letter.rstrip("'").lower():
            return "entries"
        if self._in_place_of_time(letter, node.body):
            return "time"
        return "entries"

    def _in_place_of_time(self, letter: str, body: Notation) -> bool:
        for part in parts_of(body):
            if not isinstance(part, Letters) or not self.words.timed[spelled(part)]:
                continue
            for place, scripts in (("_", part.lower), ("^", part.upper)):
                flat = _flat(scripts)
                mine = any(isinstance(p, Letters) and p.name == letter for s in flat for p in parts_of(s))
                if mine and self.words.places[place, spelled(part)]:  # type: ignore[index]
                    others = [p for p in _flat((*part.lower, *part.upper)) if not _shows(p, letter)]
                    if not any(self.time_of(other) for other in others):
                        return True
        return False

    # -- names --------------------------------------------------------------------------------------------------------
    def _withscripts(self, node: WithScripts) -> Meaning:
        base = self.read(node.base)
        stacked = isinstance(base, Blocks) and isinstance(node.base, Brackets) and len(node.upper) == 1
        if stacked and isinstance(node.upper[0], Letters) and node.upper[0].name in _TRANSPOSE:
            return base  # [a, b]^T: columns on top of each other
        if node.lower:
            index = tuple(self._entry(part) for part in _flat(node.lower))
            base = _entry_of(base, index)
        return self._raised(base, node.upper)

    def _entry(self, part: Notation) -> str | int:
        if isinstance(part, Letters):
            return part.name + "'" * part.primes
        if isinstance(part, Numeral):
            return int(part.value)
        raise Incomprehensible("an index that is neither a letter nor a number")

    def _raised(self, base: Meaning, uppers: tuple[Notation, ...]) -> Meaning:
        for upper in uppers:
            if isinstance(upper, Letters) and upper.name in _TRANSPOSE and not upper.lower:
                base = Transposed(base)
            elif isinstance(upper, Numeral):
                base = Power(base, Known(upper.value))
            else:
                when = self.time_of(upper, free=True)
                if when is None:
                    raise Incomprehensible("an exponent that is no number")
                base = Power(base, Known(Fraction(when.offset))) if not when.terms else Power(base, when)
        return base

    def _letters(self, node: Letters) -> Meaning:
        if node.run and spelled(node) not in self.words.keys | self.words.timed.keys():
            taken_apart = self._run(node)
            if taken_apart is not None:
                return taken_apart
        name = spelled(node)
        if name in self.words.last and not (node.lower or node.upper) and not self.words.timed[name]:
            return StepNumber(When((("T", 1),)))
        if (node.name in FUNCTIONS and name not in self.words.timed) or (node.primes and name not in self.words.timed):
            # a function that is not applied: tanh' = 1 - tanh^2
            base: Meaning = FunctionOf(_SAME.get(name, name), (), node.primes)
            return self._raised(base, node.upper)
        if node.primes:
            raise Incomprehensible(f"a prime at {name}")
        return self.named(node)

    def _run(self, node: Letters) -> Meaning | None:
        """Letters typed without a space: a gradient's `dW`, or names side by side."""
        name = node.name
        known = {key.split("_")[0] for key in self.words.keys} | set(self.words.timed)
        for prefix in ("d",):
            if name.startswith(prefix) and len(name) > 1:
                rest = replace(node, name=name[1:], run=len(name) > 2)
                return self._gradient(rest)
        if len(name) == 2 and name[0] in known and name[1] in known:
            first = Letters(node.extent, name[0])
            last = replace(node, name=name[1], run=False)
            return Factors((self.read(first), self.read(last)), ("",))
        return None

    def _gradient(self, node: Letters) -> Meaning:
        """What a prefix d or delta makes of a name."""
        meant = self.named(node)
        transposed = isinstance(meant, Transposed)
        inner = meant.base if isinstance(meant, Transposed) else meant
        if not isinstance(inner, Named):
            raise Incomprehensible("a gradient's prefix in front of something else than a name")
        last = _flat(node.lower)[-1:]
        word = "".join(f":{part.name}" for part in last if isinstance(part, Letters) and part.name in _STEP_WORDS)
        made = GradientName(f"d {inner.key}{word}", inner.when, inner.index)
        return Transposed(made) if transposed else made

    def named(self, node: Letters) -> Meaning:
        """A letter with scripts as a quantity: its time, its label, the entry, a power or transpose around it."""
        base = spelled(node)
        labels: list[str] = []
        when: When | None = None
        entries: list[str | int] = []
        outer: list[Notation] = []
        is_timed = bool(self.words.timed[base])
        for place, scripts in (("_", node.lower), ("^", node.upper)):
            slot = self.words.places[place, base] > 0  # type: ignore[index]
            for part in _flat(scripts):
                if (
                    place == "^"
                    and isinstance(part, Letters)
                    and part.name in _TRANSPOSE
                    and not (part.lower or part.accents)
                ):
                    if part.name == "T" and slot and when is None and self.words.upper_is_time(base) and not outer:
                        outer.append(part)
                    else:
                        outer.append(part)
                    continue
                if place == "^" and _is_exponent(base, part):
                    outer.append(part)
                    continue
                time = self.time_of(part) if when is None else None
                if time is not None and (is_timed or time.letters != ("T",)):
                    when = time
                    continue
                if isinstance(part, Brackets):
                    if part.opening in ("(", "<") and when is None and len(part.parts) == 1:
                        time = self.time_of(part.parts[0], free=True)
                        if time is not None and is_timed:
                            when = time
                            continue
                    labels.append(_text(part))
                    continue
                if (
                    isinstance(part, Letters)
                    and part.run
                    and part.name.endswith(self.words.time)
                    and when is None
                    and part.name not in _STEP_WORDS
                    and len(part.name) <= 3
                    and not part.upright
                ):
                    labels.append(part.name[:-1])
                    when = When(((self.words.time, 1),))
                    continue
                if isinstance(part, Numeral) and part.value.denominator == 1:
                    if place == "^" and base not in self.words.layered:
                        outer.append(part)
                    elif place == "_" and is_timed and slot and when is None:
                        when = When((), int(part.value))
                    elif place == "_" and is_timed and when is not None and not slot:
                        entries.append(int(part.value))
                    else:
                        labels.append(part.text)
                    continue
                if isinstance(part, Letters):
                    nested = self._nested(part)
                    if nested is not None and when is None:
                        label, when = nested
                        labels.append(label)
                        continue
                    labels.append(_text(part))
                    continue
                if isinstance(part, Added):
                    time = self.time_of(part, free=True)
                    if time is not None and when is None and is_timed:
                        when = time
                        continue
                    if place == "^":
                        outer.append(part)
                        continue
                if isinstance(part, Ellipsis):
                    raise Incomprehensible("dots in a script")
                labels.append(_text(part))
        return self._settled(node, base, labels, when, entries, outer, is_timed)

    def _nested(self, part: Letters) -> tuple[str, When] | None:
        """A label that carries the time itself: `\\delta^{s_t}`."""
        for scripts in (part.lower, part.upper):
            for inner in _flat(scripts):
                time = self.time_of(inner)
                if (
                    time is None
                    and isinstance(inner, Letters)
                    and inner.run
                    and inner.name.endswith(self.words.time)
                    and len(inner.name) <= 3
                ):
                    rest = replace(part, lower=(Letters(inner.extent, inner.name[:-1]),), upper=())
                    return _text(rest), When(((self.words.time, 1),))
                if time is None and isinstance(inner, Letters):
                    deeper = self._nested(inner)
                    if deeper is not None:
                        return _text(replace(part, lower=(), upper=())) + "_" + deeper[0], deeper[1]
                if time is None and isinstance(inner, Numeral) and self.words.timed[spelled(part)]:
                    time = When((), int(inner.value))
                if time is not None:
                    kept_lower = tuple(p for p in _flat(part.lower) if p is not inner)
                    kept_upper = tuple(p for p in _flat(part.upper) if p is not inner)
                    return _text(replace(part, lower=kept_lower, upper=kept_upper)), time
        return None

    def _settled(
        self,
        node: Letters,
        base: str,
        labels: list[str],
        when: When | None,
        entries: list[str | int],
        outer: list[Notation],
        is_timed: bool,
    ) -> Meaning:
        key = "_".join((base, *labels))
        if labels and key not in self.words.defined:
            letters = [label for label in labels if not label.isdigit()]
            singles = [label for label in letters if len(label.rstrip("'")) == 1 or label in _GREEK]
            if base in _PREFIXES:
                # delta^h is the gradient of h where h is a quantity, and the h-th entry of delta where h counts
                singles = [label for label in singles if not self.words.timed[label]]
            rest = [label for label in labels if label not in singles]
            bare = "_".join((base, *rest))
            known = bare in self.words.defined or bare in self.words.bare
            if singles and when is not None and known and not self.labels_only:
                key, entries = bare, [*singles, *entries]
            elif singles and when is None and is_timed and len(singles) == 1 and (known or bare == base):
                letter = singles[0]
                slots = [
                    place
                    for place, scripts in (("_", node.lower), ("^", node.upper))
                    if any(_text(p) == letter for p in _flat(scripts))
                ]
                placed = any(self.words.places[place, base] for place in slots)  # type: ignore[index]
                if letter in self.bound.entries:
                    key, entries = bare, [letter, *entries]
                elif (
                    letter.islower()
                    and placed
                    and not (letter in self.words.defined or self.words.timed[letter] > 2)
                    and bare in self.words.defined | self.words.keys
                ):
                    key, when = bare, When(((letter, 1),))
            elif not self.labels_only and singles and all(single in self.bound.entries for single in singles):
                key, entries = bare, [*singles, *entries]
        prefix = base in _PREFIXES or key in self.words.gradients or base in self.words.gradients
        if base == "d" and not labels:
            prefix = False
        if prefix and base not in ("delta", "d", "Delta") and key not in self.words.gradients:
            prefix = base in self.words.gradients
        made: Meaning
        made = GradientName(key, when, tuple(entries)) if prefix else Named(key, when, tuple(entries))
        return self._raised(made, tuple(outer))

    # -- products and calls -------------------------------------------------------------------------------------------
    def _multiplied(self, node: Multiplied) -> Meaning:
        factors: list[Meaning] = []
        operators: list[str] = []
        position = 0
        while position < len(node.factors):
            after = node.factors[position + 1] if position + 1 < len(node.factors) else None
            if not isinstance(after, Brackets) and self._is_word(node.factors[position]):
                if operators and position == len(node.factors) - 1:
                    operators.pop()
                position += 1
                continue
            meaning, used = self._factor(node, position)
            factors.append(meaning)
            position += used
            if position < len(node.factors):
                operators.append(node.operators[position - 1])
        if not factors:
            return Said(_text(node))
        if len(factors) == 1:
            return factors[0]
        if "/" in operators:
            at = len(operators) - 1 - operators[::-1].index("/")
            top = _factors(factors[: at + 1], operators[:at])
            over: Meaning = Quotient(top, factors[at + 1])
            rest, between = factors[at + 2 :], operators[at + 1 :]
            return _factors([over, *rest], between)
        return _factors(factors, operators)

    def _is_word(self, factor: Notation) -> bool:
        """Whether a factor is a word of the sentence around a formula: `\\text{Given }`."""
        if isinstance(factor, Words):
            return True
        if (
            not isinstance(factor, Letters)
            or not factor.upright
            or len(factor.name) < 3
            or factor.lower
            or factor.upper
        ):
            return False
        return (
            factor.name not in FUNCTIONS | self.words.called
            and not self.words.timed[factor.name]
            and factor.name not in self.words.defined
            and factor.name != "prod"
            and factor.name not in _LOSS_LETTERS
        )

    def _factor(self, node: Multiplied, at: int) -> tuple[Meaning, int]:
        head = node.factors[at]
        follows = node.factors[at + 1] if at + 1 < len(node.factors) and node.operators[at] == "" else None
        if isinstance(head, Letters):
            spelled(head)
            if follows is not None and self._is_prefix(head) and isinstance(follows, Letters):
                return self._gradient(follows), 2
            name = spelled(head)
            if head.run and len(name) == 2 and name[0] == "d" and isinstance(follows, Letters) and not head.lower:
                inner = self.named(follows)
                if isinstance(inner, Named) and name[1] not in self.words.keys | self.words.timed.keys():
                    return GradientName(f"d {name[1]} {inner.key}", inner.when, inner.index), 2
            if follows is not None and self._is_call(head, follows):
                return self._call(head, node, at)
        if isinstance(head, Numeral) or not isinstance(head, Letters):
            return self.read(head), 1
        return self.read(head), 1

    def _is_prefix(self, head: Letters) -> bool:
        bare = not (head.lower or head.upper or head.accents or head.primes)
        return bare and not head.run and (head.name == "delta" or (head.name == "d" and "d" not in self.words.timed))

    def _is_call(self, head: Letters, follows: Notation) -> bool:
        name = spelled(head)
        if name in FUNCTIONS:
            return True
        if not isinstance(follows, Brackets) or follows.opening not in ("(", "["):
            return False
        if name == "prod" or name in self.words.losses:
            return True
        if head.primes or name in _SAME or (head.upright and len(name) > 1 and not self.words.timed[name]):
            return True
        if self.words.timed[name] and (head.lower or head.upper) and name not in self.words.called:
            return False
        if head.name in _LOSS_LETTERS and follows.opening == "(":
            return True
        return (
            (name in self.words.called or head.name in _FUNCTION_LETTERS)
            and follows.opening == "("
            and (name not in self.words.defined or self.words.timed[name] > 0)
        )

    def _call(self, head: Letters, node: Multiplied, at: int) -> tuple[Meaning, int]:
        follows = node.factors[at + 1]
        used = 2
        if isinstance(follows, Brackets):
            arguments = tuple(self.read(part) for part in follows.parts)
        elif isinstance(follows, WithScripts) and isinstance(follows.base, Brackets):
            arguments = tuple(self.read(part) for part in follows.base.parts)
        else:
            arguments = (self.read(follows),)
        name = _SAME.get(spelled(head), spelled(head))
        labels = [_text(part) for part in _flat(head.lower) if self.time_of(part) is None]
        lowered = [part for part in _flat(head.lower) if self.time_of(part) is not None]
        if labels and not lowered and not all(label in self.bound.entries for label in labels):
            name = "_".join((name, *labels))
        meaning: Meaning = FunctionOf(name, arguments, head.primes)
        uppers = tuple(part for part in head.upper if self.time_of(part) is None)
        meaning = self._raised(meaning, uppers)
        if isinstance(follows, WithScripts):
            if follows.lower:
                meaning = _entry_of(meaning, tuple(self._entry(part) for part in _flat(follows.lower)))
            meaning = self._raised(meaning, follows.upper)
        return meaning, used


_GREEK = frozenset(["iota", "phi", "omega", "kappa", "mu", "nu", "lambda"])


def _is_exponent(base: str, part: Notation) -> bool:
    """Whether an upper script is the exponent of a matrix: the difference of two steps, W^{t-k}."""
    letters = [term for term in part.terms if isinstance(term, Letters)] if isinstance(part, Added) else []
    return base[:1].isupper() and len(letters) > 1


def _shows(part: Notation, letter: str) -> bool:
    return any(isinstance(p, Letters) and p.name == letter for p in parts_of(part))


def _factors(factors: list[Meaning], operators: list[str]) -> Meaning:
    return factors[0] if len(factors) == 1 else Factors(tuple(factors), tuple(operators))


def _entry_of(base: Meaning, index: tuple[str | int, ...]) -> Meaning:
    if isinstance(base, (Named, GradientName)) and not base.index:
        return replace(base, index=index)
    if isinstance(base, Derivative) and isinstance(base.by, Named) and not base.by.index:
        return replace(base, by=replace(base.by, index=index))
    return EntryOf(base, index)


def _text(part: Notation) -> str:
    """A script as part of a name."""
    if isinstance(part, Letters):
        inner = [_text(p) for p in (*_flat(part.lower), *_flat(part.upper))]
        return "_".join((spelled(part) + "'" * part.primes, *inner))
    if isinstance(part, Numeral):
        return part.text
    if isinstance(part, Words):
        return part.text.strip().replace(" ", "")
    if isinstance(part, Brackets):
        return ",".join(_text(p) for p in part.parts)
    if isinstance(part, Multiplied):
        return "".join(_text(p) for p in part.factors)
    if isinstance(part, Added):
        return "".join(sign + _text(term) for sign, term in zip(part.signs, part.terms, strict=True)).removeprefix("+")
    if isinstance(part, Braced):
        return _text(part.body)
    return type(part).__name__
