"""The version, in the one place where it is kept; the build reads it from here."""

__version__ = "0.1.0"
