"""What pytest leaves alone: what needs an extra, where that extra is not installed."""

from importlib.util import find_spec

import pytest

#: rooms that import an extra at once, so that there is nothing to collect without it
collect_ignore = [] if find_spec("numba") else [f"tinygrad_rnn/compiler/{name}.py" for name in ("classes", "kernels")]
#: by package the rooms whose examples need it
EXAMPLES = {"safetensors": ("train/checkpoint.py", "train/snapshot.py")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip examples, saying so, whose extra is missing."""
    for package, rooms in EXAMPLES.items():
        if find_spec(package) is None:
            skip = pytest.mark.skip(reason=f"{package} is not installed: pip install -e '.[train]'")
            for item in items:
                if isinstance(item, pytest.DoctestItem) and item.path.as_posix().endswith(rooms):
                    item.add_marker(skip)
