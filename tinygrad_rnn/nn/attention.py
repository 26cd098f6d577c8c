"""Attention: at each step a decoder looks at the source again, and how much it looks where is its alignment.

The context is then a sequence as long as the source, in place of one vector (document 004, section 4.1, item 5). Here
stand the two ways to compare states, and the decoder that uses them; encoders stand in `seq2seq`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.identity import name
from ..core.ops.reductions import softmax
from ..core.tensor import Tensor, plain
from . import init
from .arguments import hidden, running, truths, whole
from .module import Module, parameter
from .seq2seq import EncoderDecoder


class AdditiveAttention(Module):
    """e[t,s] = v · tanh(W_a g[t-1] + U_a h[s]) (Bahdanau, Cho and Bengio 2015, section A.1.2).

    alpha[t,s] = softmax of e[t,s] over s,  C[t] = Σ_s alpha[t,s] h[s].
    """

    def __init__(self, query_size: int, key_size: int, attention_size: int, dtype: Any = np.float64) -> None:
        bound = whole("AdditiveAttention", "attention_size", attention_size) ** -0.5
        self.W_a = parameter("W_a", init.uniform((attention_size, query_size), bound, dtype))
        self.U_a = parameter("U_a", init.uniform((attention_size, key_size), bound, dtype))
        self.v = parameter("v", init.uniform((attention_size,), bound, dtype))

    def prepare(self, keys: Any) -> Any:
        """What does not change from step to step: U_a h[s], for all s at once."""
        return linear(keys, self.U_a)

    def energies(self, query: Any, prepared: Any) -> Any:
        """e[t,s] for all s: (S, B)."""
        m = name("m", np.tanh(linear(query, self.W_a) + prepared))
        return name("e", m @ self.v)

    def forward(self, query: Any, keys: Any, prepared: Any = None, inside: Any = None) -> Any:
        """The context C (B, H) and the alignment alpha (S, B) for a query (B, G) and keys (S, B, H).

        `inside` (S, B) is 0 where a key is padding: it gets no weight, and what stands there is not read. Where all
        keys are padding there is nothing to look at: alpha and C are 0. `prepared`, if given, is made of keys of which
        that is known.
        """
        if inside is not None:
            inside = truths(inside, np.shape(plain(keys))[:-1], type(self).__name__)
            keys = keys if prepared is not None else hidden(keys, np.expand_dims(inside, -1))
        e = self.energies(query, self.prepare(keys) if prepared is None else prepared)
        if inside is None:
            alpha = name("alpha", softmax(e, axis=0))
        else:
            # a half, so that the largest of them can still be subtracted
            e = np.where(inside, e, 0.5 * float(np.finfo(e.dtype).min))
            alpha = name("alpha", hidden(softmax(e, axis=0), inside))
        return name("C", np.sum(np.expand_dims(alpha, -1) * keys, axis=0)), alpha


class DotAttention(AdditiveAttention):
    """e[t,s] = g[t-1] · h[s] (the "dot" score of Luong, Pham and Manning 2015, section 3.1): no weights of its own."""

    def __init__(self) -> None:
        pass

    def prepare(self, keys: Any) -> Any:
        return keys

    def energies(self, query: Any, keys: Any) -> Any:
        return name("e", np.sum(query * keys, axis=-1))


class AttentionDecoder(EncoderDecoder):
    """An `EncoderDecoder` whose context is looked up anew at each step.

    C[t] = Σ_s alpha[t,s] h[s],  g[t] = tanh(b_g + W_g g[t-1] + U_g y[t-1] + R C[t]),  g[0] = 0.

    `attention` is "additive" (its inner layer has `attention_size` entries, `decoder_size` if not given) or "dot" (the
    two states then have one size). Calling it returns o and the alignment alpha (T, S, B). Raises `GraphError` for
    another kind of attention, `ShapeError` for `dot` between states of two sizes.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> model = tg.nn.AttentionDecoder(3, 4, output_size=5, decoder_size=6)
    >>> o, alpha = model(np.array([[1, 2], [0, 4]]), np.ones((7, 2, 3)))
    >>> o.shape, alpha.shape, bool(np.allclose(alpha.numpy().sum(axis=1), 1))
    ((2, 2, 5), (2, 7, 2), True)
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, decoder_size: int | None = None,
        attention: str = "additive", attention_size: int | None = None, start: int = 0, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, output_size, decoder_size, "input", start, dtype)
        if attention == "additive":
            size = self.hidden_size if attention_size is None else attention_size
            self.attention: AdditiveAttention = AdditiveAttention(self.hidden_size, hidden_size, size, dtype)
        elif attention == "dot":
            if self.hidden_size != hidden_size:
                raise ShapeError(
                    f"AttentionDecoder: dot needs states of one size, not {hidden_size} and {self.hidden_size}"
                )
            self.attention = DotAttention()
        else:
            raise GraphError(f"AttentionDecoder: attention is 'additive' or 'dot', not {attention!r}")

    def begin(
        self, x: Any, rows: tuple[int, ...], x_lengths: Any = None, x_state: Any = None, state: Any = None
    ) -> tuple[Any, Any]:
        keys = np.stack(self.encoder(x, rows, x_lengths, x_state))  # behind an end they repeat what stood there
        inside = None if x_lengths is None else running(x_lengths, keys.shape[:-1], "x_lengths")
        return (keys, self.attention.prepare(keys), inside), (self.initial(state, rows), None)

    def step(self, given: Any, state: Any, y: Tensor, t: int) -> Any:
        C, alpha = self.attention(state[0], *given)
        return name(
            "g", np.tanh(self.b_g + linear(state[0], self.W_g) + linear(y, self.U_g) + linear(C, self.R))
        ), alpha

    def readout(self, state: Any) -> Tensor:
        return super().readout(state[0])

    def forward(self, y: Any, x: Any = None, **given: Any) -> Any:
        emissions = list(self.given(y, x, **given))
        return np.stack([emitted.o for emitted in emissions]), np.stack([emitted.state[1] for emitted in emissions])
