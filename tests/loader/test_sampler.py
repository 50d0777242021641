"""NeighborSampler behind PyG's own loaders, and what it hands them."""

from typing import Any

import pytest
import torch
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling, NodeSamplerInput
from torch_geometric.sampler.base import NumNeighbors

from neighborgraph.errors import InputError
from neighborgraph.loader import NeighborSampler


def test_pygs_node_loader_takes_it(data: Any) -> None:
    loader = NodeLoader(data, NeighborSampler(data, [3, 2], seed=1), batch_size=25)
    for batch in loader:
        assert torch.equal(batch.n_id[batch.edge_index], data.edge_index[:, batch.e_id])
        assert batch.batch_size == 25


def test_pygs_link_loader_takes_it(data: Any) -> None:
    sampler = NeighborSampler(data, [3], seed=1)
    for batch in LinkLoader(data, sampler, neg_sampling=NegativeSampling("binary"), batch_size=90):
        assert batch.edge_label_index.shape == (2, 180)


def test_output(data: Any) -> None:
    sampler = NeighborSampler(data, NumNeighbors([4, 3]), seed=1)
    out: Any = sampler.sample_from_nodes(NodeSamplerInput(torch.arange(2), torch.tensor([5, 5])))
    assert out.node[:2].tolist() == [5, 5]
    assert out.num_sampled_nodes[0] == 2
    assert len(out.num_sampled_edges) == 2
    assert out.batch is None
    assert sampler.edge_permutation is None
    assert out.metadata[0].tolist() == [0, 1]


def test_bidirectional_edges(data: Any) -> None:
    sampler = NeighborSampler(data, [4], "bidirectional", seed=1)
    out: Any = sampler.sample_from_nodes(NodeSamplerInput(None, torch.arange(5)))
    pairs = set(zip(out.row.tolist(), out.col.tolist(), strict=True))
    assert pairs == {(col, row) for row, col in pairs}
    assert out.num_sampled_edges is None


def test_types_have_entries_even_when_nothing_is_reached(hetero: Any) -> None:
    sampler = NeighborSampler(hetero, [0, 0], disjoint=True, seed=1)
    out: Any = sampler.sample_from_nodes(NodeSamplerInput(None, torch.arange(5), None, "paper"))
    assert {kind: row.numel() for kind, row in out.row.items()} == dict.fromkeys(
        hetero.edge_types, 0
    )
    assert out.node["author"].numel() == 0
    assert out.batch["paper"].tolist() == [0, 1, 2, 3, 4]
    assert out.num_sampled_nodes == {"paper": [5, 0, 0], "author": [0, 0, 0]}


def test_epochs_are_passes(data: Any) -> None:
    sampler = NeighborSampler(data, [3], seed=1)
    nodes = NodeSamplerInput(None, torch.arange(100))
    outs: Any = [sampler.sample_from_nodes(nodes, epoch=e) for e in (0, 0, 1)]
    first, again, second = (out.edge for out in outs)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_refuses_seeds(data: Any) -> None:
    sampler = NeighborSampler(data, [3], seed=1)
    with pytest.raises(InputError, match=r"seeds\[1\] = 100"):
        sampler.sample_from_nodes(NodeSamplerInput(None, torch.tensor([0, 100])))
    with pytest.raises(InputError, match=r"seeds\[0\] = -1"):
        sampler.sample_from_edges(EdgeSamplerInput(None, torch.tensor([0]), torch.tensor([-1])))


def test_the_estimate_of_edges_knows_the_size_of_the_graph(data: Any) -> None:
    sampler = NeighborSampler(data, [10**6] * 9, seed=1)
    sampler.expect_bounded(100)  # every node is expanded at most once
    disjoint = NeighborSampler(data, [-1, -1], disjoint=True, seed=1)
    disjoint.expect_bounded(100)
    replacing = NeighborSampler(data, [10**6] * 2, replace=True, seed=1)
    with pytest.raises(InputError, match="num_neighbors and batch_size = 100 ask for up to 1e"):
        replacing.expect_bounded(100)
