"""Training: optimisers, schedules, clipping, and a loop that survives being killed.

Layers are in `nn`; how a run is looked at is in `analysis`.
"""

from __future__ import annotations

from . import clip
from .clip import clip_grad_norm_, clip_grad_value_
from .data import Minibatches
from .fitting import fit
from .history import History
from .optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from .schedules import CosineAnnealingLR, ExponentialLR, LinearLR, ReduceLROnPlateau, Schedule, SequentialLR, StepLR
from .snapshot import load_checkpoint, save_checkpoint
from .stopping import EarlyStopping
from .truncation import detach_state, truncated, windows
