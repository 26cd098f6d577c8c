"""Random programs of numpy's functions: values and gradients against torch's, nested closures and second order too."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks.soak import scripts
from benchmarks.soak.judging import Tally
from benchmarks.soak.program_drawn import Nested, Program, apply, gradient


def compare(seed: str, tally: Tally) -> None:
    """One program: value, gradients, and gradients of a gradient."""
    program = Program(seed)
    text, rng = program.text(), Random(f"ways-{seed}")
    title = f"{program.dtype}{', nested' if any(isinstance(step, Nested) for step in program.steps) else ''}"
    made = scripts.module(text)
    leaves = list(program.leaves.values())
    eps = float(np.finfo(program.dtype).eps)
    for name in program.unlike:
        tally.count("numpy and torch differ", name)
    for function, args, keywords in program.refused:
        _refuses(function, args, keywords, seed, tally)
    first = scripts.flat(_reference(program.loss, leaves, 1, ""))
    size = max([1.0, *(float(np.abs(array).max()) for array in first if array.size)])
    for order in (1, 2) if rng.random() < 0.5 else (1,):
        name = rng.choice(sorted(WAYS[order]))
        right = _reference(program.loss, leaves, order, name)

        def moved(draw: int, by: float = scripts.NOISE, order: int = order, name: str = name) -> Any:
            noisy_leaves, noisy_loss = program.noisy(draw, by)
            return _reference(noisy_loss, list(noisy_leaves.values()), order, name)

        try:
            got = WAYS[order][name](made.f, list(program.inputs.values()))
        except tg.TinygradError as error:
            tally.count(title, "refused")
            tally.count(f"refused: {scripts.reason(error)}", "refused")
            tally.note("refused", seed, str(error), text)
            return
        except Exception as error:
            if re.match(
                "'(float|numpy.float64|numpy.float32)' object", str(error)
            ):  # what depends on nothing is a plain number, without methods
                tally.count(title, "a plain number")
                return
            tally.count(title, "RAISES")
            tally.find(f"order {order} raises", seed, f"{name}: {type(error).__name__}: {error}", text)
            return
        said = scripts.verdict(got, right, moved, eps, size)
        if said is None and order == 1:
            said = _dtypes(got, program.inputs)
        if said == "ill":
            tally.count(title, f"order {order} ill")
        elif said and scripts.excused(got, moved, moved(0), eps, size):
            tally.count(title, f"order {order}: torch rounds")
        elif said:
            tally.count(title, "DISAGREE")
            tally.find(f"order {order} is wrong", seed, f"{name}: {said}", text)
            return
        else:
            tally.count(title, f"order {order} agrees")


def _dtypes(got: Any, inputs: dict[str, np.ndarray]) -> str | None:
    for found, (name, value) in zip(got[1], inputs.items(), strict=True):
        if np.asarray(found).dtype != value.dtype:
            return f"gradient of {name} is {np.asarray(found).dtype} in place of {value.dtype}"
    return None


def _refuses(function: Any, args: Any, keywords: Any, seed: str, tally: Tally) -> None:
    """What numpy refuses is to be refused of Tensors as well."""
    given = _tensors(args)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            apply(function.name, given, keywords)
    except tg.NotDifferentiableError:
        return
    except RecursionError:
        tally.find("recursion", seed, f"{function.name} {args} {keywords}", "")
    except Exception:
        tally.count("numpy refuses", "refused too")
    else:
        tally.count("numpy refuses", "ACCEPTED")
        tally.find("numpy refuses", seed, f"{function.name} {[np.shape(a) for a in args]} {args} {keywords}"[:400], "")


def _tensors(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_tensors(part) for part in value)
    if isinstance(value, (np.ndarray, np.floating)) and np.asarray(value).dtype.kind == "f":
        return tg.tensor(value)
    return value


def _reference(loss: Any, leaves: list[Any], order: int, way: str) -> Any:
    first = [gradient(loss, leaf) for leaf in leaves]
    if order == 1:
        return [loss.item(), [gradient.numpy(force=True) for gradient in first]]
    if way == "hvp":
        second = [gradient((first[0] * _direction(leaves[0])).sum(), leaves[0])]
    else:
        total = sum((g * _direction(g)).sum() for g in first)
        second = [gradient(total, leaf) for leaf in leaves]
    return [gradient.numpy(force=True) for gradient in second]


def _direction(like: Any) -> Any:
    import torch

    return torch.from_numpy(np.sin(1.0 + np.arange(like.numel())).reshape(tuple(like.shape)))


def _sines(like: Any) -> np.ndarray:
    value = np.asarray(like.value if isinstance(like, tg.Tensor) else like)
    return np.sin(1.0 + np.arange(value.size)).reshape(value.shape).astype(value.dtype)


def _by_value_and_grad(f: Any, inputs: list[Any]) -> Any:
    value, gradients = tg.value_and_grad(f, argnums=tuple(range(len(inputs))))(*inputs)
    return [value, list(gradients)]


def _by_backward(f: Any, inputs: list[Any]) -> Any:
    leaves = [tg.tensor(value) for value in inputs]
    loss = f(*leaves)
    if not (isinstance(loss, tg.Tensor) and loss.requires_grad):
        return [_number(loss), [np.zeros_like(value) for value in inputs]]
    loss.backward()
    zeros = [np.zeros_like(value) for value in inputs]
    return [loss.item(), [z if leaf.grad is None else leaf.grad for leaf, z in zip(leaves, zeros, strict=True)]]


def _by_gradients(f: Any, inputs: list[Any]) -> Any:
    leaves = [tg.tensor(value) for value in inputs]
    loss = f(*leaves)
    if not isinstance(loss, tg.Tensor):
        return [_number(loss), [np.zeros_like(value) for value in inputs]]
    return [loss.item(), list(tg.gradients(loss, leaves))]


def _number(loss: Any) -> float:
    return float(loss.value) if isinstance(loss, tg.Tensor) else float(loss)


def _directional(f: Any, inputs: list[Any]) -> Any:
    argnums = tuple(range(len(inputs)))

    def along(*args: Any) -> Any:
        gradients = tg.grad(f, argnums=argnums)(*args)
        return sum(np.sum(g * _sines(g)) for g in gradients)

    return list(tg.grad(along, argnums=argnums)(*inputs))


def _twice_recorded(f: Any, inputs: list[Any]) -> Any:
    leaves = [tg.tensor(value) for value in inputs]
    loss = f(*leaves)
    if not isinstance(loss, tg.Tensor):
        return [np.zeros_like(value) for value in inputs]
    gradients = tg.gradients(loss, leaves, create_graph=True)
    total = sum(np.sum(g * _sines(g)) for g in gradients)
    return list(tg.gradients(total, leaves)) if isinstance(total, tg.Tensor) else [np.zeros_like(v) for v in inputs]


def _hvp(f: Any, inputs: list[Any]) -> Any:
    return [tg.hvp(lambda x: f(x, *inputs[1:]), inputs[0], _sines(inputs[0]))]


WAYS: dict[int, dict[str, Callable[[Any, list[Any]], Any]]] = {
    1: {"value_and_grad": _by_value_and_grad, "backward": _by_backward, "gradients": _by_gradients},
    2: {"grad of grad": _directional, "create_graph": _twice_recorded, "hvp": _hvp},
}
