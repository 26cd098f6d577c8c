"""Layers: every recurrent system of the documents, composed from the primitives, with the names torch users expect.

A layer records each step in the graph like hand-written code; nothing here is fused or hidden. How weights are trained
belongs to `train`, how a run is looked at to `analysis`.
"""

from __future__ import annotations

from . import init
from .attention import (
    AdditiveAttention,
    AttentionDecoder,
    DotAttention,
)
from .cell import Cell
from .cells import (
    GRUCell,
    LSTMCell,
    RNNCell,
)
from .depth import (
    DeepRNN,
    DeepTransitionCell,
    Stack,
)
from .dropout import Dropout
from .generative import (
    Autoregressive,
    ConditionalRNN,
    FullyConnected,
    GenerativeRNN,
    VectorRNN,
)
from .grid import RNN2d
from .layers import (
    GRU,
    LSTM,
    RNN,
)
from .lengths import (
    BernoulliStop,
    EndSymbol,
    PredictedLength,
    Sequences,
)
from .linear import (
    MLP,
    Embedding,
    LayerNorm,
    Linear,
    Sequential,
)
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
    nll_loss,
)
from .lstm_variants import (
    ConcatenatedLSTMCell,
    CoupledLSTMCell,
    FullPeepholeLSTMCell,
    NoForgetLSTMCell,
    PeepholeLSTMCell,
    ProjectedLSTMCell,
)
from .memory_network import (
    MemoryNetwork,
)
from .module import (
    Module,
    parameter,
)
from .normalized import (
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LayerNormRNNCell,
)
from .ntm import (
    NTM,
    FeedForwardCell,
    NTMState,
)
from .patterns import (
    OutputFeedback,
    OutputFeedbackCell,
    SingleOutput,
)
from .random import (
    get_rng_state,
    manual_seed,
    set_rng_state,
)
from .recurrent import Recurrent
from .regularize import omega
from .reservoir import (
    EchoState,
)
from .seq2seq import (
    Encoder,
    EncoderDecoder,
    Seq2Seq,
)
from .time_scales import (
    ClockworkCell,
    DelayCell,
    LeakyCell,
    TauCell,
)
from .tree import (
    ChildSumTreeLSTM,
    RecursiveNet,
    TreeLSTM,
    TreeNetwork,
)
from .trees import (
    balanced,
    parse_tree,
)
