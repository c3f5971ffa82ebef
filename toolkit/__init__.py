"""fmnist-tk: from a checkpoint to the fastest artifact that provably computes the same function.

Importing this package imports no runtime; each part is imported by the command that needs it.
"""

__all__ = ["__version__"]

#: The one place of the version: the build reads it from here.
__version__ = "0.1.0"
