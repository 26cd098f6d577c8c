"""Layers: every recurrent system of the documents, composed from the primitives, with the names torch users expect.

A layer records each step in the graph like hand-written code; nothing here is fused or hidden. How weights are trained
belongs to `train`, how a run is looked at to `analysis`.
"""

from __future__ import annotations

from . import init, torch_state
from .attention import AdditiveAttention, AttentionDecoder, DotAttention
from .cell import Cell
from .cells import GRUCell, LSTMCell, RNNCell
from .depth import DeepRNN, DeepTransitionCell, Stack
from .dropout import Dropout
from .generative import Autoregressive, ConditionalRNN, FullyConnected, GenerativeRNN, VectorRNN
from .grid import RNN2d
from .layers import GRU, LSTM, RNN
from .linear import MLP, Embedding, LayerNorm, Linear, Sequential
from .losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss, nll_loss
from .lstm_variants import (
    ConcatenatedLSTMCell,
    CoupledLSTMCell,
    CoupledPeepholeLSTMCell,
    FullPeepholeLSTMCell,
    NoForgetLSTMCell,
    PeepholeLSTMCell,
    ProjectedLSTMCell,
)
from .memory_network import MemoryNetwork
from .module import Module, parameter
from .normalized import LayerNormGRUCell, LayerNormLSTMCell, LayerNormRNNCell
from .ntm import NTM, FeedForwardCell, NTMState
from .patterns import OutputFeedback, OutputFeedbackCell, SingleOutput
from .random import get_rng_state, manual_seed, set_rng_state
from .recurrent import Recurrent
from .regularize import omega
from .reservoir import EchoState
from .seq2seq import Encoder, EncoderDecoder, Seq2Seq
from .sequence_ends import BernoulliStop, EndSymbol, PredictedLength, Sequences
from .time_scales import ClockworkCell, DelayCell, LeakyCell, TauCell
from .tree import ChildSumTreeLSTM, RecursiveNet, TreeLSTM, TreeNetwork, balanced, parse_tree

#: names that torch's users look for, and what stands in their place
_ELSEWHERE = {
    "ModuleList": "a plain list of modules, as an attribute",
    "ModuleDict": "a plain dict of modules, as an attribute",
    "Parameter": "nn.parameter(name, value)",
    "Tanh": "the function np.tanh",
    "Sigmoid": "the function tg.sigmoid",
    "ReLU": "the function tg.relu",
    "Softmax": "the function tg.softmax",
    "CrossEntropyLoss": "the function nn.cross_entropy",
    "NLLLoss": "the function nn.nll_loss",
    "MSELoss": "the function nn.mse_loss",
    "BCEWithLogitsLoss": "the function nn.binary_cross_entropy_with_logits",
    "functional": "nn itself for losses, np and tg for functions",
    "utils": "lengths= of the layers for packed sequences, tg.train.clip_grad_norm_ for clipping",
}


def __getattr__(name: str) -> object:
    hint = f": here it is {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
