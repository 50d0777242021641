"""Events are sorted once and stay whole: every batch, window and part holds its own, in order."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Events


def stream(times: list, *, nodes: int = 4, dtype: torch.dtype = torch.int64) -> Events:
    """Events 0 -> 1, 1 -> 2, ... whose feature is their place in the input."""
    place = torch.arange(len(times))
    return Events.of(
        place % nodes,
        (place + 1) % nodes,
        torch.tensor(times, dtype=dtype),
        nodes,
        feature=place[:, None].float(),
        label=place,
    )


def test_sorting_is_stable_and_moves_everything() -> None:
    events = stream([5, -2, 5, 0, -2])
    assert events.time.tolist() == [-2, -2, 0, 5, 5]
    assert events.event.tolist() == [0, 1, 2, 3, 4]
    assert events.source.tolist() == [1, 0, 3, 0, 2]
    assert events.destination.tolist() == [2, 1, 0, 1, 3]
    assert events.feature is not None
    assert events.feature.flatten().tolist() == [1, 4, 3, 0, 2]
    assert events.label is not None
    assert events.label.tolist() == [1, 4, 3, 0, 2]
    assert "5 events of 4 nodes" in repr(events)


@pytest.mark.parametrize(
    ("times", "dtype"),
    [
        ([1_700_000_000_000_000_001, 1_700_000_000_000_000_000], torch.int64),
        ([2**63 - 1, -(2**63)], torch.int64),
        ([1.7e9 + 2**-20, 1.7e9], torch.float64),
    ],
)
def test_times_are_exact(times: list, dtype: torch.dtype) -> None:
    events = stream(times, dtype=dtype)
    assert events.time.dtype == dtype
    assert events.time.tolist() == sorted(times)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_batches_join_to_the_whole(size: int) -> None:
    events = stream(list(range(7)))
    batches = list(events.batches(size))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    for name in ("source", "destination", "time", "event", "feature", "label"):
        joined = torch.cat([getattr(batch, name) for batch in batches])
        assert torch.equal(joined, getattr(events, name))
    assert {batch.num_nodes for batch in batches} == {4}


def test_windows_by_hand() -> None:
    events = stream([10, 11, 13, 19, 20, 40])
    assert [w.time.tolist() for w in events.windows(5)] == [[10, 11, 13], [19], [20], [40]]
    assert [w.event.tolist() for w in events.windows(10)] == [[0, 1, 2, 3], [4], [5]]
    floats = stream([0.0, 0.24, 0.25, 1.0], dtype=torch.float64)
    assert [w.time.tolist() for w in floats.windows(0.25)] == [[0.0, 0.24], [0.25], [1.0]]
    assert list(stream([]).windows(5)) == list(stream([]).batches(5)) == []


@given(st.lists(st.integers(-50, 50), min_size=1), st.integers(1, 30))
def test_windows_join_to_the_whole_and_keep_their_bounds(times: list[int], span: int) -> None:
    events = stream(times)
    windows = list(events.windows(span))
    assert torch.equal(torch.cat([w.event for w in windows]), events.event)
    numbers = [((w.time - events.time[0]) // span).unique().tolist() for w in windows]
    assert all(len(number) == 1 for number in numbers)
    assert len({number[0] for number in numbers}) == len(windows)


@given(st.lists(st.integers(0, 40), min_size=3, max_size=60))
def test_a_split_is_that_by_quantiles_of_time(times: list[int]) -> None:
    events = stream(times)
    ends = np.quantile(np.array(times), [0.70, 0.85])
    counts = [int((np.array(times) <= end).sum()) for end in ends]
    sizes = counts[0], counts[1] - counts[0], len(times) - counts[1]
    if 0 in sizes:
        with pytest.raises(InputError, match="events of one time stay together"):
            events.split()
        return
    split = events.split()
    assert (len(split.train), len(split.val), len(split.test)) == sizes
    assert split.train.time.max() < split.val.time.min()
    assert split.val.time.max() < split.test.time.min()
    assert split.hidden.numel() == 0
    assert not split.is_new(events).any()


def test_an_inductive_split_hides_nodes_from_training() -> None:
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(50, (2, 400), generator=generator)
    events = Events.of(ends[0], ends[1], torch.arange(400), 50)
    split, whole = events.split_inductive(0.1, seed=3), events.split()
    assert split.hidden.numel() == 5
    assert torch.isin(split.hidden, torch.cat([whole.val.nodes, whole.test.nodes])).all()
    assert not split.is_new(split.train).any()
    assert torch.equal(split.train.event, whole.train.event[~split.is_new(whole.train)])
    assert torch.equal(split.test.event, whole.test.event)
    assert 0 < split.is_new(split.test).sum() < len(split.test)
    again, other = (events.split_inductive(0.1, seed=seed) for seed in (3, 4))
    assert torch.equal(again.hidden, split.hidden)
    assert not torch.equal(other.hidden, split.hidden)


def test_splits_that_are_none_are_refused() -> None:
    events = stream(list(range(20)))
    for quantiles in ((0.0, 0.5), (0.5, 0.5), (0.8, 0.7), (0.5, 1.0)):
        with pytest.raises(InputError, match="must be quantiles with 0 < train_until"):
            events.split(*quantiles)
    with pytest.raises(InputError, match="the train part of 0 events is empty"):
        stream([]).split()
    for fraction in (0.0, 1.0):
        with pytest.raises(InputError, match=r"fraction = .* must be in \(0, 1\)"):
            events.split_inductive(fraction, 0)
    with pytest.raises(InputError, match="would hide 0, of 4"):
        events.split_inductive(0.2, 0)
    with pytest.raises(InputError, match="hide a smaller fraction"):
        events.split_inductive(0.9, 0)


def test_moves_to_another_device() -> None:
    moved = stream([1, 2]).to("meta")
    assert (moved.device.type, moved.num_nodes, len(moved)) == ("meta", 4, 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"source": [0, 4]}, InputError, r"source\[1\] = 4 is outside \[0, 4\)"),
        ({"destination": [-1, 0]}, InputError, r"destination\[0\] = -1 is outside"),
        ({"destination": [0]}, InputError, r"destination must have shape \[2\]"),
        ({"source": [0.0, 1.0]}, DtypeError, "source must be one of int64"),
        ({"time": torch.tensor([1.0, torch.nan]).double()}, InputError, r"time\[1\] = nan"),
        ({"time": torch.tensor([torch.inf, 1]).double()}, InputError, r"time\[0\] = inf"),
        ({"time": torch.ones(2)}, DtypeError, "time is float32, in which times beyond"),
        ({"time": torch.ones(2).int()}, DtypeError, "time must be one of int64, float64"),
        ({"time": [1]}, InputError, r"time must have shape \[2\]"),
        ({"feature": [[1.0]]}, InputError, r"feature must have shape \[2, 1\]"),
        ({"label": torch.tensor(1)}, InputError, r"label must have shape \[2\]"),
        ({"label": torch.ones(2, device="meta")}, DeviceError, "label is on meta"),
        ({"num_nodes": -1}, InputError, "num_nodes = -1 is outside"),
        ({"num_nodes": 4.0}, DtypeError, "num_nodes must be an int"),
    ],
)
def test_faults_are_refused(change: dict, error: type[Exception], message: str) -> None:
    arguments: dict = {"source": [0, 1], "destination": [1, 2], "time": [3, 4], "num_nodes": 4}
    arguments |= change
    for name, value in arguments.items():
        arguments[name] = torch.tensor(value) if isinstance(value, list) else value
    with pytest.raises(error, match=message):
        Events.of(**arguments)


def test_faults_of_batches_are_refused() -> None:
    events = stream([1, 2])
    for size in (0, -3):
        with pytest.raises(InputError, match=f"size = {size} must be above 0"):
            events.batches(size)
        with pytest.raises(InputError, match=f"span = {size} must be above 0"):
            events.windows(size)
    for size in (True, None):
        with pytest.raises(DtypeError, match="size must be a number"):
            events.batches(size)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match="must be an int, because the times are int64"):
        events.windows(0.5)
    with pytest.raises(InputError, match="more than 63 bits"):
        stream([-(2**63), 2**63 - 1]).windows(5)
