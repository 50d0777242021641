"""Where a loader stands in its passes over the data, and the state that another can go on from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch.utils.data import SequentialSampler

from neighborgraph.errors import DtypeError, InputError

RANDOM = "random"
"""An order that only a generator of Torch's knows, and that it will not repeat."""


@dataclass
class Cursor:
    """A place in the passes over the data.

    Attributes:
        epoch: Which pass.
        batches: How many of its batches have been handed out.
    """

    epoch: int
    batches: int = 0


class Delivery:
    """The batches of one pass; its cursor moves on when one is handed out.

    Worker processes draw ahead, so neither they nor the sampler of the order know what was used.
    """

    def __init__(self, batches: Any, cursor: Cursor, end: Callable[[Cursor], None]) -> None:
        self.batches = batches
        self.cursor = cursor
        self.end = end

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> "Delivery":
        return self

    def __next__(self) -> Any:
        try:
            batch = next(self.batches)
        except StopIteration:
            self.end(self.cursor)
            raise
        self.cursor.batches += 1
        return batch


def order_of(loader: Any) -> str:
    """The order of a data loader's items, in words that are equal where the order is."""
    if loader.batch_size is None:
        return "batch_sampler"
    if isinstance(loader.sampler, SequentialSampler):
        return "sequential"
    if not hasattr(loader.sampler, "generator"):
        return "sampler"
    key = getattr(loader.sampler.generator, "key", None)
    return RANDOM if key is None else f"seed {key}"


def cursor_of(state: Mapping[str, Any], loader: Mapping[str, Any]) -> Cursor:
    """The cursor in a state, for a loader whose own state is ``loader``.

    Raises:
        InputError: An entry is missing, negative or not that of this loader, or the order cannot
            be repeated.
        DtypeError: An entry is no int.
    """
    missing = [name for name in loader if name not in state]
    if missing:
        raise InputError(
            f"state has no {missing[0]!r}; pass what state_dict() of a loader returned"
        )
    for name in ("epoch", "batches"):
        value = state[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise DtypeError(f"state[{name!r}] must be an int, got {value!r}")
        if value < 0:
            raise InputError(f"state[{name!r}] = {value} must be at least 0")
    cursor = Cursor(state["epoch"], state["batches"])
    for name, value in loader.items():
        if name not in ("epoch", "batches") and state[name] != value:
            raise InputError(
                f"state is of a loader with {name} = {state[name]!r}, but this one has {value!r}; "
                "make it like that one, with seed= among its arguments"
            )
    if cursor.batches and loader["order"] == RANDOM:
        raise InputError(
            f"state is {cursor.batches} batches into an epoch whose order cannot be repeated; "
            "shuffle with seed= and without a generator"
        )
    return cursor
