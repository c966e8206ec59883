"""A language model whose neurons can be read, and the instrument that proves it."""

__version__ = "0.1.0"
