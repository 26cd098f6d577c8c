"""What pytest leaves alone: rooms that import an extra at once, where that extra is not installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("numba") else [f"tinygrad_rnn/compile/{name}.py" for name in ("classes", "kernels")]
