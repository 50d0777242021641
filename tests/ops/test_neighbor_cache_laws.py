"""neighbor_cache is exact and even, keeps its state in files and snapshots, and joins keys."""

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from neighborgraph.errors import CheckpointError
from neighborgraph.ops import (
    Hashed,
    NeighborTable,
    Recent,
    insert_events,
    insert_neighbors,
    join_neighbors,
    load_table,
    lookup_neighbors,
    save_table,
)
from neighborgraph.ops.neighbor_cache import reference
from neighborgraph.ops.neighbor_cache.file import SEAL
from neighborgraph.sealed import digest

POLICIES = [Recent(3), Hashed(4, 0.5, 9)]


def play(table: NeighborTable, begin: int, end: int) -> None:
    """Insert events of a fixed stream of nodes 0 .. 19."""
    draw = torch.Generator().manual_seed(0)
    ends = torch.randint(20, (2, 1000), generator=draw)[:, begin:end].to(table.event.device)
    event = torch.arange(begin, end, device=table.event.device)
    feature = None if table.feature is None else (event[:, None] + 0.5).to(table.feature.dtype)
    given = None if feature is None else feature.expand(-1, 2)
    insert_events(table, ends[0], ends[1], event // 3, event, feature=given)


def assert_equal_tables(one: NeighborTable, other: NeighborTable) -> None:
    left, right = one.tensors(), other.tensors()
    assert (one.policy, left.keys()) == (other.policy, right.keys())
    for name, tensor in left.items():
        assert tensor.dtype == right[name].dtype
        assert torch.equal(tensor.cpu(), right[name].cpu()), name


@pytest.mark.parametrize("center", [2**24, 2**31, 2**32, 2**53 - 1000, 2**62])
@pytest.mark.parametrize("policy", [Recent(2000), Hashed(2**18)], ids=str)
def test_ids_and_events_are_exact(device: str, center: int, policy) -> None:
    """P27: neighbours, events and nanoseconds that float32 or float64 would merge."""
    near = center + torch.arange(-999, 1000, device=device)
    nanoseconds = 1_700_000_000_000_000_000 + torch.arange(1999, device=device)
    table = NeighborTable.empty(1, policy, device=device)
    insert_neighbors(table, near * 0, near, nanoseconds, near)
    found = lookup_neighbors(table, near[:1] * 0)
    shown = found.mask[0]
    neighbor, time, event = (values[0][shown].sort().values for values in found[:3])
    if isinstance(policy, Recent):
        assert torch.equal(neighbor, near)
        assert torch.equal(event, near)
        assert torch.equal(time, nanoseconds)
    else:  # the few that share a slot have displaced each other
        assert neighbor.numel() > 1980
        assert torch.equal(neighbor, event)
        assert torch.equal(time - nanoseconds[0], neighbor - near[0])


def test_float_times_are_exact(device: str) -> None:
    event = torch.arange(1000, device=device)
    times = 1.7e9 + event.double() * 2**-22
    table = NeighborTable.empty(1, Recent(1000), time_dtype=torch.float64, device=device)
    insert_neighbors(table, event * 0, event, times, event)
    found = lookup_neighbors(table, event[:1], times[-1:])
    assert torch.equal(found.time[0, :999].flip(0), times[:-1])
    assert found.time[0].unique().numel() == 1000  # an empty place has time 0


@pytest.mark.parametrize("size", [2, 3, 8, 20, 32, 33, 64])
def test_slots_are_used_evenly(size: int) -> None:
    """P28: every slot for every seed, and none more than a quarter above the mean."""
    count = 1000 * size
    place = torch.arange(count)
    ids = {
        "sequential": place,
        "stride 32": place * 32,
        "stride of the size": place * size,
        "stride 1024": place * 1024 + 7,
        "squares": place**2,
        "random": torch.randint(2**53, (count,)),
        "negative low bits": 2**53 - 1 - place,
    }
    for seed in (*range(4), 100, 2**63, 2**64 - 1, -5):
        for name, neighbor in ids.items():
            # A table of one row a neighbour: the slot that is filled is the neighbour's.
            table = NeighborTable.empty(count, Hashed(size, seed=seed))
            insert_neighbors(table, place, neighbor, place * 0, place)
            used = (table.event >= 0).sum(0)
            assert used.sum() == count
            assert used.max() <= 1.25 * 1000, (name, seed)
            assert used.min() >= 0.75 * 1000, (name, seed)
            right = reference.slot_of(int(neighbor[-1]), seed, size)
            assert int(table.event[-1].argmax()) == right


def test_every_slot_is_reached_for_many_seeds() -> None:
    place = torch.arange(64)
    for seed in range(100):
        used = {reference.slot_of(i, seed, 8) for i in place.tolist()}
        table = NeighborTable.empty(64, Hashed(8, seed=seed))
        insert_neighbors(table, place, place, place * 0, place)
        assert set(table.event.argmax(1).tolist()) == used == set(range(8))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9, 1.0])
