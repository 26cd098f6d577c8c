"""What a layer is: parameters, buffers and other layers, found by walking its attributes, as in torch.

Here parameters are found, named, counted, saved and loaded. What a layer computes is written in the layer; weights from
and to torch are in `torch_state`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DtypeError, GraphError, ShapeError, kind_of
from ..core.tensor import Tensor, as_value, next_id, plain, tensor

State = dict[str, np.ndarray]


def parameter(name: str, value: Any) -> Tensor:
    """A leaf that training changes; `name` is the book's symbol.

    >>> from tinygrad_rnn.nn.module import parameter
    >>> parameter("W", [[1.0]]).requires_grad
    True
    """
    return tensor(value, name=name)


class Module:
    """A layer or a network. Subclasses set attributes in `__init__` and define `forward`; calling runs `forward`.

    Attributes that are leaves asking for a gradient are parameters. Modules, and lists, tuples and dicts of modules,
    are children. `training` says whether dropout and its kin are on.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> class Scale(tg.nn.Module):
    ...     def __init__(self):
    ...         self.w = tg.nn.parameter("w", 2.0)
    ...     def forward(self, x):
    ...         return self.w * x
    >>> scale = Scale()
    >>> scale(3.0).item(), [name for name, _ in scale.named_parameters()]
    (6.0, ['w'])
    """

    __slots__ = ("__dict__", "__weakref__", "_walk")

    training: bool = True

    if TYPE_CHECKING:
        # attached by `torch_state`, which knows all layers

        def load_torch(self, state: Mapping[str, Any], prefix: str = "") -> None: ...
        def to_torch(self) -> State: ...
        def _torch_mends(self, state: Mapping[str, Any]) -> Iterator[str]: ...

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # -- what it consists of ----------------------------------------------------------------------------------------
    def _parts(self) -> Iterator[tuple[str, Any]]:
        """Every Tensor, array and Module it holds, with its dotted name; not the parts of those Modules."""
        for key, value in vars(self).items():
            yield from _flat(key, value)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Itself and every module inside, with dotted names ("" for itself)."""
        yield prefix, self
        for key, value in self._parts():
            if isinstance(value, Module):
                yield from value.named_modules(f"{prefix}.{key}" if prefix else key)

    def modules(self) -> Iterator[Module]:
        """Itself and every module inside."""
        yield self
        yield from (module for _, module in self._found().inside)

    def children(self) -> Iterator[Module]:
        """The modules directly inside."""
        return (value for _, value in self._parts() if isinstance(value, Module))

    def _found(self) -> Walk:
        """What it consists of; looked for anew once an attribute has changed."""
        try:
            if self._walk is not None and self._walk.holds():
                return self._walk
        except AttributeError:
            pass  # nobody has looked yet
        self._walk: Walk | None = Walk(self.named_modules())
        return self._walk

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter once, with the dotted name under which it is first found."""
        return iter(self._found().parameters)

    def parameters(self) -> Iterator[Tensor]:
        """Every parameter once."""
        return (value for _, value in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Arrays that are part of the state but not trained (see `register_buffer`)."""
        return iter(self.pieces()[2])

    def pieces(self) -> tuple[list[tuple[str, Tensor]], list[Module], list[tuple[str, np.ndarray]]]:
        """Its parameters by name, itself and the modules inside, and its buffers by name, at one look."""
        walk = self._found()
        modules = [("", self), *walk.inside]
        buffers = [
            (f"{prefix}.{key}" if prefix else key, getattr(module, key))
            for prefix, module in modules
            for key in vars(module).get("_buffers", ())
        ]
        return walk.parameters, [module for _, module in modules], buffers

    def register_buffer(self, name: str, value: Any) -> None:
        """Keep an array as an attribute that `state_dict` saves and no optimiser touches."""
        vars(self).setdefault("_buffers", []).append(name)
        setattr(self, name, np.asarray(value))

    def num_parameters(self) -> int:
        """How many numbers training changes."""
        return sum(p.size for p in self.parameters())

    # -- state ------------------------------------------------------------------------------------------------------
    def state_dict(self) -> State:
        """Copies of all parameters and buffers by dotted name."""
        state = {name: np.array(p.value) for name, p in self.named_parameters()}
        return state | {name: np.array(value) for name, value in self.named_buffers()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over parameters and buffers; raises, before anything changes, when names, shapes or types do not fit.

        That is a `GraphError`, a `ShapeError` or a `DtypeError`.
        """
        own, theirs = self.state_dict(), as_arrays("load_state_dict", state)
        if own.keys() != theirs.keys():
            told = f"load_state_dict: the state is not that of this {type(self).__name__}: {told_apart(own, theirs)}"
            raise GraphError("; ".join([told, *self._torch_mends(theirs)]))
        given = {name: np.array(theirs[name]) for name in own}
        for name, value in own.items():
            if given[name].shape != value.shape:
                raise ShapeError(f"load_state_dict: {name} has shape {value.shape}, the state {given[name].shape}")
            if not np.can_cast(given[name].dtype, value.dtype, "same_kind"):
                raise DtypeError(f"load_state_dict: {name} holds {value.dtype}, the state {given[name].dtype}")
        for name, p in self.named_parameters():
            p.assign(given[name])
        for prefix, module in self.named_modules():
            for key in vars(module).get("_buffers", ()):
                setattr(module, key, given[f"{prefix}.{key}" if prefix else key])

    # -- modes ------------------------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Module:
        """Turn dropout and its kin on (or off), here and in every module inside."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """`train(False)`."""
        return self.train(False)

    def astype(self, dtype: Any) -> Module:
        """Hold all parameters, fixed Tensors and buffers of floats in another dtype, here and in every module inside.

        The parameters stay the same Tensors; their gradients are forgotten. An optimiser is made after this, for what
        it remembers is of the old dtype. Returns the module. Raises `DtypeError` for anything but floats.

        >>> import numpy as np, tinygrad_rnn as tg
        >>> tg.nn.Linear(2, 3).astype(np.float32)
        Linear(weight (3, 2), bias (3,), float32)
        """
        wanted = np.dtype(dtype)
        if wanted.kind != "f":
            raise DtypeError(f"astype: a module computes with floats, not {wanted}")
        for module in list(self.modules()):
            for _, x in module._parts():
                if isinstance(x, Tensor) and x.op is None and x.dtype.kind == "f":
                    x.value, x.id, x.grad = as_value(np.asarray(x.value, wanted)), next_id(), None
            held = vars(module)
            for key in held.get("_buffers", ()):
                if held[key].dtype.kind == "f":
                    held[key] = held[key].astype(wanted)
            if isinstance(held.get("dtype"), np.dtype):
                held["dtype"] = wanted
        return self

    def zero_grad(self) -> None:
        """Forget the gradients that `backward()` left, so that those of the next step are not added to them."""
        for p in self.parameters():
            p.grad = None

    def __repr__(self) -> str:
        parts = [f"{name} {p.shape}" for name, p in self.named_parameters()]
        dtypes = dict.fromkeys(str(p.dtype) for p in self.parameters())
        return f"{type(self).__name__}({', '.join([*parts, *dtypes])})"


def as_arrays(asked: str, state: Mapping[str, Any]) -> State:
    """A state of arrays, Tensors, or tensors of torch, as arrays. Raises `GraphError` for anything but a dict."""
    if not isinstance(state, Mapping):
        raise GraphError(f"{asked}: a state is a dict from names to arrays, not {kind_of(state)}")
    return {
        str(name): np.asarray(value.detach().cpu() if hasattr(value, "detach") else plain(value))
        for name, value in state.items()
    }


def told_apart(own: Mapping[str, Any], given: Mapping[str, Any], most: int = 8) -> str:
    """Which names are missing in a state, and which are unknown."""
    found = []
    for what, names in (("missing", sorted(own.keys() - given.keys())), ("unknown", sorted(given.keys() - own.keys()))):
        more = f" and {len(names) - most} more" * (len(names) > most)
        found += [f"{what} {', '.join(names[:most])}{more}"] * bool(names)
    return "; ".join(found)


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Tensor | Module):
        yield key, value
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from _flat(f"{key}.{i}", part)
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(f"{key}.{name}", part)


class Walk:
    """What a module was found to consist of, by dotted name, for as long as all its attributes are what they were.

    A walk through all attributes takes longer than a step of a small network. Looking whether each is still the same
    object does not.
    """

    def __init__(self, modules: Iterable[tuple[str, Module]]) -> None:
        found = list(modules)
        self.inside = found[1:]  # without the module itself: a walk never keeps its own module alive
        self.parameters: list[tuple[str, Tensor]] = []
        self._seen = [seen for _, module in found for seen in _containers(vars(module))]
        self._flags: list[tuple[Tensor, bool]] = []
        known: set[int] = set()
        for prefix, module in found:
            for key, x in module._parts():
                if isinstance(x, Tensor) and x.op is None and id(x) not in known:
                    known.add(id(x))
                    self._flags.append((x, x.requires_grad))
                    if x.requires_grad:
                        self.parameters.append((f"{prefix}.{key}" if prefix else key, x))

    def holds(self) -> bool:
        """Whether another walk would find the same."""
        for container, keys, values in self._seen:
            now = container.values() if keys is not None else container
            if len(container) != len(values) or not all(map(is_, now, values)):
                return False
            if keys is not None and list(container) != keys:
                return False
        return all(x.requires_grad is flag for x, flag in self._flags)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy of a module walks for itself."""
        return type(None), ()


def _containers(x: Any) -> Iterator[tuple[Any, list[Any] | None, list[Any]]]:
    """A dict, list or tuple and those inside of it, each with its keys and what it holds."""
    values = list(x.values() if isinstance(x, dict) else x)
    yield x, list(x) if isinstance(x, dict) else None, values
    for value in values:
        if isinstance(value, dict | list | tuple):
            yield from _containers(value)
