"""Batches know the epoch they belong to, whatever iterates and wherever."""

import pickle
from collections.abc import Iterable

import pytest
import torch

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.loader.epochs import Batch, EpochLoader, keyed, shuffling


class Epochs(EpochLoader):
    """Yields (epoch, numbers)."""

    def __init__(self, size: int, **kwargs) -> None:
        super().__init__(range(size), collate_fn=self.collate_fn, **kwargs)

    def collate_fn(self, numbers: Batch) -> tuple[int, list[int]]:
        return self.epoch_of(numbers), list(numbers)


def epochs_of(iterator: Iterable) -> set[int]:
    return {epoch for epoch, _ in iterator}


@pytest.mark.parametrize(
    "options", [{}, {"num_workers": 2}, {"num_workers": 1, "persistent_workers": True}]
)
def test_every_iteration_is_an_epoch(options: dict) -> None:
    loader = Epochs(10, batch_size=3, **options)
    assert len(loader) == 4
    for epoch in range(3):
        assert list(loader) == [
            (epoch, [0, 1, 2]),
            (epoch, [3, 4, 5]),
            (epoch, [6, 7, 8]),
            (epoch, [9]),
        ]


def test_two_iterators_are_independent() -> None:
    loader = Epochs(6, batch_size=2)
    first, second = iter(loader), iter(loader)
    mixed = [next(i) for i in (first, second, second, first, first, second)]
    assert [epoch for epoch, _ in mixed] == [0, 1, 1, 0, 0, 1]
    assert epochs_of(loader) == {2}


def test_an_iterator_that_stops_early_leaves_the_next_whole() -> None:
    loader = Epochs(6, batch_size=2)
    next(iter(loader))
    assert [numbers for _, numbers in loader] == [[0, 1], [2, 3], [4, 5]]


def test_the_epoch_can_be_set() -> None:
    loader = Epochs(4, batch_size=2)
    loader.epoch = 7
    assert epochs_of(loader) == {7}
    assert loader.epoch_of([0]) == 8


def test_a_batch_sampler_of_ones_own() -> None:
    loader = Epochs(4, batch_sampler=[[3, 1], [0]])
    assert list(loader) == [(0, [3, 1]), (0, [0])]


@pytest.mark.parametrize("drop_last", [False, True])
def test_last_batch(drop_last: bool) -> None:
    assert len(list(Epochs(7, batch_size=3, drop_last=drop_last))) == 3 - drop_last


@pytest.mark.parametrize(
    ("size", "error"), [(0, InputError), (-3, InputError), (1.5, DtypeError), (None, DtypeError)]
)
def test_refuses_a_batch_size(size, error) -> None:
    with pytest.raises(error, match="batch_size"):
        Epochs(4, batch_size=size)


def shuffled(**options) -> list:
    """The batches of two epochs."""
    loader = Epochs(50, batch_size=20, shuffle=True, **shuffling(options, 3))
    return [*loader, *loader]


def test_a_seed_decides_the_order_of_an_epoch() -> None:
    assert shuffled() == shuffled()
    assert shuffled() == shuffled(num_workers=1)
    assert shuffled() == shuffled(num_workers=1, persistent_workers=True)
    first, second = shuffled()[:3], shuffled()[3:]
    assert [numbers for _, numbers in first] != [numbers for _, numbers in second]
    loader = Epochs(50, batch_size=20, shuffle=True, **shuffling({}, 3))
    loader.epoch = 1
    assert list(loader) == second


def test_a_generator_of_ones_own_is_kept() -> None:
    given = torch.Generator().manual_seed(9)
    assert shuffling({"generator": given}, 3)["generator"] is given
    assert shuffling({}, None) == {}


def test_a_shuffle_can_be_sent() -> None:
    shuffle, sent = keyed(7), pickle.loads(pickle.dumps(keyed(7)))
    for generator in (shuffle, sent):
        generator.begin(2)
    assert torch.randperm(9, generator=sent).equal(torch.randperm(9, generator=shuffle))
