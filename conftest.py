"""What pytest leaves alone, where an extra is not installed; and how the tests are shared out among processes."""

import gc
from importlib.util import find_spec
from typing import Any

import pytest

#: modules that import an extra at once, so that there is nothing to collect without it
collect_ignore = (
    [] if find_spec("numba") else [f"tinygrad_rnn/compiler/jit/{name}.py" for name in ("class_kernels", "kernels")]
)
#: by package the modules whose examples need it
EXAMPLES = {"safetensors": ("train/checkpoint.py", "train/snapshot.py")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip examples, saying so, whose extra is missing."""
    for package, rooms in EXAMPLES.items():
        if find_spec(package) is None:
            skip = pytest.mark.skip(reason=f"{package} is not installed: pip install -e '.[train]'")
            for item in items:
                if isinstance(item, pytest.DoctestItem) and item.path.as_posix().endswith(rooms):
                    item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was made so far: thousands of tests and modules, which all stay."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Neighbours in one process (they share models, derivations and verdicts); who is done takes from the other's end.

    `--dist` says otherwise.
    """
    if config.option.dist != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
