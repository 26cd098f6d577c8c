"""Which batch comes at which step: all that a run must know of its data to be taken up in the middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError, kind_of
from ..nn.arguments import whole

#: number of the step, from 0 -> its batch, whatever the loss function takes
Batches = Callable[[int], Any]


class Minibatches:
    """Samples cut into batches, in another order each epoch; called with a step's number it gives that step's batch.

    Arrays have their samples along `axis` (1 for sequences with time first); a batch is a tuple with a part of each.
    The order depends on `seed` and the epoch alone. Samples that do not fill a batch wait for another epoch. Raises
    `ShapeError` for arrays of different numbers of samples, or of less than a batch.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> batches = tg.train.Minibatches(np.arange(6), np.arange(6) ** 2, size=2)
    >>> len(batches), sorted(int(x) for step in range(3) for x in batches(step)[0])
    (3, [0, 1, 2, 3, 4, 5])
    """

    def __init__(self, *arrays: Any, size: int, axis: int = 0, shuffle: bool = True, seed: int = 0) -> None:
        self.arrays = [np.asarray(array) for array in arrays]
        counts = {np.shape(array)[axis] if -array.ndim <= axis < array.ndim else 0 for array in self.arrays}
        if len(counts) != 1 or not 1 <= whole("Minibatches", "size", size, least=0) <= min(counts):
            raise ShapeError(f"Minibatches: batches of {size} from arrays with {sorted(counts)} samples along {axis}")
        self.samples, self.size, self.axis, self.shuffle, self.seed = counts.pop(), size, axis, shuffle, seed

    def __len__(self) -> int:
        return self.samples // self.size

    def __call__(self, step: int) -> tuple[np.ndarray, ...]:
        epoch, i = divmod(step, len(self))
        chosen = self._order(epoch)[i * self.size : (i + 1) * self.size]
        return tuple(np.take(array, chosen, self.axis) for array in self.arrays)

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.samples)
        return np.random.default_rng([self.seed, epoch]).permutation(self.samples)


def batches_of(data: Batches | Sequence[Any]) -> Batches:
    """A function from step to batch; a list of batches is gone through again and again.

    Raises `GraphError` for an iterator: it cannot be taken up in the middle.
    """
    if callable(data):
        return data
    if not isinstance(data, Sequence) or not len(data):
        raise GraphError(
            f"data is a function from the step's number to its batch, or a list of batches; not {kind_of(data)}: "
            "an iterator could not be taken up in the middle of a run"
        )
    batches = data
    return lambda step: batches[step % len(batches)]
