"""How a gradient moves a parameter: torch's optimisers, with torch's names, defaults and update rules.

A rule (`update`) is written once, as in its paper, and recorded like any other function: `rule_graphs` carries out the
graph. How parameters are laid end to end for it is in `flat_parameters`; learning rates that change are in `schedules`,
gradients that are too long in `clip`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any
from uuid import uuid4

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.tensor import Tensor, plain
from .flat_parameters import Options, buckets_of, groups_of, named, options_of
from .rule_graphs import UNCUT, Choices, Cut, Numbers, Rules, State, chosen, penalised


class Optimizer:
    """What all optimisers share: parameter groups, gradients in, new values out, and a state that can be saved.

    `params` are leaves that ask for a gradient, (name, leaf) pairs, a dict from names to leaves, or a list of dicts
    `{"params": ..., "lr": ...}`: groups with options of their own. Raises `GraphError` for anything else, for a
    parameter that appears twice, and for an option out of range.
    """

    def __init__(self, params: Any, **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[Options] = []
        self.names: list[str] = []
        for group in groups_of(params):
            pairs = named(group["params"], len(self.names))
            self.names += [name for name, _ in pairs]
            self.param_groups.append({**defaults, **group, "params": [p for _, p in pairs]})
            self._examine(self.param_groups[-1])
        counts = Counter(map(id, self.parameters))
        twice = sorted({name for name, p in zip(self.names, self.parameters, strict=True) if counts[id(p)] > 1})
        if twice or not counts:
            raise GraphError(f"parameters given twice: {', '.join(twice)}" if counts else "no parameters to train")
        self._buckets = [bucket for group in self.param_groups for bucket in buckets_of(group)]
        self._rules = Rules(self.choices, self.update)
        self._stepped: list[int] = []  # when the gradients of the last step were given
        self.run = uuid4().hex  # whose its checkpoints are

    # -- what a subclass writes -------------------------------------------------------------------------------------
    def buffers(self, options: Options) -> dict[str, float]:
        """What is remembered of each parameter, and the value it starts from."""
        return {}

    def choices(self, first: bool, options: Options) -> dict[str, bool]:
        """What a rule may decide by: of each option whether it is on, not 0 or False; `first`: at the first step."""
        return chosen(options)

    def update(self, w: Any, g: Any, s: State, t: Any, o: Numbers, on: Choices) -> tuple[Any, State]:
        """The new value, and what to remember, after the gradient g of step t = 1, 2, ...

        Entry by entry, as it is recorded once for w, g, what is remembered in s, t and the options o; it may decide
        by `choices` alone, for each of which it is recorded anew.
        """
        raise NotImplementedError

    def check(self, options: Options) -> None:
        """Raise `GraphError` for an option out of range: they are numbers from 0 on, unless a subclass knows better."""
        for key, value in options.items():
            if key not in ("params", "betas") and not (isinstance(value, Real) and float(value) >= 0):
                raise GraphError(f"{type(self).__name__}: {key} = {value!r}, but has to be a number from 0 on")

    # -- what a user calls ------------------------------------------------------------------------------------------
    @property
    def parameters(self) -> list[Tensor]:
        """All parameters, group by group: the order in which `step` takes a list of gradients."""
        return [p for group in self.param_groups for p in group["params"]]

    def step(self, grads: Mapping[str, Any] | Sequence[Any] | None = None) -> None:
        """Move every parameter along its gradient: the one `backward()` left in `.grad`, or the one given.

        `grads` is a list in the order of `parameters`, or a dict by name. A parameter whose gradient is None stays as
        it is. Raises `ShapeError` or `GraphError`, before anything changes, for gradients that do not fit, when there
        is none at all, and when neither `backward()` nor `zero_grad()` came since the last step.
        """
        supply = iter(self._checked(grads))
        for bucket in self._buckets:
            bucket.move([next(supply) for _ in bucket.params], self.buffers(bucket.options), self._rules)

    def end_to_end(self, grads: Sequence[Any]) -> list[np.ndarray]:
        """One gradient for each parameter, in order, as `move` takes them; they may be gone after the next call."""
        supply = iter(grads)
        return [bucket.end_to_end([next(supply) for _ in bucket.params]) for bucket in self._buckets]

    def move(self, grads: Sequence[np.ndarray], cut: Cut = UNCUT, executor: str = "numpy") -> None:
        """`step` for gradients end to end, each entry cut by the same measure (see `clip`), by either executor."""
        rule = partial(self._rules, cut=cut, executor=executor)
        for bucket, g in zip(self._buckets, grads, strict=True):
            bucket.move_all(g, self.buffers(bucket.options), rule)

    def zero_grad(self) -> None:
        """Forget the gradients that `backward()` left, so that those of the next step are not added to them."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs, in torch's form: `state` by parameter number (copies) and `param_groups`."""
        numbers = {id(p): i for i, p in enumerate(self.parameters)}
        groups = [{**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups]
        state = {numbers[id(p)]: s for bucket in self._buckets for p, s in bucket.states()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; raises, before anything changes, when it belongs to other parameters.

        That is a `GraphError` or a `ShapeError`.
        """
        counts = [len(group["params"]) for group in self.param_groups]
        theirs = [len(group["params"]) for group in state["param_groups"]]
        if counts != theirs:
            raise GraphError(f"load_state_dict: groups of {theirs} parameters, here they are {counts}")
        found = {int(i): s for i, s in state["state"].items()}
        for i, (name, p) in enumerate(zip(self.names, self.parameters, strict=True)):
            for key, value in found.get(i, {}).items():
                if key != "step" and np.shape(value) != p.shape:
                    raise ShapeError(f"load_state_dict: {key} of {name} has shape {np.shape(value)}, not {p.shape}")
        options = [options_of(group) for group in state["param_groups"]]
        for group, given in zip(self.param_groups, options, strict=True):
            self._examine({**group, **given})
        for group, given in zip(self.param_groups, options, strict=True):
            group.update(given)
        numbers = {id(p): i for i, p in enumerate(self.parameters)}
        for bucket in self._buckets:
            bucket.load([found.get(numbers[id(p)], {}) for p in bucket.params])

    def __repr__(self) -> str:
        options = {key: value for key, value in self.param_groups[0].items() if key != "params"}
        return f"{type(self).__name__}({', '.join(f'{key}={value}' for key, value in options.items())})"

    def _examine(self, group: Options) -> None:
        """Raise `GraphError` for an option there is not, or one out of range."""
        if unknown := sorted(group.keys() - self.defaults.keys() - {"params", "initial_lr"}):
            there = ", ".join(self.defaults)
            raise GraphError(f"{type(self).__name__} has no option {', '.join(unknown)}; there are {there}")
        self.check(group)

    def _checked(self, grads: Mapping[str, Any] | Sequence[Any] | None) -> list[Any]:
        """One gradient, or None, for each parameter."""
        params = self.parameters
        when = [p.graded for p in params]
        if grads is None:
            given = [p.grad for p in params]
            if when == self._stepped and any(g is not None for g in given):
                raise GraphError("step: no backward() came since the last step: call zero_grad(), backward(), step()")
        elif isinstance(grads, Mapping):
            unknown = [str(key) for key in grads if key not in self.names]
            if unknown:
                raise GraphError(f"step: no parameter is called {', '.join(unknown)}; names: {', '.join(self.names)}")
            given = [plain(grads.get(name)) for name in self.names]
        else:
            given = [plain(g) for g in grads]
            if len(given) != len(params):
                raise GraphError(f"step: {len(given)} gradients for {len(params)} parameters")
        for name, p, g in zip(self.names, params, given, strict=True):
            if g is not None and np.shape(g) != p.shape:
                raise ShapeError(f"step: {name} has shape {p.shape}, its gradient {np.shape(g)}")
        if all(g is None for g in given):
            raise GraphError("step: no parameter has a gradient: call loss.backward() first, or give the gradients")
        self._stepped = when
        return given


def _options(arguments: Mapping[str, Any]) -> Options:
    """The options among the arguments of an `__init__`; those of several numbers as tuples."""
    own = {key: value for key, value in arguments.items() if key not in ("self", "params", "__class__")}
    return {key: tuple(value) if isinstance(value, list | tuple) else value for key, value in own.items()}


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and Nesterov's form of it, as `torch.optim.SGD`.

    Raises `GraphError` for `nesterov` without momentum or with dampening.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(1.0, name="w")
    >>> optimizer = tg.train.SGD([w], lr=0.1)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     (w * w).backward()
    ...     optimizer.step()
    >>> round(w.item(), 4)
    0.512
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0,
        nesterov: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, **_options(locals()))

    def check(self, options: Options) -> None:
        super().check(options)
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise GraphError("SGD: nesterov=True needs a momentum and no dampening")

    def buffers(self, options: Options) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if options["momentum"] else {}

    def choices(self, first: bool, options: Options) -> dict[str, bool]:
        return {**super().choices(first, options), "dampened": bool(options["dampening"]) and not first}

    def update(self, w: Any, g: Any, s: State, t: Any, o: Numbers, on: Choices) -> tuple[Any, State]:
        g = penalised(w, g, o, on)
        if not on["momentum"]:
            return w - o["lr"] * g, {}
        b = o["momentum"] * s["momentum_buffer"] + ((1.0 - o["dampening"]) * g if on["dampened"] else g)
        g = g + o["momentum"] * b if on["nesterov"] else b
        return w - o["lr"] * g, {"momentum_buffer": b}


class Adagrad(Optimizer):
    """Each entry's rate falls with the squares of its gradients so far (Duchi et al. 2011), as `torch.optim.Adagrad`.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(1.0, name="w")
    >>> tg.train.Adagrad([w], lr=0.1).step([3.0])
    >>> round(w.item(), 6)
    0.9
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, **_options(locals()))

    def buffers(self, options: Options) -> dict[str, float]:
        return {"sum": options["initial_accumulator_value"]}

    def update(self, w: Any, g: Any, s: State, t: Any, o: Numbers, on: Choices) -> tuple[Any, State]:
        g = penalised(w, g, o, on)
        total = s["sum"] + g * g
        rate = o["lr"] / (1.0 + (t - 1.0) * o["lr_decay"]) if on["lr_decay"] else o["lr"]
        return w - rate * g / (np.sqrt(total) + o["eps"]), {"sum": total}


class RMSprop(Optimizer):
    """Each entry's gradient is measured by its running root mean square (Hinton 2012), as `torch.optim.RMSprop`.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(1.0, name="w")
    >>> tg.train.RMSprop([w], lr=0.1, alpha=0.0).step([3.0])
    >>> round(w.item(), 6)
    0.9
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0,
        momentum: float = 0.0, centered: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, **_options(locals()))

    def buffers(self, options: Options) -> dict[str, float]:
        names = ["square_avg"]
        names += ["grad_avg"] if options["centered"] else []
        names += ["momentum_buffer"] if options["momentum"] else []
        return dict.fromkeys(names, 0.0)

    def update(self, w: Any, g: Any, s: State, t: Any, o: Numbers, on: Choices) -> tuple[Any, State]:
        g = penalised(w, g, o, on)
        v = s["square_avg"] + (1.0 - o["alpha"]) * (g * g - s["square_avg"])
        new = {"square_avg": v}
        if on["centered"]:
            m = new["grad_avg"] = s["grad_avg"] + (1.0 - o["alpha"]) * (g - s["grad_avg"])
            v = v - m * m
        g = g / (np.sqrt(v) + o["eps"])
        if on["momentum"]:
            g = new["momentum_buffer"] = o["momentum"] * s["momentum_buffer"] + g
        return w - o["lr"] * g, new


class Adam(Optimizer):
    """Running mean over running root mean square, freed of their start (Kingma and Ba 2015): `torch.optim.Adam`.

    Raises `GraphError` for betas outside of [0, 1).

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(1.0, name="w")
    >>> tg.train.Adam([w], lr=0.1).step([3.0])
    >>> round(w.item(), 6)
    0.9
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, **_options(locals()))

    def check(self, options: Options) -> None:
        super().check(options)
        betas = options["betas"]
        if not isinstance(betas, tuple) or len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise GraphError(f"{type(self).__name__}: betas = {betas} are not two numbers in [0, 1)")

    def buffers(self, options: Options) -> dict[str, float]:
        names = ["exp_avg", "exp_avg_sq"] + (["max_exp_avg_sq"] if options["amsgrad"] else [])
        return dict.fromkeys(names, 0.0)

    def update(self, w: Any, g: Any, s: State, t: Any, o: Numbers, on: Choices) -> tuple[Any, State]:
        if on["decoupled_weight_decay"]:
            g = -g if on["maximize"] else g
            w = w * (1.0 - o["lr"] * o["weight_decay"])
        else:
            g = penalised(w, g, o, on)
        beta1, beta2 = o["betas"]
        m = s["exp_avg"] + (1.0 - beta1) * (g - s["exp_avg"])
        v = beta2 * s["exp_avg_sq"] + (1.0 - beta2) * (g * g)
        new = {"exp_avg": m, "exp_avg_sq": v}
        if on["amsgrad"]:
            v = new["max_exp_avg_sq"] = np.maximum(s["max_exp_avg_sq"], v)
        return w - o["lr"] / (1.0 - beta1**t) * m / (np.sqrt(v) / np.sqrt(1.0 - beta2**t) + o["eps"]), new


class AdamW(Adam):
    """Adam with its weight decay beside the running means (Loshchilov and Hutter 2019): `torch.optim.AdamW`.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(1.0, name="w")
    >>> tg.train.AdamW([w], lr=0.1, weight_decay=0.5).step([0.0])
    >>> w.item()
    0.95
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)
