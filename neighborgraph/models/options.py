"""Checks that the constructors of all models share."""

import math

from neighborgraph.errors import InputError


def expect_options(*, dropout: float, **widths: int) -> None:
    """Refuse a width below 1 and a dropout probability outside [0, 1), by name."""
    expect_counts(**widths)
    expect_dropout(dropout=dropout)


def expect_counts(**counts: int) -> None:
    """Refuse a count below 1, by name."""
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name}={count} must be at least 1")


def expect_dropout(**probabilities: float) -> None:
    """Refuse a probability outside [0, 1), by name."""
    for name, probability in probabilities.items():
        if not 0 <= probability < 1:
            raise InputError(f"{name}={probability} is outside [0, 1)")


def expect_weights(**weights: float) -> None:
    """Refuse a weight that is negative or not finite, by name."""
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise InputError(f"{name}={weight} must be finite and 0 or more")
