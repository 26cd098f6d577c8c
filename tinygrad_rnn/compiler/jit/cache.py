"""Where generated modules are kept, so that what numba compiled once is there the next time.

An entry is a folder named by a hash of a module's text and of all that it depends on: the text, what numba makes of it,
and the sums of these files. numba's files run code as they are read, so whoever writes them runs code in this
process: an entry is used only if it, and the folder of all entries, belong to the user, if nobody else can write to
them, and if the files are those whose sums were written down. The folder is that of the platform, or
`TINYGRAD_RNN_CACHE`; `NUMBA_CACHE_DIR` moves numba's files elsewhere, where nothing is checked.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.abc
import importlib.util
import os
import shutil
import stat
import sys
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

VARIABLE = "TINYGRAD_RNN_CACHE"
#: the file with the sums of all others of an entry
SUMS = "sums.sha256"
_LOCK = RLock()


def folder() -> Path:
    """The cache folder; it need not exist.

    >>> from tinygrad_rnn.compiler.jit.cache import folder
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
    """The module with this text, as it was kept, or made and kept.

    `depends` names what else its meaning depends on. What is damaged is discarded, with a warning. Where the folder
    cannot be written to, or others could have written to it, one of this process alone takes its place, with a warning.
    """
    depends = f"{depends} {sys.version_info} {_version('numba')}"
    name = "plan_" + hashlib.sha256(f"{depends}\n{text}".encode()).hexdigest()[:24]
    with _LOCK:
        if name not in sys.modules:
            place = _place(folder())
            entry = place / name
            if os.path.lexists(entry) and (damage := _damage(entry)):
                warnings.warn(f"{entry} is damaged ({damage}): discarded, and compiled anew", stacklevel=2)
                _discard(entry)
            if entry.exists():
                _import(name, text, entry)
                _seal(entry)  # another processor has added code of its own
            else:
                _keep(name, text, entry)
        return sys.modules[name]


def _keep(name: str, text: str, entry: Path) -> None:
    """Make a module, and the entry with all that belongs to it at once: no other process sees a part of it."""
    made = Path(tempfile.mkdtemp(dir=entry.parent, prefix=f".{name}-"))
    try:
        (made / f"{name}.py").write_text(text, encoding="utf-8")
        _import(name, text, made)
        _seal(made)
        with suppress(OSError):  # another process was sooner
            made.rename(entry)
            sys.modules[name].__file__ = str(entry / f"{name}.py")
    finally:
        shutil.rmtree(made, ignore_errors=True)


class _Text(importlib.abc.SourceLoader):
    """Loads a text, whatever stands in the file of its name by now, and no bytecode kept beside it."""

    def __init__(self, text: str, path: Path) -> None:
        self.text, self.path = text, path

    def get_data(self, path: Any) -> bytes:
        """The text."""
        return self.text.encode()

    def get_filename(self, fullname: str) -> str:
        """The file where numba looks for what it kept."""
        return str(self.path)


def _import(name: str, text: str, entry: Path) -> None:
    path = entry / f"{name}.py"
    loader = _Text(text, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # before it runs: numba looks there for the module a function belongs to
    try:
        loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise


# -- who could have written it, and whether it is what was written ----------------------------------------------------
def _place(wanted: Path) -> Path:
    """The folder, made if need be; another one if it is not the user's alone."""
    try:
        wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = wanted.resolve()
        reason = _strange(place) or next(filter(None, map(_open_to_all, place.parents)), "")
        if not reason and not os.access(place, os.W_OK):
            reason = f"{place} cannot be written to"
    except OSError as error:
        reason = str(error)
    return _of_this_process(reason) if reason else place


@cache
def _of_this_process(reason: str) -> Path:
    mend = f"make it yours alone (chmod 700), or name another folder in {VARIABLE}"
    warnings.warn(f"compiled code is not kept for the next process: {reason}; {mend}", stacklevel=4)
    made = Path(tempfile.mkdtemp(prefix="tinygrad_rnn-"))  # a new one, which nobody else can enter
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _strange(path: Path) -> str:
    """Why others than the user could have written to a folder; empty if they could not (or where rights have no such
    form)."""
    if not hasattr(os, "getuid"):
        return ""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is no folder"
    if found.st_uid != os.getuid():
        return f"{path} belongs to another user"
    return f"{path} can be written to by other users" if found.st_mode & 0o022 else ""


def _open_to_all(path: Path) -> str:
    """Why anybody could put another folder in place of one inside of this."""
    mode = path.stat().st_mode
    return f"in {path} everybody can replace everything" if mode & stat.S_IWOTH and not mode & stat.S_ISVTX else ""


def _damage(entry: Path) -> str:
    """What is wrong with an entry; empty if it is what was kept."""
    if reason := _strange(entry):
        return reason
    try:
        kept = (entry / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"{SUMS}: {error}"
    return "" if kept == _sums(entry) else "its files are not those that were written"


def _seal(entry: Path) -> None:
    """Write down what an entry consists of."""
    sums, path = _sums(entry), entry / SUMS
    if not path.exists() or path.read_text(encoding="utf-8") != sums:
        handle, temporary = tempfile.mkstemp(dir=entry.parent, prefix=".sums-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(sums)
        os.replace(temporary, path)


def _sums(entry: Path) -> str:
    files = sorted(path for path in entry.rglob("*") if not path.is_dir() and path.name != SUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(entry)}\n" for path in files)


def _discard(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
