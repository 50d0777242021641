"""A state says what was handed out, and only a loader of the same sequence takes it."""

import itertools
import json
from typing import Any

import pytest
import torch
from torch.utils.data import SubsetRandomSampler

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.loader.cursor import order_of
from neighborgraph.loader.epochs import EpochLoader, shuffling


def loader_of(size: int = 10, seed: int | None = 3, **options: Any) -> EpochLoader:
    """Yields (epoch, numbers)."""
    options = {"batch_size": 3, **shuffling(options, seed)}
    loader: Any = None

    def collate(numbers: Any) -> tuple[int, list[int]]:
        return loader.epoch_of(numbers), list(numbers)

    loader = EpochLoader(range(size), collate_fn=collate, **options)
    return loader


def place(loader: EpochLoader) -> tuple[int, int]:
    state = loader.state_dict()
    return state["epoch"], state["batches"]


@pytest.mark.parametrize(
    "options", [{}, {"num_workers": 2}, {"num_workers": 1, "persistent_workers": True}]
)
def test_it_counts_what_was_handed_out(options: dict) -> None:
    loader = loader_of(**options)
    assert place(loader) == (0, 0)
    for epoch in range(2):
        for number, _ in enumerate(loader):
            assert place(loader) == (epoch, number + 1)
        assert place(loader) == (epoch + 1, 0)


def test_a_pass_that_was_left_is_where_it_was() -> None:
    loader = loader_of()
    for _ in itertools.islice(loader, 2):
        pass
    assert place(loader) == (0, 2)
    assert [epoch for epoch, _ in loader] == [1] * 4  # the loader itself goes on with the next


def test_the_iterator_made_last_counts() -> None:
    loader = loader_of()
    first, second = iter(loader), iter(loader)
    next(first)
    assert place(loader) == (1, 0)
    next(second)
    assert place(loader) == (1, 1)
    assert len(list(first)) == 3  # its end is none of the second's
    assert place(loader) == (1, 1)


def test_setting_the_epoch_begins_it() -> None:
    loader = loader_of()
    next(iter(loader))
    loader.epoch = 5
    assert place(loader) == (5, 0)
    assert [epoch for epoch, _ in loader] == [5] * 4


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batches", [0, 1, 3, 4])
def test_another_loader_goes_on(batches: int, shuffle: bool) -> None:
    whole = loader_of(shuffle=shuffle)
    expected = [*whole, *whole, *whole]
    killed = loader_of(shuffle=shuffle)
    list(killed)
    iterator = iter(killed)
    seen = [next(iterator) for _ in range(batches)]
    state = json.loads(json.dumps(killed.state_dict()))
    resumed = loader_of(shuffle=shuffle)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert resumed.epoch == 1
    rest = list(resumed)
    assert len(rest) == 4 - batches  # none after the last: that epoch is done, not repeated
    assert [*seen, *rest, *resumed] == expected[4:]


def test_persistent_workers_go_on() -> None:
    options: Any = {"num_workers": 1, "persistent_workers": True, "shuffle": True}
    loader = loader_of(**options)
    first, second = list(loader), list(loader)
    loader.load_state_dict({**loader.state_dict(), "epoch": 0, "batches": 3})
    assert [*loader, *loader] == [*first[3:], *second]


def test_orders() -> None:
    sampler: Any = [3, 1, 2]
    assert order_of(loader_of()) == "sequential"
    assert order_of(loader_of(shuffle=True)) == "seed 3"
    assert order_of(loader_of(shuffle=True, seed=None)) == "random"
    assert order_of(loader_of(shuffle=True, generator=torch.Generator())) == "random"
    assert order_of(loader_of(sampler=SubsetRandomSampler([1, 2]))) == "random"
    assert order_of(loader_of(sampler=sampler)) == "sampler"
    batches = EpochLoader(range(4), batch_sampler=[[3, 1], [0]])
    assert order_of(batches) == "batch_sampler"
    batches.load_state_dict({**batches.state_dict(), "batches": 1})
    assert [numbers.tolist() for numbers in batches] == [[0]]


def test_a_random_order_can_only_begin_again() -> None:
    loader = loader_of(shuffle=True, seed=None)
    list(loader)
    loader.load_state_dict(loader.state_dict())
    next(iter(loader))
    with pytest.raises(InputError, match=r"1 batches into an epoch .* cannot be repeated"):
        loader.load_state_dict(loader.state_dict())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epoch": -1}, InputError, r"\['epoch'\] = -1 must be at least 0"),
        ({"batches": 1.0}, DtypeError, r"\['batches'\] must be an int"),
        ({"batches": True}, DtypeError, r"\['batches'\] must be an int"),
        ({"seed": 4}, InputError, "seed = 4, but this one has None"),
        ({"size": 11}, InputError, "size = 11, but this one has 10"),
        ({"batch_size": 4}, InputError, "batch_size = 4, but this one has 3"),
        ({"drop_last": True}, InputError, "drop_last = True"),
        ({"order": "seed 9"}, InputError, "order = 'seed 9', but this one has 'sequential'"),
    ],
)
def test_refuses(change: dict, error: type, message: str) -> None:
    loader = loader_of()
    with pytest.raises(error, match=message):
        loader.load_state_dict({**loader.state_dict(), **change})
    with pytest.raises(InputError, match="no 'epoch'"):
        loader.load_state_dict({})
    assert place(loader) == (0, 0)
