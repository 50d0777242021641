"""What is measured, by the names that were typed."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError

T = TypeVar("T")


def by_name(
    kind: str, known: Mapping[str, T], typed: Iterable[str], default: Iterable[str]
) -> list[T]:
    """What the typed names stand for, or the default ones where none were typed.

    Args:
        kind: What they are, for the error.
        known: By name.
        typed: Names.
        default: Names.

    Raises:
        ConfigError: A name is unknown; says which are known, and the nearest.
    """
    names = list(typed) or list(default)
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown {kind} {name!r}{nearest(name, known)} ({', '.join(known)})")
    return [known[name] for name in names]
