"""A graph is made once for a tensor, never used after a change, and gone with the tensor."""

import gc
import threading
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric import EdgeIndex

from neighborgraph.graph import Graph
from neighborgraph.nn import GCNConv, SAGEConv
from neighborgraph.nn.conv import adjacency, cache
from neighborgraph.nn.conv.adjacency import graph_of

SIZES = 5, 5


@pytest.fixture
def edges() -> Tensor:
    return torch.tensor([[0, 1, 2, 3], [1, 2, 2, 0]])


@pytest.fixture
def made(monkeypatch) -> list[int]:
    """How many graphs were made: one entry for each."""
    calls: list[int] = []
    compress = adjacency.compress

    def count(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return compress(*args, **kwargs)

    monkeypatch.setattr(adjacency, "compress", count)
    return calls


def test_the_same_tensor_is_converted_once(edges, made) -> None:
    first = graph_of(edges, SIZES)
    assert graph_of(edges, SIZES) is first
    assert len(made) == 1
    assert graph_of(edges.clone(), SIZES) is not first


def test_layers_share_a_graph_forward_and_backward(edges, made) -> None:
    x = torch.randn(5, 3)
    for _ in range(3):
        for layer in (SAGEConv(3, 3), SAGEConv(3, 3, aggr="max")):
            layer(x, edges).sum().backward()
    assert len(made) == 1
    GCNConv(3, 3)(x, edges)  # with self-loops it is another
    assert len(made) == 2


def test_what_a_graph_depends_on_is_part_of_the_key(edges, made) -> None:
    graphs = [
        graph_of(edges, SIZES),
        graph_of(edges, (6, 5)),
        graph_of(edges, (5, 6)),
        graph_of(edges, SIZES, loops="replace"),
        graph_of(edges, SIZES, loops="add"),
    ]
    assert len({id(g) for g in graphs}) == len(made) == 5
    assert [g.num_edges for g in graphs] == [4, 4, 4, 9, 9]
    assert graphs[3].degree.sum() == 8
    assert graphs[4].degree.sum() == 9


def test_a_transpose_is_added_when_one_is_needed(edges, made) -> None:
    assert graph_of(edges, SIZES, transpose=False).cols is None
    assert graph_of(edges, SIZES, transpose=True).cols is not None
    assert graph_of(edges, SIZES, transpose=False).cols is not None
    assert len(made) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda edges: edges.__setitem__((0, 0), 4),
        lambda edges: edges[1].fill_(3),
        lambda edges: edges.copy_(edges.flip(0)),
        lambda edges: edges.resize_(2, 3),
        lambda edges: edges.set_(torch.tensor([[4], [4]])),
        lambda edges: setattr(edges, "data", torch.tensor([[4, 3], [4, 2]])),
        lambda edges: edges.t_().copy_(edges.clone()).t_(),
    ],
)
def test_a_changed_tensor_is_converted_again(edges, change) -> None:
    before = graph_of(edges, SIZES)
    change(edges)
    after = graph_of(edges, SIZES)
    assert after is not before
    assert torch.equal(after.edge_index, edges)


def test_a_layer_sees_a_change_of_its_edge_index(edges) -> None:
    layer, x = SAGEConv(3, 3), torch.randn(5, 3)
    before = layer(x, edges)
    edges[0, 0] = 4
    after = layer(x, edges)
    assert not torch.equal(before, after)
    assert torch.equal(after, layer(x, edges.clone()))


def test_an_entry_goes_with_its_tensor(edges) -> None:
    gc.collect()
    before, mine = len(cache._entries), edges.clone()
    graph_of(mine, SIZES)
    graph_of(mine, SIZES, loops="replace")
    assert len(cache._entries) == before + 1
    del mine
    gc.collect()
    assert len(cache._entries) == before


def test_a_loop_over_batches_keeps_none() -> None:
    gc.collect()
    before = len(cache._entries)
    layer = GCNConv(3, 3)
    batch = None
    for _ in range(20):
        batch = torch.randint(5, (2, 9))
        layer(torch.randn(5, 3), batch).sum().backward()
    del batch
    gc.collect()
    assert len(cache._entries) == before


def test_the_graph_does_not_keep_the_tensor_alive(edges) -> None:
    graph = graph_of(edges, SIZES)
    pointers = {part.data_ptr() for part in (*graph.rows, *(graph.cols or ()))}
    assert edges.data_ptr() not in pointers


def test_an_entry_of_a_tensor_that_took_the_place_of_another(edges) -> None:
    graph_of(edges, SIZES)
    entry = cache._entries[id(edges)]
    other = torch.tensor([[4], [4]])
    cache._entries[id(other)] = entry  # as if ``edges`` had died and its id were used again
    assert graph_of(other, SIZES).num_edges == 1
    cache.forget(id(other))(entry.owner)  # a late callback must leave the new entry alone
    assert id(other) in cache._entries


def test_tensors_without_a_version_are_converted_each_time(made) -> None:
    with torch.inference_mode():
        edges = torch.tensor([[0, 1], [1, 0]])
        first = graph_of(edges, SIZES)
        edges[0, 0] = 3
        assert torch.equal(graph_of(edges, SIZES).edge_index, edges)
    assert len(made) == 2
    assert first.num_edges == 2


