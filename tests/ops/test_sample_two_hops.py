"""Two hops: every draw by the definition, and samples as likely as the squared matrix says."""

import pytest
import torch
from scipy.stats import chi2

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.ops.sample import Draw, TwoHops, reference, sample_two_hops
from neighborgraph.testing import awkward_graphs

GRAPHS = {
    name: graph for name, graph in awkward_graphs().items() if graph.num_rows == graph.num_cols
}
COUNTS = [0, 1, 2, 5, 33, 70, 200]


def square(graph: Graph) -> torch.Tensor:
    """A + A², dense, with rows as receivers: how often each node can be drawn."""
    source, receiver = graph.edge_index
    dense = torch.zeros(graph.num_rows, graph.num_rows, dtype=torch.int64)
    dense.index_put_((receiver, source), torch.ones((), dtype=torch.int64), accumulate=True)
    return dense + dense @ dense


@pytest.mark.parametrize("name", GRAPHS)
def test_equals_the_definition(device: str, name: str) -> None:
    hops = TwoHops.of(GRAPHS[name].to(device))
    generator = torch.Generator().manual_seed(5)
    rows = hops.num_rows
    row = torch.randint(max(rows, 1), (12 if rows else 0,), generator=generator).to(device)
    for turn, count in enumerate(COUNTS):
        draw = Draw(seed=-(2**60) + turn, epoch=turn, hop=turn % 3, relation=5)
        found = sample_two_hops(hops, row, count, draw)
        assert found.shape == (len(row), count)
        assert torch.equal(found, reference.sample_two_hops(hops, row, count, draw)), count


def test_by_hand(device: str) -> None:
    # 0 -> 1 -> 2, and 3 alone; 2 also receives 1 a second time.
    edges = torch.tensor([[0, 1, 1], [1, 2, 2]])
    hops = TwoHops.of(Graph.from_edge_index(edges, 4).to(device))
    row = torch.tensor([2, 1, 2], device=device)
    drawn = sample_two_hops(hops, row, 6, Draw(1))
    assert drawn.tolist() == [[1, 1, 0, 0, 1, 1], [0] * 6, [1, 1, 0, 0, 1, 1]]
    alone = sample_two_hops(hops, torch.full((1,), 3, device=device), 200, Draw(1))
    assert set(alone[0].tolist()) == {0, 1, 2, 3}
    assert sample_two_hops(hops, row[:0], 3, Draw(1)).shape == (0, 3)


@pytest.mark.parametrize("count", [1, 5, 10])
def test_every_node_is_as_likely_as_its_walks(device: str, count: int) -> None:
    edges = torch.randint(12, (2, 40), generator=torch.Generator().manual_seed(2))
    graph = Graph.from_edge_index(edges, 12)
    expected = square(graph)
    hops = TwoHops.of(graph.to(device))
    draws = 20_000
    for row in range(12):
        around = int(expected[row].sum())
        if around <= count:
            continue
        key = torch.arange(draws, device=device)
        rows = torch.full_like(key, row)
        drawn = sample_two_hops(hops, rows, count, Draw(11), key=key).cpu()
        seen = torch.bincount(drawn.flatten(), minlength=12).double()
        wanted = expected[row].double() / around * draws * count
        assert (seen[wanted == 0] == 0).all()
        # Without replacement the variance is (around - count) / (around - 1) of the multinomial.
        shrunk = (around - count) / (around - 1)
        statistic = ((seen - wanted).square() / wanted)[wanted > 0].sum() / shrunk
        assert chi2.sf(statistic, int((wanted > 0).sum()) - 1) > 1e-4, row


def test_without_replacement_no_walk_is_taken_twice(device: str) -> None:
    graph = Graph.from_edge_index(torch.randint(30, (2, 200)), 30)
    most = square(graph)
    hops = TwoHops.of(graph.to(device))
    for count in (3, 20, 40):
        drawn = sample_two_hops(hops, torch.arange(30, device=device), count, Draw(4)).cpu()
        for row in range(30):
            if int(most[row].sum()) >= count:
                times = torch.bincount(drawn[row], minlength=30)
                assert (times <= most[row]).all()


def test_a_row_draws_the_same_whoever_is_beside_it(device: str) -> None:
    graph = Graph.from_edge_index(torch.randint(500, (2, 4000)), 500).to(device)
    hops, draw = TwoHops.of(graph), Draw(seed=3, epoch=2)
    row = torch.randperm(500, device=device)
    together = sample_two_hops(hops, row, 99, draw)
    for part in (row[:1], row[7:100]):
        where = (row[:, None] == part).nonzero()[:, 0]
        alone = sample_two_hops(hops, row[where], 99, draw)
        assert torch.equal(alone, together[where])
    assert not torch.equal(together, sample_two_hops(hops, row, 99, Draw(seed=3, epoch=3)))


@pytest.mark.cuda
def test_both_devices_draw_the_same() -> None:
    graph = Graph.from_edge_index(torch.randint(20_000, (2, 300_000)), 20_000)
    row = torch.randint(20_000, (100_000,))
    on_cpu = sample_two_hops(TwoHops.of(graph), row, 30, Draw(9))
    on_gpu = sample_two_hops(TwoHops.of(graph.to("cuda")), row.cuda(), 30, Draw(9))
    assert torch.equal(on_gpu.cpu(), on_cpu)


def test_refusals() -> None:
    hops = TwoHops.of(Graph.from_edge_index(torch.tensor([[0], [1]]), 2))
    row = torch.tensor([0, 1])
    with pytest.raises(InputError, match=r"count = -1 must be in \[0, 2147483647\]"):
        sample_two_hops(hops, row, -1, Draw(0))
    with pytest.raises(InputError, match=r"row\[1\] = 2 is outside \[0, 2\)"):
        sample_two_hops(hops, torch.tensor([0, 2]), 1, Draw(0))
    with pytest.raises(DtypeError, match="row must be one of int64, got int32"):
        sample_two_hops(hops, row.int(), 1, Draw(0))
    with pytest.raises(InputError, match=r"key must have shape \[2\] \(one a row\), got \[1\]"):
        sample_two_hops(hops, row, 1, Draw(0), key=row[:1])
    with pytest.raises(DeviceError, match="row"):
        sample_two_hops(hops, row.to("meta"), 1, Draw(0))
    with pytest.raises(InputError, match="sampling two hops needs a square graph"):
        TwoHops.of(Graph.from_edge_index(torch.tensor([[0], [1]]), (2, 3)))
