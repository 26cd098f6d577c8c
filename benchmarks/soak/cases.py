"""Files to be judged, made from a seed: right ones stated otherwise, and wrong ones, with what was done to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from random import Random

from benchmarks.soak import (
    adjoint,
    models,
    slopes_and_sums,  # noqa: F401  its rules enter the table as it is imported
)
from benchmarks.soak.forms import Equation, Index, Test, walk
from benchmarks.soak.mutants import MUTATIONS, mutate
from benchmarks.soak.numeric import World
from benchmarks.soak.reading import File, Unread, read
from benchmarks.soak.restating import RESTATINGS, Restated
from benchmarks.soak.rewritings import RULES, Setting, rewrite
from benchmarks.soak.shapes import Shape, shape_of

#: lengths at which numbers say that a mutant is wrong; the last is long enough for what begins late
LENGTHS = (5, 6, 15)
#: the share of models that are shipped ones with their published derivations
SHIPPED = 0.15
WRONG_BY = 1e-6
#: rules that fit many places; all others are tried more often
COMMON = ("move a sign", "a number split", "transpose a product", "slope factored", "one step of a sum apart")
COMMON += ("a sum in two ranges", "a mean as a sum", "distribute", "reorder a sum", "reorder a product", "diag")
#: what makes room for a rule where it fits only then
BEFORE = {
    "a factor into a sum": "a factor out of a sum",
    "a sum of sums": "distribute",
    "sums joined": "a sum of sums",
    "a sum shifted": "one step of a sum apart",
    "transpose a number": "inner product as a sum",
    "slope of a called function spelled out": "slope called",
    "a forward equation taken out": "a forward equation put in",
    "factor out": "distribute",
    "regroup a product": "diag beside a matrix",
    "move a number": "a mean as a sum",
}
RARE = tuple(name for name in RULES if name not in COMMON)


@dataclass
class Case:
    """A file, the shapes of its quantities, and what was done to the equation of each line."""

    file: File
    shapes: Mapping[str, Shape]
    changes: dict[int, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.file.text()

    def line_of(self, equation: Equation) -> int:
        """Where the file has a gradient equation."""
        before = len([value for value in self.file.headers.values() if value]) + len(self.file.forward) + 1
        return before + 1 + next(at for at, e in enumerate(self.file.gradients) if e is equation)


def right(seed: str) -> Case:
    """A right derivation, most equations of which are restated by one rule."""
    rng = Random(seed)
    file, shapes = base(rng)
    setting = Setting(file, shapes, rng)
    equations, tags = list(file.gradients), {}
    for _ in range(8):
        at, name = rng.randrange(len(equations)), rng.choice(list(RESTATINGS))
        restated = _restated(equations, at, name, setting) if id(equations[at]) not in tags else None
        if restated is not None and len(tags) < 4 and _typed(restated[0], setting):
            equations = restated[0]
            tags |= {id(equations[place]): name for place in restated[1]}
    for at, equation in enumerate(equations):
        if id(equation) not in tags and _is_gradient(equation, shapes) and rng.random() < 0.7:
            changed, said = _rewritten(equation, setting)
            if said:
                equations[at] = changed
                tags[id(changed)] = said
    case = Case(file.with_gradients(equations), shapes)
    case.changes = {case.line_of(e): tags.get(id(e), "as derived") for e in equations if _is_gradient(e, shapes)}
    return case


def _restated(equations: list[Equation], at: int, name: str, setting: Setting) -> Restated | None:
    try:
        return RESTATINGS[name](equations, at, setting)
    except Unread:  # it reads a helper of another restating, whose shape is not known here
        return None


def _rewritten(equation: Equation, setting: Setting) -> tuple[Equation, str]:
    """One rule, after others where it fits only then; or three rules one after the other."""
    if setting.rng.random() < 0.15:
        rhs, done = equation.rhs, 0
        for name in setting.rng.choices(list(RULES), k=6):
            new = rewrite(rhs, name, setting)
            if new is not None and len(str(new)) < 600:
                rhs, done = new, done + 1
        return (replace(equation, rhs=rhs), "several rules") if done > 1 else (equation, "")
    rhs = equation.rhs
    for name in setting.rng.sample([*RULES, *RARE, *RARE, *RARE], k=12):
        for first in ("", BEFORE.get(name) or setting.rng.choice(list(RULES))):
            prepared = rewrite(rhs, first, setting) if first else rhs
            new = rewrite(prepared, name, setting) if prepared is not None else None
            if new is not None and len(str(new)) < 600:
                return replace(equation, rhs=new), name
    return equation, ""


def wrong(seed: str) -> Case:
    """A derivation some equations of which are wrong, as numbers confirm; `changes` has these alone."""
    rng = Random(seed)
    file, shapes = base(rng)
    setting = Setting(file, shapes, rng)
    worlds = list(_worlds(file, shapes))
    equations: list[Equation] = []
    mutants: dict[int, tuple[Equation, str]] = {}
    for equation in file.gradients:
        new, name = _mutant(equation, setting, worlds) if rng.random() < 0.5 else (None, "")
        if new is None:
            equations.append(equation)
        elif rng.random() < 0.15 and (halves := _late(equation, new, worlds)) is not None:
            equations += halves
            mutants[id(halves[0])] = halves[0], f"late: {name}"
        else:
            equations.append(new)
            mutants[id(new)] = new, name
    case = Case(file.with_gradients(equations), shapes)
    case.changes = {case.line_of(equation): name for equation, name in mutants.values()}
    return case


def _mutant(equation: Equation, setting: Setting, worlds: list[World]) -> tuple[Equation | None, str]:
    if not _is_gradient(equation, setting.shapes):
        return None, ""
    for name in setting.rng.choices(list(MUTATIONS), k=6):
        new = mutate(equation, name, setting)
        if new is not None and any(differs(equation, new, world) for world in worlds):
            return new, name
    return None, ""


def differs(equation: Equation, other: Equation, world: World) -> bool:
    """Whether the two right-hand sides differ where the first equation stands, as numbers say; not if one has none."""
    world.ready()
    found = False
    for owner, times in world.stated.values():
        if owner is equation:
            if not all(test.holds(times) for test in other.when):
                continue
            try:
                a, b = world.evaluate(equation.rhs, times), world.evaluate(other.rhs, times)
            except Unread:
                return False
            scale = max(float(abs(a).max()), float(abs(b).max()))
            found = found or (scale > 1e-9 and float(abs(a - b).max()) > WRONG_BY * scale)
    return found


def _late(equation: Equation, mutant: Equation, worlds: list[World]) -> tuple[Equation, Equation] | None:
    """Right up to step 12, or in the last nine steps, and wrong at all others."""
    running = equation.running
    if len(running) != 1 or len(equation.indices) != 1 or str(equation.indices[0]) != running[0]:
        return None
    here = Index.read(running[0])
    last = worlds[0].file.ranges[running[0]][1]
    for far, near in (
        (Test(here, ">", Index((), 12)), Test(here, "<=", Index((), 12))),
        (Test(here, "<", last.moved(-9)), Test(here, ">=", last.moved(-9))),
    ):
        wrong = replace(mutant, when=(*equation.when, far))
        if any(differs(equation, wrong, world) for world in worlds):
            return wrong, replace(equation, when=(*equation.when, near))
    return None


def base(rng: Random) -> tuple[File, Mapping[str, Shape]]:
    """A model with its right derivation: drawn, or shipped."""
    if rng.random() < SHIPPED:
        return shipped()[rng.randrange(len(shipped()))]
    while True:
        file, shapes = models.draw(rng)
        try:
            return file.with_gradients(adjoint.derive(file, shapes)), shapes
        except Unread:
            continue


@lru_cache
def shipped() -> list[tuple[File, Mapping[str, Shape]]]:
    """The shipped models that the soak's reader knows and that are not huge."""
    from tinygrad_rnn import load
    from tinygrad_rnn.models import names, resolve

    found = []
    for name in names():
        model = load(resolve(name))
        try:
            file = read(model.document.source.text)
        except Unread:
            continue
        shapes = {said.partition("[")[0]: shape for said, shape in model.shapes.items()}
        for equation in file.forward:
            for _, node in walk(equation.rhs):
                if node.op == "call" and node.data == "cross_entropy":
                    shapes[node.args[1].data[0]] = shape_of(node.args[0], shapes)
        file.headers = {key: value for key, value in file.headers.items() if key not in ("model", "source")}
        if len(file.gradients) < 40:
            found.append((file, shapes))
    return found


def _worlds(file: File, shapes: Mapping[str, Shape]) -> Iterator[World]:
    for seed, T in enumerate(LENGTHS):
        yield World(file, shapes, {name: T if name == "T" else T + 2 for name in file.lengths}, seed)


def _is_gradient(equation: Equation, shapes: Mapping[str, Shape]) -> bool:
    return equation.name.startswith("d") and equation.name[1:] in shapes


def _typed(equations: list[Equation], setting: Setting) -> bool:
    try:
        for equation in equations:
            if _is_gradient(equation, setting.shapes):
                helpers = {e.name: setting.shape(e.rhs) for e in equations if not _is_gradient(e, setting.shapes)}
                shape_of(equation.rhs, {**setting.shapes, **helpers})
    except Unread:
        return False
    return True
