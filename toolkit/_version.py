"""The one place of the version: the build reads it from here, and no import leads to anything else."""

__version__ = "0.1.0"