def test_alpha_is_the_share_of_replacements(device: str, alpha: float) -> None:
    node = torch.arange(20_000, device=device)
    table = NeighborTable.empty(20_000, Hashed(1, alpha, 5), device=device)
    insert_neighbors(table, node, node * 0 + 1, node * 0, node)
    insert_neighbors(table, node, node * 0 + 2, node * 0, node + 20_000)
    share = (table.neighbor == 2).double().mean().item()
    assert abs(share - alpha) <= 5 * (alpha * (1 - alpha) / 20_000) ** 0.5


def test_a_slot_never_mixes_two_events(device: str) -> None:
    """P29: neighbour, time and features are functions of the event in the same slot."""
    for nodes in (1, 2, 5000):
        for policy in (Recent(8), Hashed(8, 0.5)):
            table = NeighborTable.empty(nodes, policy, channels=2, device=device)
            for batch in range(4):
                event = torch.arange(batch * 5000, (batch + 1) * 5000, device=device)
                feature = torch.stack([event, -event], 1).float()
                insert_neighbors(
                    table, event * 7 % nodes, event * 3 + 1, event * 2, event, feature=feature
                )
            found = lookup_neighbors(table, torch.arange(nodes, device=device))
            event, shown = found.event, found.mask
            assert torch.equal(found.neighbor[shown], event[shown] * 3 + 1)
            assert torch.equal(found.time[shown], event[shown] * 2)
            assert found.feature is not None
            both = torch.stack([event, -event], 2).float()
            assert torch.equal(found.feature[shown], both[shown])


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("channels", [0, 2])
def test_snapshots_files_and_resets(device: str, policy, channels: int, tmp_path: Path) -> None:
    table = NeighborTable.empty(20, policy, channels=channels, device=device)
    new = table.snapshot()
    play(table, 0, 400)
    middle = table.snapshot()
    save_table(table, tmp_path / "table")
    play(table, 400, 1000)
    end = table.snapshot()
    assert not torch.equal(end.event, middle.event)

    loaded = load_table(tmp_path / "table", device)
    assert_equal_tables(loaded, middle)
    assert loaded.event.device == table.event.device
    for start in (middle, loaded):
        table.restore(start)
        assert_equal_tables(table, start)
        play(table, 400, 1000)
        assert_equal_tables(table, end)
    assert_equal_tables(middle, loaded)  # they were left alone
    table.reset()
    assert_equal_tables(table, new)
    assert [path.name for path in tmp_path.iterdir()] == ["table"]
    assert_equal_tables(table.to("cpu"), new)
    assert table.nbytes == sum(t.nbytes for t in table.tensors().values())
    assert "20 nodes" in repr(table)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table"
    table = NeighborTable.empty(20, Recent(2))
    play(table, 0, 100)
    save_table(table, path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            load_table(path)
    path.write_bytes(whole[:-5])
    with pytest.raises(CheckpointError, match="cannot read a table"):
        load_table(path)
    with pytest.raises(CheckpointError, match="cannot read a table"):
        load_table(tmp_path / "absent")
    save_file({"x": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="is not a table written by save_table"):
        load_table(path)
    metadata = {"format": SEAL.format, "policy": '["Newest", {"size": 2}]'}
    metadata["sha256"] = digest({"x": torch.ones(1)}, metadata)
    save_file({"x": torch.ones(1)}, path, metadata)
    with pytest.raises(CheckpointError, match="does not hold a valid table"):
        load_table(path)
    with pytest.raises(CheckpointError, match="cannot write the table"):
        save_table(table, tmp_path / "no" / "table")


def test_a_join_by_hand(device: str) -> None:
    key = torch.tensor([[7, 3, -1, 7, 9, 3, -2], [-1] * 7], device=device)
    code = torch.tensor([1, 2, 2, 8, 16, 32, 64], device=device)
    joint = join_neighbors(key, code)
    assert joint.key.tolist() == [[7, 3, 9, -1, -1, -1, -1], [-1] * 7]
    assert joint.code.tolist() == [[9, 34, 16, 0, 0, 0, 0], [0] * 7]
    assert joint.place.tolist() == [[0, 1, -1, 0, 2, 1, -1], [-1] * 7]


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (1, 1), (40, 98), (9, 300)])
def test_joins_equal_their_definition(device: str, shape: tuple[int, int]) -> None:
    key = torch.randint(-3, max(2, shape[1] // 2), shape)
    code = 2 ** torch.randint(6, (shape[1],))
    actual = join_neighbors(key.to(device), code.to(device))
    for one, right in zip(actual, reference.neighbor_cache_join(key, code), strict=True):
        assert torch.equal(one.cpu(), right)
    strided = join_neighbors(key.T.contiguous().T.to(device), code.to(device))
    assert all(torch.equal(a, b) for a, b in zip(strided, actual, strict=True))


def test_the_joint_neighbourhood_of_a_pair() -> None:
    """As NAT has it: 1 and 2 met 3; 3 is in both neighbourhoods."""
    table = NeighborTable.empty(5, Hashed(4))
    source, destination = torch.tensor([[1, 2, 1], [3, 3, 4]])
    insert_events(table, source, destination, torch.tensor([1, 2, 3]), torch.arange(3))
    pairs = torch.tensor([[1], [2]])
    hops = [pairs[0][:, None], lookup_neighbors(table, pairs[0]).neighbor]
    hops += [pairs[1][:, None], lookup_neighbors(table, pairs[1]).neighbor]
    bits = torch.tensor([0, 1, 3, 4]).repeat_interleave(torch.tensor([h.shape[1] for h in hops]))
    joint = join_neighbors(torch.cat(hops, 1), 2**bits)
    codes = dict(zip(joint.key[0].tolist(), joint.code[0].tolist(), strict=True))
    assert codes == {1: 1, 4: 2, 3: 2 | 16, 2: 8, -1: 0}


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_repeats_threads_and_strides_change_nothing(device: str, policy) -> None:
    tables = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 3, 3):
            torch.set_num_threads(threads)
            table = NeighborTable.empty(20, policy, channels=2, device=device)
            play(table, 0, 1000)
            query = torch.arange(3000, device=device) % 20
            tables.append((table, lookup_neighbors(table, query)))
    finally:
        torch.set_num_threads(before)
    first, found = tables[0]
    for other, again in tables[1:]:
        assert_equal_tables(first, other)
        assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    backwards = lookup_neighbors(first, query.flip(0))
    assert torch.equal(backwards.event.flip(0), found.event)
    wide = torch.stack([query, query], 1)[:, 1]
    assert torch.equal(lookup_neighbors(first, wide).slot, found.slot)


def test_features_are_detached_and_nan_stays_in_its_slot(device: str) -> None:
    table = NeighborTable.empty(3, Recent(2), channels=2, device=device)
    one = torch.ones(1, dtype=torch.int64, device=device)
    feature = torch.tensor([[torch.nan, 1.0]], device=device, requires_grad=True)
    insert_neighbors(table, one, one, one, one, feature=feature)
    found = lookup_neighbors(table, torch.arange(3, device=device))
    assert found.feature is not None
    assert not found.feature.requires_grad
    assert found.feature.isnan().sum() == 1
    assert found.feature[1, 0, 1] == 1


def test_several_threads_may_look_up_at_once() -> None:
    table = NeighborTable.empty(20, Recent(3))
    play(table, 0, 1000)
    query = torch.arange(5000) % 20
    expected, wrong = lookup_neighbors(table, query), []

    def ask() -> None:
        found = lookup_neighbors(table, query)
        pairs = zip(found[:4], expected[:4], strict=True)
        wrong.append(not all(torch.equal(a, b) for a, b in pairs))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [False] * 4


def test_compiles_whole(device: str) -> None:
    def step(table: NeighborTable, ends: Tensor, event: Tensor) -> Tensor:
        found = lookup_neighbors(table, ends[0], event)
        insert_events(table, ends[0], ends[1], event, event)
        return join_neighbors(found.neighbor, torch.ones_like(found.neighbor[0])).key

    compiled = torch.compile(step, fullgraph=True, dynamic=True, backend="aot_eager")
    one, other = (NeighborTable.empty(9, Recent(3), device=device) for _ in range(2))
    for begin, size in ((0, 5), (5, 11), (16, 40)):
        ends = torch.randint(9, (2, size), device=device)
        event = torch.arange(begin, begin + size, device=device)
        assert torch.equal(compiled(one, ends, event), step(other, ends, event))
        assert_equal_tables(one, other)


@pytest.mark.cuda
def test_a_captured_graph_replays() -> None:
    table, other = (NeighborTable.empty(50, Recent(4), device="cuda") for _ in range(2))
    ends = torch.randint(50, (2, 30), device="cuda")
    event = torch.arange(30, device="cuda")
    insert_events(table, ends[0], ends[1], event, event)
    lookup_neighbors(table, ends[0])
    table.reset()
    torch.cuda.synchronize()
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        insert_events(table, ends[0], ends[1], event, event)
        found = lookup_neighbors(table, ends[0])
    table.reset()
    for _ in range(3):
        captured.replay()
        insert_events(other, ends[0], ends[1], event, event)
        assert torch.equal(found.event, lookup_neighbors(other, ends[0]).event)
        assert_equal_tables(table, other)
        ends.copy_(torch.randint(50, (2, 30)))
        event += 30


@pytest.mark.cuda
def test_a_large_stream_is_the_same_on_both_devices() -> None:
    draw = torch.Generator().manual_seed(1)
    ends = (torch.rand(2, 3_000_000, generator=draw) ** 3 * 100_000).long()
    event = torch.arange(3_000_000)
    for policy in (Recent(20), Hashed(20, 0.9, 3)):
        tables = [NeighborTable.empty(100_000, policy, device=d) for d in ("cpu", "cuda")]
        for part in event.split(1_000_000):
            for table in tables:
                lines = ends[0, part], ends[1, part], part // 5, part
                moved = (line.to(table.event.device) for line in lines)
                insert_events(table, *moved)
        assert_equal_tables(*tables)


@pytest.mark.cuda
def test_repeats_on_the_gpu_give_the_same_bits() -> None:
    events = torch.arange(200_000, device="cuda")
    ends = torch.randint(100, (2, 200_000), device="cuda")
    for policy in (Recent(8), Hashed(8, 0.5)):
        first = None
        for _ in range(250):
            table = NeighborTable.empty(100, policy, device="cuda")
            insert_events(table, ends[0], ends[1], events, events)
            first = first or table
            assert all(
                torch.equal(a, b)
                for a, b in zip(first.tensors().values(), table.tensors().values(), strict=True)
            )


@pytest.mark.cuda
@pytest.mark.parametrize("nodes", [1, 2, 1_000_000])
def test_no_slot_is_torn_by_many_inserts_at_once(nodes: int) -> None:
    """P29: 1e8 lines in batches of 1e7."""
    for policy in (Recent(8), Hashed(8, 0.9)):
        table = NeighborTable.empty(nodes, policy, device="cuda")
        for begin in range(0, 10**8, 10**7):
            event = torch.arange(begin, begin + 10**7, device="cuda")
            insert_neighbors(table, event * 7 % nodes, event * 3 + 1, event * 2, event)
        shown = table.event >= 0
        assert shown.any()
        assert torch.equal(table.neighbor[shown], table.event[shown] * 3 + 1)
        assert torch.equal(table.time[shown], table.event[shown] * 2)
