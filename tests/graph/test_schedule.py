"""The work items of any pointer: every edge once, in order, none too long."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neighborgraph.graph.schedule import LONG_ITEM_EDGES, MAX_ITEM_EDGES, Schedule, schedule
from neighborgraph.testing import AWKWARD, awkward_graphs


def pointer(degrees: list[int]) -> Tensor:
    return torch.tensor([0, *degrees], dtype=torch.int64).cumsum(0)


def assert_valid(made: Schedule, ptr: Tensor, limit: int) -> None:
    """All that operators rely on, item by item."""
    dtypes = [torch.int32, torch.int64, *[torch.int32] * 4]
    assert [t.dtype for t in made] == dtypes
    degree = ptr.diff().tolist()
    starts = ptr.tolist()
    columns = (t.tolist() for t in made[:4])
    items = list(zip(*columns, strict=True))

    # Long items first, and both kinds in the order of edges.
    is_short = [edges < LONG_ITEM_EDGES for _, _, edges, _ in items]
    assert is_short == sorted(is_short)
    for short in (False, True):
        places = [
            (row, first) for row, first, edges, _ in items if (edges < LONG_ITEM_EDGES) == short
        ]
        assert places == sorted(places)

    by_row: dict[int, list[tuple[int, int, int]]] = {row: [] for row in range(len(degree))}
    for row, first, edges, slot in items:
        by_row[row].append((first, edges, slot))
    split_rows, next_slot = [], 0
    for row, parts in by_row.items():
        parts.sort(key=lambda part: (part[0], part[2]))
        assert len(parts) == max(1, -(-degree[row] // limit))
        position = starts[row]
        for first, edges, _ in parts:
            assert first == position
            assert edges <= limit
            position += edges
        assert position == starts[row + 1]
        slots = [slot for _, _, slot in parts]
        if len(parts) == 1:
            assert slots == [-1]
        else:
            assert all(edges > 0 for _, edges, _ in parts)
            assert slots == list(range(next_slot, next_slot + len(parts)))
            assert made.split_ptr[len(split_rows)] == next_slot
            split_rows.append(row)
            next_slot += len(parts)
    assert made.split_row.tolist() == split_rows
    assert made.split_ptr.tolist()[-1] == next_slot
    assert made.split_ptr.numel() == len(split_rows) + 1


def test_by_hand() -> None:
    made = schedule(pointer([2, 0, 300, 1, 129]), max_item_edges=128)
    assert made.item_row.tolist() == [2, 2, 4, 0, 1, 2, 3, 4]
    assert made.item_first.tolist() == [2, 130, 303, 0, 2, 258, 302, 431]
    assert made.item_edges.tolist() == [128, 128, 128, 2, 0, 44, 1, 1]
    assert made.item_slot.tolist() == [0, 1, 3, -1, -1, 2, -1, 4]
    assert made.split_row.tolist() == [2, 4]
    assert made.split_ptr.tolist() == [0, 3, 5]


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_graphs(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name]
    for csr in (graph.rows, graph.T.rows):
        assert_valid(csr.schedule, csr.ptr.cpu(), MAX_ITEM_EDGES)


@given(
    st.lists(st.integers(0, 40) | st.sampled_from([0, 127, 128, 129, 400]), max_size=30),
    st.sampled_from([1, 2, 7, 32, 128, 200]),
)
def test_any_degrees_and_limit(degrees: list[int], limit: int) -> None:
    ptr = pointer(degrees)
    assert_valid(schedule(ptr, limit), ptr, limit)


@pytest.mark.parametrize("degree", [0, 1, 511, 512, 513, 1023, 1024, 1025, 65535, 65536])
def test_degrees_around_the_cut(degree: int) -> None:
    ptr = pointer([3, degree, 0])
    made = schedule(ptr)
    assert_valid(made, ptr, MAX_ITEM_EDGES)
    assert (made.split_row.numel() == 1) == (degree > MAX_ITEM_EDGES)


def test_a_pointer_beyond_int32_offsets() -> None:
    start = 2**31 - 300
    made = schedule(torch.tensor([0, start, start + 600]), max_item_edges=2**29)
    assert made.item_first.tolist()[-1] == start
    first = made.item_first + made.item_edges
    assert int(first.max()) == start + 600


def test_it_depends_on_the_pointer_alone(device: str) -> None:
    ptr = awkward_graphs(device)["heavy_tailed"].rows.ptr
    for one, other in zip(schedule(ptr), schedule(ptr.clone()), strict=True):
        assert torch.equal(one, other)


def test_many_rows_take_no_more_items_than_they_need() -> None:
    degrees = torch.zeros(1_000_000, dtype=torch.int64)
    degrees[1::2] = 3
    ptr = torch.zeros(1_000_001, dtype=torch.int64)
    torch.cumsum(degrees, 0, out=ptr[1:])
    made = schedule(ptr)
    assert made.item_row.numel() == 1_000_000
    assert int(made.item_edges.sum()) == int(ptr[-1])
    assert made.split_row.numel() == 0
