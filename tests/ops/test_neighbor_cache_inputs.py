"""neighbor_cache keeps what is unusual and refuses what is wrong, before a bit has changed."""

from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import CheckpointError, DeviceError, DtypeError, IdError, InputError
from neighborgraph.ops import (
    Hashed,
    NeighborTable,
    Recent,
    insert_events,
    insert_neighbors,
    join_neighbors,
    lookup_neighbors,
)
from neighborgraph.ops.neighbor_cache import op

POLICIES = [Recent(3), Hashed(3, 0.5)]


def integers(values: list[int] | int, device: str = "cpu") -> Tensor:
    return torch.tensor(values if isinstance(values, list) else [values], device=device)


def seen_by(table: NeighborTable, node: int, time: int | None = None) -> set[tuple]:
    """What a node remembers."""
    device = str(table.event.device)
    until = None if time is None else integers(time, device)
    found = lookup_neighbors(table, integers(node, device), until)
    shown = zip(found.neighbor[0], found.time[0], found.event[0], strict=True)
    return {tuple(x.item() for x in place) for place in shown if place[2] >= 0}


def filled(policy: Recent | Hashed, device: str = "cpu") -> NeighborTable:
    """Five nodes of which the first two have met at time 10, by event 4."""
    table = NeighborTable.empty(5, policy, channels=2, device=device)
    one = integers(1, device)
    insert_events(table, one * 0, one, one * 10, one * 4)
    return table


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_what_is_unusual_is_ordinary(device: str, policy) -> None:
    one = integers(1, device)
    table = NeighborTable.empty(3, policy, device=device)
    assert seen_by(table, 0) == set()  # not node 0, which an empty slot might have held
    insert_events(table, one[:0], one[:0], one[:0], one[:0])
    assert table.last_event.item() == -1
    insert_events(table, one * 0, one * 1, one * -7, one * 0)  # the first event, before zero
    assert seen_by(table, 0) == {(1, -7, 0)}
    assert seen_by(table, 1) == {(0, -7, 0)}
    assert seen_by(table, 1, -7) == set()
    assert seen_by(table, 1, 0) == {(0, -7, 0)}
    insert_events(table, one * 2, one * 2, one * 0, one * 1)  # a loop takes one slot
    assert seen_by(table, 2) == {(2, 0, 1)}
    last = 2**63 - 1
    insert_events(table, one * 0, one * 1, one * last, one * last)
    assert (1, last, last) in seen_by(table, 0)
    found = lookup_neighbors(table, one * 0, one * last)
    assert last not in found.event
    assert lookup_neighbors(table, one[:0]).neighbor.shape == (0, 3)


