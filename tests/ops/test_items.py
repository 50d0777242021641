"""Launches over work items, seen without a GPU: grids, arguments, workspaces."""

from typing import Any

import pytest
import torch

from neighborgraph.graph import Graph
from neighborgraph.jit import Instance
from neighborgraph.ops import items
from neighborgraph.ops.compress import compress
from neighborgraph.ops.items import combine, combine_instance, launch, workspace
from neighborgraph.ops.lanes import WARP
from neighborgraph.testing import awkward_graphs, from_degrees


class Recorder:
    """Stands in for a loaded kernel."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def load(self, instance: Instance, device: torch.device) -> "Recorder":
        self.instance = instance
        return self

    def launch(self, grid: int, block: int, *args) -> None:
        self.calls.append((grid, block, *args))


@pytest.fixture
def recorder(monkeypatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(items, "load", recorder.load)
    return recorder


@pytest.fixture
def cut() -> Graph:
    """Rows of 0, 3, 1300 and 513 edges: 1 + 1 + 3 + 2 items, 5 of which leave a partial result."""
    return from_degrees([0, 3, 1300, 513], 9, seed=0)


def partial_of(graph: Graph, *like: Any) -> torch.Tensor:
    partial = workspace(graph.rows, *like)
    assert partial is not None
    return partial


@pytest.mark.parametrize("parts", [1, 3, 5])
def test_a_warp_for_each_part_of_each_item(recorder: Recorder, cut: Graph, parts: int) -> None:
    instance = Instance("some.cu", "some")
    launch(instance, cut.rows, parts, None, 7)
    (grid, block, *args), rows = recorder.calls[0], cut.rows
    assert (grid, block) == (7 * parts, WARP)
    arrays = [rows.item_row, rows.item_first, rows.item_edges, rows.item_slot, rows.idx]
    assert all(a is b for a, b in zip(args[:5], arrays, strict=True))
    assert args[5:] == [None, 7]


def test_workspace_has_a_place_for_each_part_of_a_cut_row(cut: Graph) -> None:
    assert partial_of(cut, torch.zeros(4, 2, 8)).shape == (5, 2, 8)
    assert partial_of(cut, torch.zeros(4, 2), 2).shape == (5, 2, 2)
    assert int(cut.rows.item_slot.max()) + 1 == int(cut.rows.split_ptr[-1]) == 5


@pytest.mark.parametrize("name", ["no_edges", "degrees", "one_row", "star_out", "empty"])
def test_workspace_follows_from_shapes(name: str) -> None:
    for rows in (awkward_graphs()[name].rows, awkward_graphs()[name].cols):
        assert rows is not None
        partial = workspace(rows, torch.zeros(rows.num_rows, 3))
        slots = 0 if partial is None else partial.shape[0]
        assert slots == int(rows.split_ptr[-1])


def test_workspace_is_unrounded(cut: Graph) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert partial_of(cut, torch.zeros(4, 2, dtype=dtype)).dtype == torch.float32
    assert partial_of(cut, torch.zeros(4, 2).double()).dtype == torch.float64
    assert partial_of(cut, torch.zeros(4, 2, dtype=torch.int32)).dtype == torch.int32


def test_combine_has_a_block_for_32_elements_of_a_cut_row(recorder: Recorder, cut: Graph) -> None:
    out = torch.zeros(4, 3, 50, dtype=torch.float16)
    combine("combine_sum", cut.rows, out, (None, out), (150,))
    grid, block, *args = recorder.calls[0]
    assert recorder.instance == Instance("combine.cu", "combine_sum<Half>")
    assert recorder.instance == combine_instance("combine_sum", torch.float16)
    assert (grid, block) == (2 * 5, 512)
    assert args[0] is cut.rows.split_row
    assert args[1] is cut.rows.split_ptr
    assert args[2:] == [2, 1, None, out, 150]


@pytest.mark.parametrize(
    ("splits", "blocks", "each"), [(2, 2, 1), (1024, 1024, 1), (1025, 513, 2), (10**5, 6250, 16)]
)
def test_combine_gives_a_block_more_rows_where_many_were_cut(
    recorder: Recorder, cut: Graph, splits: int, blocks: int, each: int
) -> None:
    rows = cut.rows._replace(split_row=torch.zeros(splits, dtype=torch.int32))
    combine("combine_sum", rows, torch.zeros(4, 32), (), ())
    grid, _, _, _, *sizes = recorder.calls[0]
    assert (grid, sizes) == (blocks, [splits, each])


@pytest.mark.cuda
def test_combine_folds_rows_of_few_and_of_many_slots(cut: Graph) -> None:
    slots = torch.full((3000,), 2)
    slots[:3], slots[40], slots[1700:1750], slots[-1] = 9, 1000, 17, 8
    ptr = torch.cat([slots.new_zeros(1), slots.cumsum(0)]).int()
    splits = {"split_row": torch.randperm(3000).int(), "split_ptr": ptr}
    rows = cut.rows._replace(**{name: tensor.cuda() for name, tensor in splits.items()})
    partial = torch.rand(int(ptr[-1]), 70)
    out = torch.full((3000, 70), torch.nan, device="cuda")
    combine("combine_sum", rows, out, (partial.cuda(), None, None, out), (70, 0.0))
    of_slot = splits["split_row"].long().repeat_interleave(slots)
    expected = torch.zeros(3000, 70, dtype=torch.float64).index_add(0, of_slot, partial.double())
    torch.testing.assert_close(out.cpu().double(), expected, rtol=1e-6, atol=0)


def test_combine_does_nothing_where_no_row_was_cut(recorder: Recorder) -> None:
    graph = from_degrees([1, 511], 9, seed=0)
    for rows in (graph.rows, compress(graph.edge_index, (9, 2)).rows):
        combine("combine_sum", rows, torch.zeros(2, 4), (), (4,))
        assert workspace(rows, torch.zeros(2, 4)) is None
    assert recorder.calls == []
