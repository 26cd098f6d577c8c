"""The version of the package, for whatever names it without importing the whole of it."""

VERSION = "0.1.0"
