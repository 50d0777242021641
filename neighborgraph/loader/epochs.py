"""A data loader whose batches know which pass over the data they belong to."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.loader.cursor import Cursor, Delivery, cursor_of, order_of


class Batch(list):
    """Numbers of seeds, and the pass they are drawn in."""

    def __init__(self, numbers: Sequence[int], epoch: int) -> None:
        super().__init__(numbers)
        self.epoch = epoch


class Numbers(Dataset):
    """The numbers of ``size`` seeds; a batch of them is handed on as it is."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: int) -> int:
        return number

    def __getitems__(self, batch: Batch) -> Batch:
        """The batch with its epoch, which a list of items would lose."""
        return batch


class Shuffle(torch.Generator):
    """A generator whose numbers in an epoch follow from a key and the epoch alone.

    The order of seeds is then the same however often the generator was used before, which depends
    on how workers are kept. It can be sent to a spawned process, which Torch's own cannot.
    """

    key = 0

    def __reduce__(self) -> tuple:
        return keyed, (self.key,)

    def begin(self, epoch: int) -> None:
        """Start the numbers of an epoch."""
        digest = hashlib.sha256(f"{self.key} {epoch}".encode()).digest()
        self.manual_seed(int.from_bytes(digest[:8], "little"))


def keyed(key: int) -> Shuffle:
    """The generator of a key."""
    shuffle = Shuffle()
    shuffle.key = key
    return shuffle


class Numbered:
    """Batches of a loader's sampler, each with the epoch of the iterator it is drawn for.

    The epoch travels with the batches, because worker processes may outlive an epoch and two
    iterators may run at once.
    """

    def __init__(self, loader: "EpochLoader", batches: Any) -> None:
        self.loader = loader
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        cursor = self.loader.cursor
        return numbered(self.batches, cursor.epoch, cursor.batches, self.loader.generator)


def numbered(
    batches: Iterable[Sequence[int]], epoch: int, begin: int, generator: torch.Generator | None
) -> Iterator[Batch]:
    """The batches of an epoch from number ``begin`` on; those before are counted, not sampled."""
    if isinstance(generator, Shuffle):
        generator.begin(epoch)
    for numbers in islice(batches, begin, None):
        yield Batch(numbers, epoch)


class EpochLoader(DataLoader):
    """What our loaders put between PyG's and Torch's.

    Attributes:
        cursor: Where the iterator made last stands, or where the next one begins if that is done.
    """

    def __init__(self, dataset: Sequence[int], **kwargs: Any) -> None:
        if kwargs.get("batch_sampler") is None:
            expect_batch_size(kwargs.get("batch_size", 1))
        self.epoch = 0
        super().__init__(Numbers(len(dataset)), **kwargs)

    @property
    def epoch(self) -> int:
        """The pass that the next iterator will draw; every iterator adds one.

        Set it to draw another one, from its beginning.
        """
        return self.upcoming.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.cursor = self.upcoming = Cursor(epoch)

    @property
    def seed(self) -> int | None:
        """What decides the samples beside the epoch; None where nothing is sampled."""
        return None

    def __iter__(self) -> Any:
        """An iterator over the next pass, or over the rest of it after `load_state_dict`."""
        self.cursor, self.upcoming = self.upcoming, Cursor(self.upcoming.epoch + 1)
        return Delivery(super().__iter__(), self.cursor, self.end)

    def end(self, cursor: Cursor) -> None:
        """Note that a pass is over, unless another began since."""
        if self.cursor is cursor:
            self.cursor = self.upcoming

    def state_dict(self) -> dict[str, Any]:
        """Where the iterator made last stands, for `load_state_dict` of a loader made like this.

        Returns:
            ``epoch`` and ``batches``, how many of its batches were handed out (0 of the next epoch
            after the last); and what their sequence depends on. All are ints, strings or None.
        """
        return {
            "epoch": self.cursor.epoch,
            "batches": self.cursor.batches,
            "seed": self.seed,
            "order": order_of(self),
            "size": len(self.dataset),  # pyright: ignore[reportArgumentType]
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iterator go on where another loader stood; its batches are the same.

        ``num_workers`` may be another. A ``sampler`` or ``batch_sampler`` of the caller's has to
        repeat its order.

        Args:
            state: Of `state_dict`.

        Raises:
            InputError: The state is of a loader with another seed, order, number of seeds or batch
                size, or the order is a random one without ``seed=``.
            DtypeError: An entry is no int.
        """
        self.cursor = self.upcoming = cursor_of(state, self.state_dict())

    @property
    def _index_sampler(self) -> Numbered:
        return Numbered(self, super()._index_sampler)

    def epoch_of(self, numbers: Any) -> int:
        """The pass that a batch belongs to; a plain list belongs to the next one."""
        return numbers.epoch if isinstance(numbers, Batch) else self.epoch


def expect_batch_size(size: object) -> None:
    """Refuse a number of seeds that is none."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise DtypeError(f"batch_size must be an int, got {size!r}")
    if size < 1:
        raise InputError(f"batch_size = {size} must be at least 1")


def shuffling(kwargs: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """Options of the data loader in which a given seed also decides the order."""
    if seed is None or kwargs.get("generator") is not None:
        return kwargs
    return {**kwargs, "generator": keyed(seed)}
