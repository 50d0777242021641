"""Bugs of the kinds that kernels and models have, each a change of one place in a source file."""

from . import attend, models, operators, sampling
from .bug import Bug

__all__ = ["BUGS", "Bug"]

BUGS = (*attend.BUGS, *operators.BUGS, *sampling.BUGS, *models.BUGS)
