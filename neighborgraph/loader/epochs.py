"""A data loader whose batches know which pass over the data they belong to."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from neighborgraph.errors import DtypeError, InputError


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
    """Batches of a loader's sampler, each with the epoch of the iterator it came from.

    An epoch begins with an iterator's first batch. It travels with the batches, because worker
    processes may outlive an epoch and two iterators may run at once.
    """

    def __init__(self, loader: "EpochLoader", batches: Any) -> None:
        self.loader = loader
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.loader.epoch
        self.loader.epoch += 1
        if isinstance(self.loader.generator, Shuffle):
            self.loader.generator.begin(epoch)
        for numbers in self.batches:
            yield Batch(numbers, epoch)


class EpochLoader(DataLoader):
    """What our loaders put between PyG's and Torch's.

    Attributes:
        epoch: The pass that the next iterator will draw; every iterator adds one. Set it to
            continue from there.
    """

    epoch = 0

    def __init__(self, dataset: Sequence[int], **kwargs: Any) -> None:
        if kwargs.get("batch_sampler") is None:
            expect_batch_size(kwargs.get("batch_size", 1))
        super().__init__(Numbers(len(dataset)), **kwargs)

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
