"""A random program of numpy's functions, drawn while numpy and torch run it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks.soak import program_table, program_text, scripts
from benchmarks.soak.program_draws import Draw, Nothing, Ref

LARGEST, MOST = 30.0, 120
KINDS = ("grad", "grad", "grad", "value_and_grad", "keyword", "hvp", "hessian", "jacobian", "jvp", "vjp")


@dataclass
class Call:
    """`target = name(*args, **keywords)`."""

    target: str
    function: program_table.Function
    args: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass
class Nested:
    """`target` is a derivative of an inner function of `parameters`; `body` is it, `result` what it returns."""

    target: str
    kind: str
    parameters: tuple[str, ...]
    args: tuple[Any, ...]
    body: list[Any] = field(default_factory=list)
    result: str = ""


class Program:
    """Drawn while it is run by numpy and by torch; `leaves` are torch's, `loss` is its result there."""

    def __init__(self, seed: str, table: list[program_table.Function] | None = None):
        import torch

        rng = self.rng = Random(f"program-{seed}")
        self.seed, self.table, self.numbers = seed, table or program_table.functions(), 0
        self.dtype = np.dtype(rng.choice(("float64", "float64", "float64", "float32")))
        self.unlike: list[str] = []
        self.refused: list[tuple[program_table.Function, tuple[Any, ...], dict[str, Any]]] = []
        self.shapes = [self._shape() for _ in range(rng.choice((1, 2, 2, 3)))]
        inputs = program_text.inputs(seed, self.shapes, self.dtype)
        self.inputs = {f"x{number}": value for number, value in enumerate(inputs)}
        self.leaves = {n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in self.inputs.items()}
        values, theirs = dict(self.inputs), dict(self.leaves)
        self.steps = self._body(values, theirs, rng.choice((1, 2, 3, 5, 8)), 2)
        chosen = [name for name in values if name not in self.inputs] or list(self.inputs)
        self.results = tuple({chosen[-1], *rng.sample(chosen, min(len(chosen), rng.choice((0, 1, 2))))})
        self.loss = sum(weighted(theirs[name]) for name in sorted(self.results))

    def noisy(self, seed: int = 0, size: float = scripts.NOISE) -> tuple[dict[str, Any], Any]:
        """Leaves and loss with relative noise of this size on every input and every result of a call."""
        import torch

        noise = np.random.default_rng(seed)

        def disturb(value: Any) -> Any:
            shape = tuple(value.shape)
            return value * torch.from_numpy(np.asarray(1.0 + size * noise.uniform(-1.0, 1.0, shape)))

        values = {n: disturb(v.detach()).requires_grad_() for n, v in self.leaves.items()}
        leaves = dict(values)
        for step in self.steps:
            values[step.target] = disturb(_torch_step(step, values, disturb))
        return leaves, sum(weighted(values[name]) for name in sorted(self.results))

    def text(self) -> str:
        return program_text.program(self)

    # -- drawing ------------------------------------------------------------------------------------------------------
    def _shape(self) -> tuple[int, ...]:
        rng = self.rng
        if rng.random() < 0.3:
            return rng.choice(((3, 3), (2, 2), (2, 3, 3), (2, 3), (3,)))
        lengths = (1, 2, 3, 1, 2, 3, 4, 0) if rng.random() < 0.3 else (1, 2, 3)
        return tuple(rng.choice(lengths) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))

    def _fresh(self, stem: str) -> str:
        self.numbers += 1
        return f"{stem}{self.numbers}"

    def _body(self, values: dict[str, Any], theirs: dict[str, Any], count: int, depth: int) -> list[Any]:
        steps: list[Any] = []
        for _ in range(count):
            nested = depth and self.rng.random() < 0.15
            for _ in range(6):
                before = len(steps)
                try:
                    if nested:
                        self._nested(values, theirs, steps, depth)
                    else:
                        self._call(values, theirs, steps)
                    break
                except Nothing:
                    for step in steps[before:]:
                        del values[step.target], theirs[step.target]
                    del steps[before:]
        return steps

    def _call(self, values: dict[str, Any], theirs: dict[str, Any], steps: list[Any]) -> None:
        function = self.rng.choice(self.table)

        def emit(name: str, args: tuple[Any, ...]) -> Ref:
            plain = next(f for f in program_table.functions() if f.name == name)
            return self._add(plain, args, {}, values, theirs, steps)

        args, keywords = function.draw(Draw(self.rng, values, emit))
        self._add(function, args, keywords, values, theirs, steps)

    def _add(self, function: Any, args: Any, keywords: Any, values: Any, theirs: Any, steps: list[Any]) -> Ref:
        """The call, if numpy takes it and what it gives is fit to go on with."""
        import torch

        step = Call(self._fresh("v"), function, args, keywords)
        reads = [values[ref.name] for ref in _refs((args, keywords))]
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error")
                value = None if function.name.startswith("tg.") else _numpy_step(step, values)
        except (ValueError, IndexError, TypeError, np.linalg.LinAlgError, RuntimeWarning, DeprecationWarning) as error:
            if not isinstance(error, Warning):
                self.refused.append((function, _filled(args, values), keywords))
            raise Nothing from error
        theirs_value = _torch_step(step, theirs)
        if value is None:
            value = theirs_value.numpy(force=True).astype(np.result_type(*reads))
        value = np.asarray(value)
        if value.dtype.kind != "f" or value.size > MOST or not np.abs(value).max(initial=0.0) <= LARGEST:
            raise Nothing
        if not torch.isfinite(theirs_value).all():
            raise Nothing
        right = theirs_value.numpy(force=True)
        if right.shape != value.shape or not np.allclose(value, right, rtol=1e-4, atol=1e-4):
            self.unlike.append(step.function.name)  # such as the sign of what cancels to rounding
            raise Nothing
        values[step.target], theirs[step.target] = value, theirs_value
        steps.append(step)
        return Ref(step.target)

    def _nested(self, values: dict[str, Any], theirs: dict[str, Any], steps: list[Any], depth: int) -> None:
        rng, kind = self.rng, self.rng.choice(KINDS)
        least = 1 if kind in ("hessian", "jacobian") else 0
        draw = Draw(rng, values, None)
        point = draw.any(lambda v: v.size <= (6 if least else 30) and v.ndim <= (2 if least else 4))
        args: list[Any] = [point]
        if kind in ("hvp", "jvp"):
            args.append(draw.like(point))
        if kind == "keyword":
            args.append(draw.any())
        if rng.random() < 0.4:  # a number or an array that depends on nothing; the inner function still may
            args[0] = np.asarray(np.round(values[point.name] + 0.37, 2), dtype=self.dtype)
        parameters = [self._fresh("y"), *([self._fresh("k")] if kind == "keyword" else [])]
        step = Nested(self._fresh("v"), kind, tuple(parameters), tuple(args))
        inside, theirs_inside = dict(values), dict(theirs)
        for name, arg in zip(parameters, args, strict=False):
            inside[name], theirs_inside[name] = _filled(arg, values), _variable(_filled(arg, theirs))
        known = set(inside)
        step.body = self._body(inside, theirs_inside, rng.choice((1, 2, 3)), depth - 1)
        step.result = rng.choice([name for name in inside if name not in known][-2:] or parameters[:1])
        if kind == "jacobian" and inside[step.result].size * values[point.name].size > MOST:
            raise Nothing
        result = _torch_step(step, theirs)
        value = result.numpy(force=True).astype(values[point.name].dtype)
        if not np.abs(value).max(initial=0.0) <= LARGEST:
            raise Nothing
        values[step.target], theirs[step.target] = value, result
        steps.append(step)


