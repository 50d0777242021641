"""Checks that the constructors of all models share."""

from neighborgraph.errors import InputError


def expect_options(*, dropout: float, **widths: int) -> None:
    """Refuse a width below 1 and a dropout probability outside [0, 1), by name."""
    for name, width in widths.items():
        if width < 1:
            raise InputError(f"{name}={width} must be at least 1")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout={dropout} is outside [0, 1)")