def test_a_pair_again_and_again(device: str) -> None:
    count = torch.arange(1000, device=device)
    recent, hashed = (
        NeighborTable.empty(2, policy, device=device) for policy in (Recent(3), Hashed(3))
    )
    for table in (recent, hashed):
        insert_events(table, count % 2, (count + 1) % 2, count // 2, count)
    for node in (0, 1):
        newest = {(1 - node, 499, 999), (1 - node, 499, 998), (1 - node, 498, 997)}
        assert seen_by(recent, node) == newest
        assert seen_by(hashed, node) == {(1 - node, 499, 999)}


@pytest.mark.parametrize("size", [1, 33, 1500])
def test_one_node_in_all_events_of_a_batch(device: str, size: int) -> None:
    event = torch.arange(1200, device=device)
    table = NeighborTable.empty(1300, Recent(size), device=device)
    insert_events(table, event * 0, event + 1, event, event)
    found = lookup_neighbors(table, event[:1])
    kept = min(size, 1200)
    assert torch.equal(found.event[0, :kept], event.flip(0)[:kept])
    assert not found.mask[0, kept:].any()
    assert lookup_neighbors(table, event + 1).mask.sum() == 1200


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_neighbours_of_neighbours_go_in_as_they_were_found(device: str, policy) -> None:
    """-1 for none is left out, but counts as seen."""
    hops = [NeighborTable.empty(6, policy, device=device) for _ in range(2)]
    ends = torch.tensor([[0, 2, 1], [1, 3, 2]], device=device)
    for turn, (u, v) in enumerate(ends.T.tolist()):
        event = integers(turn, device)
        of_other = lookup_neighbors(hops[0], integers(v, device)).neighbor.flatten()
        several = event.expand(len(of_other)).contiguous()
        insert_neighbors(hops[1], several * 0 + u, of_other, several, several)
        insert_events(hops[0], integers(u, device), integers(v, device), event, event)
    assert seen_by(hops[1], 1) == {(3, 2, 2)}
    assert (hops[1].event >= 0).sum() == 1
    assert hops[1].last_event.item() == 2


# Arguments of one event that are changed, and how the refusal reads.
WRONG: list[tuple[dict, type[Exception], str]] = [
    ({"source": [5]}, IdError, r"source\[0\] = 5 is outside \[0, 5\), the nodes of the table"),
    ({"source": [-1]}, IdError, r"source\[0\] = -1 is outside"),
    ({"destination": [5]}, IdError, r"destination\[0\] = 5 is outside \[0, 5\)"),
    ({"destination": [-2]}, IdError, r"destination\[0\] = -2 is outside"),
    ({"event": [4]}, InputError, r"event\[0\] = 4 must rise from the latest event = 4"),
    ({"event": [3]}, InputError, r"event\[0\] = 3 must rise .* reset\(\) the table"),
    ({"event": [-1]}, InputError, r"event\[0\] = -1 is negative"),
    ({"time": [9]}, InputError, r"time\[0\] = 9 is a past event: it is before the table's latest"),
    ({"time": torch.tensor([9.5])}, DtypeError, "time is float32, in which times beyond"),
    ({"time": torch.tensor([11.0]).double()}, DtypeError, "time must be one of int64, got float64"),
    ({"source": torch.tensor([1.0])}, DtypeError, "source must be one of int64, got float32"),
    ({"event": integers(9).int()}, DtypeError, "event must be one of int64, got int32"),
    ({"destination": [1, 2]}, InputError, r"destination must have shape \[1\]"),
    ({"time": [11, 12]}, InputError, r"time must have shape \[1\]"),
    ({"source": torch.tensor(1)}, InputError, r"source must have shape \[e\]"),
    ({"source": 3}, DtypeError, "source must be a torch.Tensor, got int"),
    ({"event": integers(9).to("meta")}, DeviceError, "event is on meta"),
    ({"feature": torch.ones(1, 3)}, InputError, r"feature must have shape \[1, 2\]"),
    ({"feature": torch.ones(2, 2)}, InputError, r"feature must have shape \[1, 2\]"),
    ({"feature": torch.ones(1, 2).half()}, DtypeError, "feature must be one of float32"),
]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize(("change", "error", "message"), WRONG)
def test_a_wrong_event_is_refused_and_changes_nothing(policy, change, error, message) -> None:
    table = filled(policy)
    before = table.snapshot().tensors()
    arguments: dict[str, Any] = {"source": [2], "destination": [3], "time": [11], "event": [9]}
    arguments |= change
    for name, value in arguments.items():
        arguments[name] = torch.tensor(value) if isinstance(value, list) else value
    with pytest.raises(error, match=message):
        insert_events(table, **arguments)
    for name, tensor in table.tensors().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_a_wrong_line_in_the_middle_leaves_no_half_batch(policy) -> None:
    good = {"source": [0, 1, 2], "destination": [1, 2, 3], "time": [10, 11, 12], "event": [5, 6, 7]}
    for name, values, message in [
        ("time", [10, 12, 11], r"time\[2\] = 11 is a past event: it is before time\[1\] = 12"),
        ("event", [5, 7, 7], r"event\[2\] = 7 must rise from event\[1\] = 7"),
        ("event", [5, 7, 6], r"event\[2\] = 6 must rise from event\[1\] = 7"),
        ("source", [0, 1, 9], r"source\[2\] = 9 is outside"),
    ]:
        table = filled(policy)
        before = table.snapshot().tensors()
        arguments = {key: torch.tensor(value) for key, value in (good | {name: values}).items()}
        with pytest.raises(InputError, match=message):
            insert_events(table, **arguments)
        for key, tensor in table.tensors().items():
            assert torch.equal(tensor, before[key])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_times_that_are_no_numbers_are_refused(value: float) -> None:
    table = NeighborTable.empty(3, Recent(2), time_dtype=torch.float64)
    one = integers(1)
    with pytest.raises(InputError, match=rf"time\[0\] = {value} must be finite"):
        insert_events(table, one, one, torch.tensor([value], dtype=torch.float64), one)
    assert table.last_event.item() == -1


def test_neighbours_in_one_direction_are_refused_by_their_own_names() -> None:
    table, one = filled(Recent(3)), integers(1)
    with pytest.raises(IdError, match=r"node\[0\] = 5 is outside \[0, 5\)"):
        insert_neighbors(table, one * 5, one, one * 11, one * 9)
    with pytest.raises(InputError, match=r"neighbor\[0\] = -2 is below -1, which stands for"):
        insert_neighbors(table, one, -2 * one, one * 11, one * 9)
    with pytest.raises(InputError, match=r"event\[0\] = 4 must rise from the latest event = 4"):
        insert_neighbors(table, one, one, one * 11, one * 4)
    pair = torch.tensor([1, 1])
    with pytest.raises(InputError, match=r"event\[1\] = 8 must not fall from event\[0\] = 9"):
        insert_neighbors(table, pair, pair, pair * 11, torch.tensor([9, 8]))
    insert_neighbors(table, pair, pair * 10**9, pair * 11, pair * 9)  # two lines of one event
    assert {event for _, _, event in seen_by(table, 1)} == {4, 9}


def test_wrong_queries_are_refused() -> None:
    table, one = filled(Recent(3)), integers(1)
    for node in (-1, 5):
        with pytest.raises(IdError, match=rf"node\[1\] = {node} is outside \[0, 5\)"):
            lookup_neighbors(table, integers([0, node]))
    with pytest.raises(InputError, match=r"time\[0\] = 9 is a past query: events until 10"):
        lookup_neighbors(table, one, one * 9)
    with pytest.raises(InputError, match=r"time must have shape \[1\]"):
        lookup_neighbors(table, one, integers([10, 11]))
    with pytest.raises(DtypeError, match="time is float32"):
        lookup_neighbors(table, one, torch.ones(1))
    with pytest.raises(DtypeError, match="node must be one of int64"):
        lookup_neighbors(table, one.int())
    with pytest.raises(InputError, match=r"node must have shape \[q\]"):
        lookup_neighbors(table, one[0])
    with pytest.raises(DeviceError, match="node is on meta"):
        lookup_neighbors(table, one.to("meta"))
    with pytest.raises(DtypeError, match="table must be a NeighborTable, got dict"):
        lookup_neighbors({}, one)  # type: ignore[arg-type]
    floats = NeighborTable.empty(3, Recent(2), time_dtype=torch.float64)
    with pytest.raises(InputError, match=r"time\[0\] is NaN"):
        lookup_neighbors(floats, one, torch.tensor([torch.nan], dtype=torch.float64))


def test_wrong_joins_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    key = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(InputError, match=r"code must have shape \[3\]"):
        join_neighbors(key, key[0, :2])
    with pytest.raises(InputError, match=r"key must have shape \[p, S\]"):
        join_neighbors(key[0], key[0])
    with pytest.raises(DtypeError, match="key must be one of int64"):
        join_neighbors(key.int(), key[0])
    with pytest.raises(DeviceError, match="code is on meta"):
        join_neighbors(key, key[0].to("meta"))
    monkeypatch.setattr(op, "MAX_JOINED", 2)
    with pytest.raises(InputError, match="key has 3 columns; at most 2 can be joined"):
        join_neighbors(key, key[0])


def test_tables_and_policies_that_are_none_are_refused() -> None:
    for policy in (Recent, Hashed):
        for size in (0, -1, 2**31):
            with pytest.raises(InputError, match=rf"size = {size} slots must be in \[1, "):
                policy(size)
        for size in (2.0, True):
            with pytest.raises(DtypeError, match="size must be an int"):
                policy(size)  # type: ignore[arg-type]
    for alpha in (-0.1, 1.1, torch.nan):
        with pytest.raises(InputError, match=r"alpha = .* must be a probability in \[0, 1\]"):
            Hashed(3, alpha)
    with pytest.raises(InputError, match="more than 64 bits"):
        Hashed(3, seed=2**64)
    with pytest.raises(DtypeError, match="seed must be an int"):
        Hashed(3, seed=0.5)  # type: ignore[arg-type]
    for nodes in (-1, 2**31):
        with pytest.raises(InputError, match=f"num_nodes = {nodes} must be in"):
            NeighborTable.empty(nodes, Recent(2))
    for arguments, message in [
        ({"num_nodes": 2.0}, "num_nodes must be an int"),
        ({"policy": 3}, "policy must be Recent or Hashed, got int"),
        ({"time_dtype": torch.float32}, "time_dtype = torch.float32 must be"),
        ({"channels": 2, "dtype": torch.int64}, "dtype = torch.int64 must be one of"),
    ]:
        with pytest.raises(DtypeError, match=message):
            NeighborTable.empty(**{"num_nodes": 2, "policy": Recent(2)} | arguments)
    with pytest.raises(InputError, match=r"takes \d{18,} bytes, which are not to be had"):
        NeighborTable.empty(2**31 - 1, Recent(2**30))
    with pytest.raises(InputError, match=r"feature is given, but the table has none"):
        one = integers(1)
        insert_events(
            NeighborTable.empty(3, Recent(2)), one, one, one, one, feature=torch.ones(1, 2)
        )


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (lambda: NeighborTable.empty(5, Recent(4), channels=2), "policy"),
        (lambda: NeighborTable.empty(5, Hashed(3), channels=2), "policy"),
        (lambda: NeighborTable.empty(6, Recent(3), channels=2), "num_nodes"),
        (lambda: NeighborTable.empty(5, Recent(3)), "channels"),
        (lambda: NeighborTable.empty(5, Recent(3), channels=2, dtype=torch.float64), "dtype"),
        (
            lambda: NeighborTable.empty(5, Recent(3), channels=2, time_dtype=torch.float64),
            "time_dtype",
        ),
    ],
)
def test_a_snapshot_of_another_table_is_refused(other, name: str) -> None:
    with pytest.raises(CheckpointError, match=f"the snapshot has {name} = .*, but this table has"):
        filled(Recent(3)).restore(other())


def test_seeds_of_a_snapshot_must_agree() -> None:
    one, other = (NeighborTable.empty(3, Hashed(2, 0.5, seed)) for seed in (1, 2))
    with pytest.raises(CheckpointError, match=r"seed=2\), but this table has .*seed=1\)"):
        one.restore(other)