# -- running ----------------------------------------------------------------------------------------------------------
def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, dict):
        yield from _refs(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _refs(part)


def _filled(value: Any, values: dict[str, Any]) -> Any:
    """The arguments with values in place of names."""
    if isinstance(value, Ref):
        return values[value.name]
    if isinstance(value, dict):
        return {key: _filled(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, values) for part in value]
    if isinstance(value, tuple):
        return tuple(_filled(part, values) for part in value)
    return value


def apply(name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """The function `name` of arrays or of Tensors."""
    keywords = dict(keywords)
    number = keywords.pop("[]", None)
    if name == "[]":
        return args[0][args[1]]
    if name in program_table.OPERATORS:
        return program_table.OPERATORS[name](*args)
    if name in (".T", ".mT"):
        return getattr(args[0], name[1:])
    if name.startswith("."):
        return getattr(args[0], name[1:])(*args[1:], **keywords)
    function: Callable[..., Any] = getattr(tg, name[3:]) if name.startswith("tg.") else program_table.own(name)
    made = function(*args, **keywords)
    if name == "np.linalg.slogdet":
        return made[1]
    return made if number is None else made[number]


def _numpy_step(step: Call, values: dict[str, Any]) -> Any:
    return apply(step.function.name, _filled(step.args, values), step.keywords)


def _torch_step(step: Any, values: dict[str, Any], disturb: Callable[[Any], Any] = lambda value: value) -> Any:
    if isinstance(step, Call):
        given = step.keywords
        made = step.function.torch(*_filled(step.args, values), **given)
        return made
    return _torch_nested(step, values, disturb)


def _tensor(value: Any) -> Any:
    import torch

    return torch.from_numpy(value.astype(np.float64)) if isinstance(value, np.ndarray) else value


def _variable(value: Any) -> Any:
    """A new variable of this value, through which its own gradient still flows."""
    value = _tensor(value)
    return value * 1.0 if value.requires_grad else value.detach().clone().requires_grad_()


def gradient(output: Any, at: Any, seed: Any = None) -> Any:
    import torch

    if not output.requires_grad:
        return torch.zeros_like(at)
    (found,) = torch.autograd.grad(output, at, seed, create_graph=True, allow_unused=True)
    return torch.zeros_like(at) if found is None else found


def weighted(value: Any) -> Any:
    import torch

    return (value * torch.from_numpy(program_text.weights(np.zeros(tuple(value.shape))))).sum()


def _torch_nested(step: Nested, values: dict[str, Any], disturb: Callable[[Any], Any]) -> Any:
    import torch

    inside = dict(values)
    for name, arg in zip(step.parameters, step.args, strict=False):
        inside[name] = _variable(disturb(_tensor(_filled(arg, values))))
    at = inside[step.parameters[0]]
    for inner in step.body:
        inside[inner.target] = disturb(_torch_step(inner, inside, disturb))
    result = inside[step.result]
    if step.kind in ("grad", "value_and_grad", "keyword"):
        return gradient(weighted(result), at)
    if step.kind == "hvp":
        return gradient((gradient(weighted(result), at) * values[step.args[1].name]).sum(), at)
    if step.kind == "vjp":
        return gradient(result, at, result)
    if step.kind == "jvp":
        probe = torch.zeros_like(result).requires_grad_()
        pulled = gradient(result, at, probe)
        return gradient((pulled * values[step.args[1].name]).sum(), probe)
    output = gradient(weighted(result), at) if step.kind == "hessian" else result
    rows = [gradient(entry, at) for entry in output.reshape(-1)]
    shape = (*output.shape, *at.shape)
    return torch.stack(rows).reshape(shape) if rows else torch.zeros(shape, dtype=torch.float64)
