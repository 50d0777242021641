"""Graph: what it holds, in whose order, and that nothing outside can change it."""

import pickle
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from neighborgraph.errors import InputError
from neighborgraph.graph import Csr, Graph
from neighborgraph.testing import AWKWARD, awkward_graphs, random_graph

EDGES = [[3, 1, 0, 1, 3, 2], [1, 0, 1, 1, 1, 3]]
WEIGHT = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def small(device: str = "cpu", dtype: torch.dtype = torch.int64) -> Graph:
    """Six edges among four nodes: a duplicate 3 → 1, a self-loop at 1, nothing into 2."""
    edge_index = torch.tensor(EDGES, dtype=dtype, device=device)
    return Graph.from_edge_index(edge_index, 4, weight=torch.tensor(WEIGHT, device=device))


def tensors(graph: Graph) -> list[Tensor]:
    """Everything a graph holds."""
    cols = [] if graph.cols is None else list(graph.cols)
    return [*graph.rows, *cols, *([] if graph.weight is None else [graph.weight])]


def assert_equal(one: Graph, other: Graph) -> None:
    assert (one.num_rows, one.num_cols) == (other.num_rows, other.num_cols)
    assert (one.cols is None, one.weight is None) == (other.cols is None, other.weight is None)
    for a, b in zip(tensors(one), tensors(other), strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_rows_receive(device: str, dtype: torch.dtype) -> None:
    graph = small(device, dtype)
    assert graph.rows.ptr.tolist() == [0, 1, 5, 5, 6]
    # Within row 1 in the caller's order: edges 0, 2, 3 and 4.
    assert graph.rows.idx.tolist() == [1, 3, 0, 1, 3, 2]
    assert graph.rows.edge_id.tolist() == [1, 0, 2, 3, 4, 5]
    assert graph.cols is not None
    assert graph.cols.ptr.tolist() == [0, 1, 3, 4, 6]
    assert graph.cols.idx.tolist() == [1, 0, 1, 3, 1, 1]
    assert graph.cols.edge_id.tolist() == [2, 1, 3, 5, 0, 4]
    assert graph.degree.tolist() == [1, 4, 0, 1]
    assert graph.col_degree.tolist() == [1, 2, 1, 2]
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(graph.degree_as(dtype), graph.degree.to(dtype))
        assert graph.degree_as(dtype).dtype == dtype
    assert (graph.num_rows, graph.num_cols, graph.num_edges) == (4, 4, 6)


def test_dtypes_and_device(device: str) -> None:
    graph = small(device)
    assert graph.device.type == device
    assert graph.rows.num_rows == 4
    expected = [torch.int64, *[torch.int32] * 3, torch.int64, *[torch.int32] * 4]
    assert [t.dtype for t in graph.rows] == expected
    assert {t.device.type for t in tensors(graph)} == {device}


def test_ids_that_are_int32_make_the_same_graph() -> None:
    assert_equal(small(dtype=torch.int32), small(dtype=torch.int64))


def test_weights_keep_the_callers_order() -> None:
    graph = small()
    assert graph.weight is not None
    assert graph.weight.tolist() == WEIGHT
    assert graph.T.weight is graph.weight
    dense = torch.zeros(4, 4).index_put(
        (graph.edge_index[1], graph.edge_index[0]), graph.weight, accumulate=True
    )
    by_row = torch.zeros(4, 4)
    row = torch.arange(4).repeat_interleave(graph.degree)
    by_row.index_put_(
        (row, graph.rows.idx.long()), graph.weight[graph.rows.edge_id.long()], accumulate=True
    )
    assert torch.equal(dense, by_row)
    assert dense[1].tolist() == [3.0, 4.0, 0.0, 6.0]


@pytest.mark.parametrize("name", AWKWARD)
def test_csr_against_a_loop_over_edges(name: str) -> None:
    graph = awkward_graphs()[name]
    for csr, (col, row) in ((graph.rows, graph.edge_index), (graph.cols, graph.edge_index.flip(0))):
        assert csr is not None
        lists: list[list[tuple[int, int]]] = [[] for _ in range(csr.num_rows)]
        for edge, (j, i) in enumerate(zip(col.tolist(), row.tolist(), strict=True)):
            lists[i].append((j, edge))
        ptr = csr.ptr.tolist()
        pairs = list(zip(csr.idx.tolist(), csr.edge_id.tolist(), strict=True))
        assert [pairs[a:b] for a, b in pairwise(ptr)] == lists


@pytest.mark.parametrize("name", AWKWARD)
def test_edge_index_comes_back_in_the_callers_order(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name]
    edge_index = graph.edge_index
    assert edge_index.dtype == torch.int64
    again = Graph.from_edge_index(edge_index, (graph.num_cols, graph.num_rows))
    assert_equal(again, graph)
    assert sorted(graph.rows.edge_id.tolist()) == list(range(graph.num_edges))


def test_edge_index_is_the_one_given() -> None:
    assert small().edge_index.tolist() == EDGES


@pytest.mark.parametrize("name", AWKWARD)
def test_transposing_twice_gives_the_graph_itself(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name]
    assert_equal(graph.T.T, graph)
    assert torch.equal(graph.T.edge_index, graph.edge_index.flip(0))
    assert graph.T.num_rows == graph.num_cols
    reversed_edges = Graph.from_edge_index(
        graph.edge_index.flip(0), (graph.num_rows, graph.num_cols)
    )
    assert_equal(reversed_edges, graph.T)


def test_transpose_shares_memory() -> None:
    graph = small()
    assert graph.T.rows is graph.cols
    assert graph.T.cols is graph.rows


@pytest.mark.parametrize("user", ["T", "col_degree"])
def test_without_a_transpose(user: str) -> None:
    graph = Graph.from_edge_index(torch.tensor(EDGES), 4, transpose=False)
    assert graph.cols is None
    assert graph.edge_index.tolist() == EDGES
    message = f"^{user} needs the graph's transpose.*transpose=False; build it with transpose=True"
    with pytest.raises(InputError, match=message):
        getattr(graph, user)


@pytest.mark.parametrize("name", AWKWARD)
def test_from_csr_equals_its_edges(name: str, device: str) -> None:
    graph = awkward_graphs(device)[name]
    ptr, idx, edge_id = graph.rows[:3]
    weight = torch.arange(float(graph.num_edges), device=device)
    again = Graph.from_csr(ptr.int(), idx.long(), graph.num_cols, weight=weight)
    assert torch.equal(again.rows.ptr, ptr)
    assert torch.equal(again.rows.idx, idx)
    # The caller's order is now that of idx.
    assert torch.equal(again.rows.edge_id, torch.arange(graph.num_edges, device=device).int())
    assert torch.equal(again.edge_index, graph.edge_index[:, edge_id.long()])
    assert again.weight is not None
    assert torch.equal(again.weight, weight)
    assert again.num_cols == graph.num_cols


def test_from_csr_without_a_transpose() -> None:
    graph = Graph.from_csr(torch.tensor([0, 2]), torch.tensor([1, 0]), 2, transpose=False)
    assert graph.cols is None


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_later_changes_of_the_callers_tensors_do_not_reach_the_graph(dtype: torch.dtype) -> None:
    edge_index = torch.tensor(EDGES, dtype=dtype)
    weight = torch.tensor(WEIGHT)
    graph = Graph.from_edge_index(edge_index, 4, weight=weight)
    edge_index.fill_(7)
    weight.fill_(torch.nan)
    assert_equal(graph, small())


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_later_changes_of_csr_arrays_do_not_reach_the_graph(dtype: torch.dtype) -> None:
    def arrays() -> tuple[Tensor, Tensor, Tensor]:
        ptr, idx = torch.tensor([0, 2, 2, 3], dtype=dtype), torch.tensor([1, 0, 1], dtype=dtype)
        return ptr, idx, torch.tensor([1.0, 2.0, 3.0])

    ptr, idx, weight = arrays()
    graph = Graph.from_csr(ptr, idx, 2, weight=weight)
    for tensor in (ptr, idx, weight):
        tensor.fill_(9)
    ptr, idx, weight = arrays()
    assert_equal(graph, Graph.from_csr(ptr, idx, 2, weight=weight))


def test_weights_that_are_learned_stay_the_callers_own() -> None:
    weight = torch.tensor(WEIGHT, requires_grad=True)
    graph = Graph.from_edge_index(torch.tensor(EDGES), 4, weight=weight)
    assert graph.weight is weight
    assert graph.T.weight is weight


def test_strided_and_expanded_tensors_are_copied() -> None:
    wide = torch.zeros(2, 12, dtype=torch.int64)
    wide[:, ::2] = torch.tensor(EDGES)
    weight = torch.ones(1).expand(6)
    graph = Graph.from_edge_index(wide[:, ::2], 4, weight=weight)
    assert graph.edge_index.tolist() == EDGES
    assert all(t.is_contiguous() for t in tensors(graph))
    assert Graph.from_edge_index(torch.tensor([[1], [2]]).expand(2, 5), 3).degree.tolist()[2] == 5


def test_mapped_memory_is_read_and_never_written(tmp_path) -> None:
    path = tmp_path / "ids"
    torch.tensor(EDGES).numpy().tofile(path)
    before = path.read_bytes()
    mapped = torch.from_file(str(path), shared=True, size=12, dtype=torch.int64).view(2, 6)
    assert Graph.from_edge_index(mapped, 4).edge_index.tolist() == EDGES
    assert path.read_bytes() == before


def test_a_million_copies_of_one_self_loop() -> None:
    graph = Graph.from_edge_index(torch.zeros(2, 1_000_000, dtype=torch.int32), 1)
    assert graph.degree.tolist() == [1_000_000]
    assert torch.equal(graph.rows.edge_id, torch.arange(1_000_000, dtype=torch.int32))


def test_weights_may_be_nan_or_infinite() -> None:
    weight = torch.tensor([torch.nan, torch.inf, -torch.inf, 0, -1, 1])
    graph = Graph.from_edge_index(torch.tensor(EDGES), 4, weight=weight)
    assert graph.weight is not None
    assert torch.equal(graph.weight.nan_to_num(), weight.nan_to_num())


def test_a_graph_cannot_be_reassigned() -> None:
    with pytest.raises(AttributeError, match="num_rows"):
        small().num_rows = 5  # pyright: ignore


@pytest.mark.parametrize("transpose", [True, False])
def test_moving_a_graph(device: str, transpose: bool) -> None:
    graph = Graph.from_edge_index(
        torch.tensor(EDGES), 4, weight=torch.tensor(WEIGHT), transpose=transpose
    )
    moved = graph.to(device)
    assert {t.device.type for t in tensors(moved)} == {device}
    assert_equal(moved.to("cpu"), graph)


@pytest.mark.cuda
@pytest.mark.parametrize("name", AWKWARD)
def test_the_gpu_builds_the_same_graph(name: str) -> None:
    graph = awkward_graphs()[name]
    size = (graph.num_cols, graph.num_rows)
    assert_equal(Graph.from_edge_index(graph.edge_index.cuda(), size).to("cpu"), graph)


def test_pickling(device: str) -> None:
    for graph in (small(device), Graph.from_edge_index(torch.tensor(EDGES), 4, transpose=False)):
        again = pickle.loads(pickle.dumps(graph))
        assert isinstance(again.rows, Csr)
        assert_equal(again, graph)


def test_a_loader_worker_returns_the_graphs_it_was_given() -> None:
    graphs = [small(), random_graph(0), awkward_graphs()["empty"]]
    loader = DataLoader(
        graphs,  # pyright: ignore[reportArgumentType]
        batch_size=None,
        num_workers=1,
        multiprocessing_context="spawn",
        timeout=120,
    )
    for given, returned in zip(graphs, loader, strict=True):
        assert_equal(returned, given)


def test_representation() -> None:
    assert repr(small()) == "Graph(4 sources -> 4 receivers, 6 edges, weighted, cpu)"
    assert repr(awkward_graphs()["no_receivers"]) == "Graph(7 sources -> 0 receivers, 0 edges, cpu)"
