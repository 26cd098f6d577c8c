"""Files that are whole or not there: whoever looks, or is killed, meets the old one or the new one."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: bytes, durable: bool = False) -> Path:
    """Write beside the target and move it there; returns the path.

    `durable` forces the file and its name to disk before it returns. A link is followed, its target replaced. Raises
    `OSError` naming the target, also for a folder or a device; what was there stays.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "a.txt"), b"whole").read_bytes()
    b'whole'
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.exists() and not target.is_file():
        raise OSError(errno.EEXIST, "this is no file, and nothing is written over it", str(path))
    try:
        handle, temporary = tempfile.mkstemp(suffix=".tmp", prefix=f".{target.name[:50]}.", dir=target.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable and os.name == "posix":  # the new name must be on disk as well
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return path


def printable(path: str | Path) -> str:
    """A path as it can be shown: what is no UTF-8, or would move a terminal's cursor, by its code.

    >>> printable("a\\x1b[2J.rnn"), printable("é.rnn")
    ('a\\\\x1b[2J.rnn', 'é.rnn')
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
