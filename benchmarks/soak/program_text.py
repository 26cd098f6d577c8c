"""A random program as a short Python script."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from benchmarks.soak.program_draws import Ref

SCRIPT = '''"""Random program {seed}."""

import numpy as np

import tinygrad_rnn as tg


def weights(v):
    shape = np.shape(v)
    return np.cos(1.0 + np.arange(np.prod(shape, dtype=int))).reshape(shape).astype(getattr(v, "dtype", float))


def f({names}):
{body}
    return {result}


def inputs():
    rng = np.random.default_rng({number})
    return [np.asarray(rng.normal(size=shape), dtype=np.{dtype}) for shape in {shapes}]


if __name__ == "__main__":
    print(tg.value_and_grad(f, argnums={argnums})(*inputs()))
'''

#: kinds of derivatives whose function returns an array
OF_ARRAYS = ("jacobian", "jvp", "vjp")


def weights(v: Any) -> np.ndarray:
    """As in the scripts: so that no two entries of a result count the same."""
    return np.cos(1.0 + np.arange(np.prod(v.shape, dtype=int))).reshape(v.shape)


def number(seed: str) -> int:
    return zlib.crc32(seed.encode())


def inputs(seed: str, shapes: list[tuple[int, ...]], dtype: np.dtype) -> list[np.ndarray]:
    """As in the scripts."""
    rng = np.random.default_rng(number(seed))
    return [np.asarray(rng.normal(size=shape), dtype=dtype) for shape in shapes]


def program(made: Any) -> str:
    """The script of a `program_drawn.Program`."""
    body = _lines(made.steps, "    ") or ["    pass"]
    result = " + ".join(f"np.sum({name} * weights({name}))" for name in sorted(made.results))
    return SCRIPT.format(
        seed=made.seed,
        names=", ".join(made.inputs),
        body="\n".join(body),
        result=result,
        number=number(made.seed),
        dtype=made.dtype,
        shapes=made.shapes,
        argnums=tuple(range(len(made.shapes))),
    )


def _lines(steps: list[Any], indent: str) -> list[str]:
    lines = []
    for step in steps:
        if hasattr(step, "body"):
            lines += _nested(step, indent)
        else:
            lines.append(f"{indent}{step.target} = {call(step.function.name, step.args, step.keywords)}")
    return lines


def _nested(step: Any, indent: str) -> list[str]:
    name, x = f"f_{step.target}", said(step.args[0])
    second = step.args[1].name if len(step.args) > 1 else ""
    result = step.result if step.kind in OF_ARRAYS else f"np.sum({step.result} * weights({step.result}))"
    form = {
        "grad": f"tg.grad({name})({x})",
        "value_and_grad": f"tg.value_and_grad({name})({x})[1]",
        "keyword": f"tg.grad({name})({x}, {step.parameters[-1]}={second})",
        "hvp": f"tg.hvp({name}, {x}, {second})",
        "hessian": f"tg.hessian({name})({x})",
        "jacobian": f"tg.jacobian({name})({x})",
        "jvp": f"tg.jvp({name}, [{x}], [{second}])[1]",
        "vjp": f"pull_{step.target}(value_{step.target})[0]",
    }[step.kind]
    lines = [f"{indent}def {name}({', '.join(step.parameters)}):", *_lines(step.body, indent + "    ")]
    lines.append(f"{indent}    return {result}")
    if step.kind == "vjp":
        lines.append(f"{indent}value_{step.target}, pull_{step.target} = tg.vjp({name}, {x})")
    return [*lines, f"{indent}{step.target} = {form}"]


def call(name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> str:
    """One call as it is written."""
    if name == "[]":
        index = args[1]
        inner = (
            ", ".join(map(_index, index)) + ("," if len(index) == 1 else "")
            if isinstance(index, tuple)
            else _index(index)
        )
        return f"{said(args[0])}[{inner or '()'}]"
    if not name[0].isalpha() and name[0] != ".":
        return (
            f"{said(args[0])} {name} {said(args[1])}"
            if not _negative(args[0])
            else f"({said(args[0])}) {name} {said(args[1])}"
        )
    if name in (".T", ".mT"):
        return f"{said(args[0])}{name}"
    number = keywords.get("[]")
    options = [f"{key}={said(value)}" for key, value in keywords.items() if key != "[]"]
    if name.startswith("."):
        return f"{said(args[0])}{name}({', '.join([*map(said, args[1:]), *options])})"
    text = f"{name}({', '.join([*map(said, args), *options])})"
    if name == "np.linalg.slogdet":
        return f"{text}[1]"
    return text if number is None else f"{text}[{number}]"


def _negative(value: Any) -> bool:
    return not isinstance(value, Ref) and isinstance(value, (int, float)) and value < 0


def _index(part: Any) -> str:
    if isinstance(part, slice):
        start, stop, step = ("" if one is None else str(one) for one in (part.start, part.stop, part.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return "..." if part is Ellipsis else said(part)


def said(value: Any) -> str:
    """A variable, a number, a constant array, or lists of these."""
    if isinstance(value, Ref):
        return value.name
    if isinstance(value, np.ndarray):
        if not value.size:
            return f"np.zeros({value.shape}, dtype={value.dtype.name!r})"
        if value.dtype == np.float32:
            return f"np.array({value.tolist()}, dtype=np.float32)"
        return repr(float(value)) if not value.ndim and value.dtype == np.float64 else f"np.array({value.tolist()})"
    if isinstance(value, list):
        return f"[{', '.join(map(said, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(said, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, float) and np.isinf(value):
        return "np.inf" if value > 0 else "-np.inf"
    return repr(value)
