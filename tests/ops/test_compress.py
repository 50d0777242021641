"""compress gives what it is defined to, in shapes that follow from sizes, and operators agree."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neighborgraph.errors import DtypeError, IdError, InputError
from neighborgraph.graph import Csr, Graph
from neighborgraph.graph.schedule import MAX_ITEM_EDGES
from neighborgraph.ops import aggregate, attend_with_weights
from neighborgraph.ops.compress import compress, reference
from neighborgraph.ops.compress.op import compress_csr
from neighborgraph.ops.items import nothing_is_cut
from neighborgraph.testing import AWKWARD, awkward_graphs


def both_ways(graph: Graph) -> list[tuple[bool, bool]]:
    """Directions, with and without self-loops where there can be some."""
    loops = (False, True) if graph.num_rows == graph.num_cols else (False,)
    return [(transpose, with_loops) for transpose in (False, True) for with_loops in loops]


def test_by_hand(device: str) -> None:
    edge_index = torch.tensor([[1, 0, 1, 2], [1, 1, 0, 1]], device=device)
    rows = compress(edge_index, (3, 3)).rows
    assert rows.ptr.tolist() == [0, 1, 4, 4]
    assert rows.idx.tolist() == [1, 1, 0, 2]
    assert rows.edge_id.tolist() == [2, 0, 1, 3]
    looped = compress(edge_index, (3, 3), self_loops=True).rows
    assert looped.ptr.tolist() == [0, 2, 5, 6]
    # The loop of node 1, number 0, belongs to no row; new ones are numbered from 4 on.
    assert looped.idx.tolist() == [1, 0, 0, 2, 1, 2, 1]
    assert looped.edge_id.tolist() == [2, 4, 1, 3, 5, 6, 0]
    cols = compress(edge_index, (3, 3)).cols
    assert cols is not None
    assert cols.ptr.tolist() == [0, 1, 3, 4]
    assert cols.edge_id.tolist() == [1, 0, 2, 3]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("name", AWKWARD)
def test_equals_its_definition(device: str, name: str, dtype: torch.dtype) -> None:
    graph = awkward_graphs()[name]
    edge_index, sizes = graph.edge_index.to(dtype), (graph.num_rows, graph.num_cols)
    for transpose, loops in both_ways(graph):
        made = compress_csr(edge_index.to(device), *sizes, transpose, loops)
        expected = reference.compress(edge_index, *sizes, transpose, loops)
        fields = Csr._fields * (1 + transpose)
        for field, actual, wanted in zip(fields, made, expected, strict=True):
            assert actual.dtype == wanted.dtype, field
            assert torch.equal(actual.cpu(), wanted), field


@pytest.mark.parametrize("name", AWKWARD)
def test_the_graph_is_that_of_from_edge_index(device: str, name: str) -> None:
    graph = awkward_graphs()[name]
    made = compress(graph.edge_index.to(device), (graph.num_cols, graph.num_rows))
    for actual, wanted in ((made.rows, graph.rows), (made.cols, graph.cols)):
        assert actual is not None
        assert wanted is not None
        for field in ("ptr", "idx", "edge_id"):
            assert torch.equal(getattr(actual, field).cpu(), getattr(wanted, field)), field
    assert torch.equal(made.edge_index.cpu(), graph.edge_index)
    assert (
        compress(graph.edge_index, (graph.num_cols, graph.num_rows), transpose=False).cols is None
    )


@given(st.lists(st.integers(0, 3 * MAX_ITEM_EDGES), min_size=1, max_size=6))
def test_padding_is_enough_for_any_degrees(degrees: list[int]) -> None:
    row = torch.arange(len(degrees)).repeat_interleave(torch.tensor(degrees))
    edges = row.numel()
    rows = compress(torch.stack([torch.zeros_like(row), row]), (1, len(degrees))).rows
    slots = int(rows.split_ptr[-1])
    inert = rows.item_first < 0
    assert int((~inert).sum()) == sum(max(1, -(-d // MAX_ITEM_EDGES)) for d in degrees)
    assert rows.item_row.numel() == len(degrees) + max(edges - 1, 0) // MAX_ITEM_EDGES
    assert rows.split_row.numel() == edges // (MAX_ITEM_EDGES + 1) + 2
    workspace = rows.item_row.numel() - rows.num_rows + rows.split_row.numel()
    assert slots + int(inert.any()) <= workspace
    assert int(rows.item_edges.sum()) == edges
    if inert.any():
        assert rows.item_slot[inert].unique().tolist() == [workspace - 1]
    if edges <= MAX_ITEM_EDGES:
        assert not inert.any()
    assert nothing_is_cut(rows) == (edges <= MAX_ITEM_EDGES)


@pytest.mark.parametrize("name", ["one_row", "star_out", "degrees", "heavy_tailed", "no_edges"])
def test_operators_give_the_same_over_a_padded_schedule(device: str, name: str) -> None:
    exact = awkward_graphs(device)[name]
    padded = compress(exact.edge_index, (exact.num_cols, exact.num_rows))
    results = []
    for graph in (exact, padded):
        torch.manual_seed(0)
        q, k = (torch.randn(n, 2, 4) for n in (graph.num_rows, graph.num_cols))
        q, k = (t.to(device).requires_grad_() for t in (q, k))
        out, weights = attend_with_weights(
            graph, q, k, k, dropout=0.5, seed=3, self_loops=graph.num_rows == graph.num_cols
        )
        top = aggregate(graph, k, "max") + aggregate(graph, k, "mean")
        (out + top).square().sum().backward()
        results.append((out, weights, top, q.grad, k.grad))
    for ours, wanted in zip(*results, strict=True):
        torch.testing.assert_close(ours, wanted)


def test_edges_left_out_take_part_in_nothing(device: str) -> None:
    edge_index = torch.tensor([[0, 0, 1], [0, 1, 1]], device=device)
    graph = compress(edge_index, (2, 2), self_loops=True)
    x = torch.tensor([[1.0], [10.0]], device=device, requires_grad=True)
    weight = torch.tensor([torch.nan, 2.0, torch.nan, 3.0, 4.0], device=device)
    out = aggregate(graph, x, weight=weight)
    assert out.tolist() == [[3.0], [42.0]]
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[5.0], [4.0]]
    assert graph.degree.tolist() == [1, 2]


@pytest.mark.parametrize("bad", [-1, 3, 2**31, -(2**40)])
@pytest.mark.parametrize("axis", [0, 1])
def test_an_id_out_of_range_is_refused_before_it_is_used(bad: int, axis: int) -> None:
    edge_index = torch.zeros(2, 5, dtype=torch.int64)
    edge_index[axis, 2] = bad
    with pytest.raises(IdError, match=rf"edge_index\[{axis}, 2\] = {bad} is outside \[0, 3\)"):
        compress(edge_index, (3, 3))
    with pytest.raises(IndexError):
        torch.compile(compress, fullgraph=True, backend="aot_eager")(edge_index, (3, 3))


def test_other_faults_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        compress(torch.zeros(3, 4, dtype=torch.int64), (3, 3))
    with pytest.raises(DtypeError, match="float32"):
        compress(torch.zeros(2, 4), (3, 3))
    with pytest.raises(InputError, match="as many receivers as sources"):
        compress(torch.zeros(2, 4, dtype=torch.int64), (3, 4), self_loops=True)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_sizes_are_symbolic_under_compile() -> None:
    def total(edge_index, x):
        return aggregate(compress(edge_index, (x.shape[0], x.shape[0]), self_loops=True), x)

    compiled = torch.compile(total, fullgraph=True, dynamic=True, backend="aot_eager")
    for nodes, edges in ((5, 0), (5, 7), (40, 600), (9, 3000)):
        x, edge_index = torch.randn(nodes, 2), torch.randint(nodes, (2, edges))
        torch.testing.assert_close(compiled(edge_index, x), total(edge_index, x))
