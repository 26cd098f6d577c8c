"""Put a picture into a file: which writer for which suffix, and never half a file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

from ...core.atomic_files import write_atomically
from ...core.errors import GraphError
from ..heat import HeatMap
from ..layout.placement import Layout, lay_out
from ..view.options import view
from .svg import to_svg

TEXT = (".dot", ".gv")
BY_GRAPHVIZ = (".pdf", ".png")


def write_picture(graph: Any, path: Path, options: dict[str, Any]) -> Path:
    """Draw `graph` into `path`; see `tinygrad_rnn.drawing.write`."""
    suffix = path.suffix.lower()
    if suffix not in (*TEXT, ".svg", *BY_GRAPHVIZ):
        raise GraphError(
            f"{path}: no format for {suffix or 'a name without suffix'!r}; use .svg, .pdf, .png, .dot or .gv"
        )
    if suffix in BY_GRAPHVIZ and shutil.which("dot") is None:
        raise GraphError(
            f"{path}: {suffix} is made by graphviz's dot program, which is not installed (apt install graphviz, "
            f"brew install graphviz); {path.with_suffix('.svg').name} needs nothing"
        )
    if isinstance(graph, HeatMap):
        if suffix != ".svg" or options:
            raise GraphError(f"{path}: a heat map is written as .svg, and has its options already")
        return write_atomically(path, str(graph).encode())
    layout = getattr(graph, "placed", None) if not options else None
    return write_atomically(path, _content(layout or lay_out(view(graph, **options)), suffix))


def _content(layout: Layout, suffix: str) -> bytes:
    dot = shutil.which("dot")
    if suffix == ".svg" and dot is None:
        return to_svg(layout).encode()
    from .dot import to_digraph  # graphviz, which SVG does not need

    source = to_digraph(layout).source.encode()
    if suffix in TEXT or dot is None:
        return source
    done = subprocess.run([dot, "-T" + suffix[1:]], input=source, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        if suffix == ".svg":
            return to_svg(layout).encode()
        raise GraphError(f"dot could not make {suffix[1:]}: {done.stderr.decode(errors='replace').strip()[:300]}")
    return _signed(done.stdout) if suffix == ".png" else done.stdout


def _signed(png: bytes) -> bytes:
    """The picture with the name of its maker, behind its first chunk: a PNG by dot names none."""
    text = b"tEXtSoftware\0tinygrad-rnn"
    head = 8 + 25
    return png[:head] + pack(">I", len(text) - 4) + text + pack(">I", crc32(text)) + png[head:]
