"""Operations that return what they are given: `identity` passes the gradient on, `stop` does not; `name` gives a role.

They stand below the walk backwards, which names gradients by one and holds values still by the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..declare import elementwise
from ..scope import current
from ..tensor import Tensor, tensor

identity = elementwise("identity", lambda x: x, scalar=lambda x: x, label="=", vjp=lambda g, y, x: (g,))

#: its value, through which no gradient flows
stop = elementwise("stop", np.real, scalar=lambda x: x, label="stop")


def name(role: str, t: Any) -> Tensor:
    """Give a value its role in the model: the graph then knows it as `role` at the current time step.

    A leaf, or a tensor that already has a name or was made in another scope, is passed through an identity node, so
    that one value can play two roles.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> with tg.step(2):
    ...     h = tg.name("h", np.tanh(tg.tensor(0.5)))
    >>> h.name, h.scope.step
    ('h', 2)
    """
    if not isinstance(t, Tensor):
        t = tensor(t, requires_grad=False)
    if t.op is None or t.name is not None or t.scope is not current():
        t = identity(t)
    t.name = role
    return t
