"""Fields of the dataclasses that describe a recipe's sections: a range or a choice of values."""

import math
from dataclasses import MISSING, field
from typing import Any


def number(
    low: float = -math.inf, high: float = math.inf, default: Any = MISSING, optional: bool = False
) -> Any:
    """A field with an allowed range [low, high]; an optional one may be None, which is absent."""
    metadata = {"low": low, "high": high}
    if optional:
        return field(default=None, metadata=metadata)
    return field(default=default, metadata=metadata)


def choice(*values: str) -> Any:
    """A field with one of ``values``, the first when nothing is said."""
    return field(default=values[0], metadata={"values": values})
