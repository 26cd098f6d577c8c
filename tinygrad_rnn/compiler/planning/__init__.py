"""From a program to a plan: stages of instructions on named buffers."""

from . import diagram as _diagram  # so that every plan can be drawn

__all__: list[str] = []
