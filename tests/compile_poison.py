"""Memory that nobody has written is full of nan: import `poisoned` into a module of tests, and all of them have it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def poisoned() -> Iterator[None]:
    """np.empty gives nan, as bytes too."""
    empty = np.empty

    def full_of_nan(*args: Any, **kwargs: Any) -> np.ndarray:
        made = empty(*args, **kwargs)
        made.fill(np.nan if made.dtype.kind == "f" else 255 if made.dtype == np.uint8 else 1)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "empty", full_of_nan)
        yield
