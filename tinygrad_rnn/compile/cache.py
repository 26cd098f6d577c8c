"""Where generated modules are kept, so that what numba compiled once is there the next time.

A module's name is a hash of its text and of the kernels it calls: what is found under a name is what was asked for, and
nothing is ever rewritten. The folder is that of the platform, or `TINYGRAD_RNN_CACHE`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

VARIABLE = "TINYGRAD_RNN_CACHE"


def folder() -> Path:
    """The cache folder; it need not exist.

    >>> from tinygrad_rnn.compile.cache import folder
    >>> folder().is_absolute()
    True
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "tinygrad_rnn"


def module(text: str, depends: str = "") -> ModuleType:
    """The module with this text, written to the cache unless it is there, and imported.

    `depends` names what else its meaning depends on. A folder that cannot be written to is replaced by one that lasts
    as long as the machine keeps temporary files.
    """
    name = "plan_" + hashlib.sha256(f"{depends}\n{text}".encode()).hexdigest()[:24]
    if name in sys.modules:
        return sys.modules[name]
    path = _written(f"{name}.py", text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # before it runs: numba looks there for the module a function belongs to
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    return made


def _written(name: str, text: str) -> Path:
    try:
        return _write(folder(), name, text)
    except OSError:
        user = getattr(os, "getuid", lambda: "")()
        return _write(Path(tempfile.gettempdir()) / f"tinygrad_rnn-{user}", name, text)


def _write(place: Path, name: str, text: str) -> Path:
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = place / name
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return target
    handle, temporary = tempfile.mkstemp(dir=place, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, target)  # at once: another process never sees half a module
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target