def test_an_edge_index_is_kept_by_its_data(edges, made) -> None:
    wrapped: Any = EdgeIndex(edges, sparse_size=SIZES)  # pyright: ignore[reportCallIssue]
    assert graph_of(wrapped, SIZES) is graph_of(wrapped, SIZES)
    assert len(made) == 1
    edges[0, 0] = 4
    assert torch.equal(graph_of(wrapped, SIZES).edge_index, edges)


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
def test_sparse_matrices_are_kept(made, layout: str) -> None:
    matrix = torch.eye(5).to_sparse()
    matrix = matrix if layout == "coo" else getattr(matrix, f"to_sparse_{layout}")()
    first = graph_of(matrix, SIZES)
    assert graph_of(matrix, SIZES) is first
    assert len(made) == 1
    part = adjacency.parts_of(matrix)[-1]
    part[..., 0] = 3
    assert graph_of(matrix, SIZES) is not first


def test_weights_of_a_matrix_are_read_anew_each_time() -> None:
    layer, x = SAGEConv(3, 3), torch.randn(5, 3)
    matrix = torch.eye(5).to_sparse()
    before = layer(x, matrix)
    matrix._values().mul_(2)
    assert not torch.equal(layer(x, matrix), before)
    assert torch.equal(layer(x, matrix), layer(x, (2 * torch.eye(5)).to_sparse()))


class Operations(TorchDispatchMode):
    """Names of all that computes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name not in ("view", "slice", "t", "new_empty", "promote_types", "detach"):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("layer", "scale"),
    [
        (SAGEConv(3, 3, root_weight=False), ["sub", "clamp_", "reciprocal_"]),
        (GCNConv(3, 3, bias=False), ["sub", "rsqrt_", "nan_to_num_"]),
    ],
)
def test_factors_of_rows_take_three_operations_once(edges, layer, scale: list[str]) -> None:
    x = torch.randn(5, 3)
    expected = layer(x, edges.clone())
    found = []
    for _ in range(2):
        with Operations() as operations:
            out = layer(x, edges)
        assert torch.equal(out, expected)
        found.append(operations.names)
    first, second = found
    assert [name for name in first if name not in second] == ["compress", *scale]
    assert [name for name in first if name in second] == second
    assert len(second) == 2  # the projection and the sum
    edges[0, 0] = 4
    assert torch.equal(layer(x, edges), layer(x, edges.clone()))


def test_factors_are_kept_by_dtype_and_go_with_the_graph(edges) -> None:
    gc.collect()
    before = len(cache._beside)
    graph, layer = Graph.from_edge_index(edges, 5), SAGEConv(3, 3)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        layer.to(dtype)(torch.randn(5, 3, dtype=dtype), graph)
    made = cache._beside[graph]
    assert [key[1] for key in made] == [torch.float32, torch.float64]  # pyright: ignore[reportIndexIssue]
    assert all(kept.value.dtype == key[1] for key, kept in made.items())  # pyright: ignore[reportIndexIssue]
    del graph, made
    gc.collect()
    assert len(cache._beside) == before


@pytest.mark.parametrize("layer", [SAGEConv(3, 3), GCNConv(3, 3)])
def test_factors_made_for_inference_serve_training(edges, layer) -> None:
    x = torch.randn(5, 3)
    with torch.inference_mode():
        layer(x, edges)
    layer(x, edges).sum().backward()


def test_factors_without_values_are_not_kept(edges) -> None:
    graph = Graph.from_edge_index(edges, 5)
    with FakeTensorMode(allow_non_fake_inputs=True):
        SAGEConv(3, 3)(torch.randn(5, 3), graph)
    assert graph not in cache._beside


def test_threads_agree(edges) -> None:
    layer, x = SAGEConv(3, 3), torch.randn(5, 3)
    expected = layer(x, edges)
    wrong: list[int] = []

    def work() -> None:
        for _ in range(50):
            mine = edges.clone()
            if not (
                torch.equal(layer(x, edges), expected) and torch.equal(layer(x, mine), expected)
            ):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.cuda
def test_another_stream_waits_for_the_graph() -> None:
    edges = torch.randint(1000, (2, 200_000), device="cuda")
    x = torch.randn(1000, 64, device="cuda")
    layer = SAGEConv(64, 64).cuda()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        graph_of(edges, (1000, 1000))
    out = layer(x, edges)
    torch.cuda.synchronize()
    torch.testing.assert_close(out, layer(x, edges.clone()))


@pytest.mark.cuda
def test_another_stream_waits_for_factors() -> None:
    edges = torch.randint(1000, (2, 200_000), device="cuda")
    x = torch.randn(1000, 64, device="cuda")
    layer = SAGEConv(64, 64).cuda()
    graph = graph_of(edges, (1000, 1000))
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        layer(x, graph)
    out = layer(x, graph)
    torch.cuda.synchronize()
    torch.testing.assert_close(out, layer(x, edges.clone()))


@pytest.mark.cuda
def test_a_captured_graph_keeps_nothing() -> None:
    edges = torch.randint(100, (2, 2000), device="cuda")
    x = torch.randn(100, 8, device="cuda")
    layer = SAGEConv(8, 8).cuda()
    with torch.no_grad():
        layer(x, edges.clone())
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            out = layer(x, edges)
        assert id(edges) not in cache._entries
        captured.replay()
        torch.testing.assert_close(out, layer(x, edges))
