"""The equation files that ship with the package, by name."""

from ..language.shipped import names, resolve

__all__ = ["names", "resolve"]
