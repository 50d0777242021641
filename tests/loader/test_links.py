"""Seeds of links by hand, and negatives by hand."""

import torch
from torch_geometric.data import Data
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling

from neighborgraph.loader.links import Negatives, link_seeds
from neighborgraph.loader.network import Network
from neighborgraph.loader.walk import HOMOGENEOUS, Rules

CPU = torch.device("cpu")


def links(**options) -> EdgeSamplerInput:
    return EdgeSamplerInput(
        torch.tensor([7, 9]), torch.tensor([4, 1]), torch.tensor([1, 3]), **options
    )


def test_each_seed_once_in_ascending_order() -> None:
    found = link_seeds(links(), None, None, Rules(), 0, 0, CPU)
    assert [seeds.tolist() for seeds in found.node.values()] == [[1, 3, 4]]
    input_id, index, label, time = found.metadata
    assert input_id.tolist() == [7, 9]
    assert index.tolist() == [[2, 0], [0, 1]]
    assert (label, time) == (None, None)
    assert not found.tree


def test_a_tree_for_each_end() -> None:
    until = torch.tensor([50, 60])
    found = link_seeds(links(time=until), until, None, Rules(disjoint=True), 0, 0, CPU)
    (node,), (tree,), (times,) = (
        list(part.values()) for part in (found.node, found.tree, found.until)
    )
    assert node.tolist() == [4, 1, 1, 3]
    assert tree.tolist() == [0, 1, 2, 3]
    assert times.tolist() == [50, 60, 50, 60]
    assert found.label_of.tolist() == [0, 1, 0, 1]


def test_no_links() -> None:
    empty = torch.empty(0, dtype=torch.int64)
    network = Network.of(Data(num_nodes=3, edge_index=torch.tensor([[0], [1]])), None, None)
    negatives = Negatives.of(NegativeSampling("binary", 2), network, HOMOGENEOUS)
    nothing = EdgeSamplerInput(empty, empty, empty)
    found = link_seeds(nothing, None, negatives, Rules(), 0, 0, CPU)
    assert found.metadata[1].shape == (2, 0)
    assert found.metadata[1].dtype == torch.int64


def test_number_i_belongs_to_link_i_mod_b() -> None:
    data = Data(num_nodes=3, edge_index=torch.tensor([[0], [1]]), time=torch.tensor([5, 3, 8]))
    network = Network.of(data, "time", None)
    negatives = Negatives.of(NegativeSampling("binary", 1.5), network, HOMOGENEOUS)
    assert negatives.count(2) == 3
    drawn = negatives.draw(
        0, torch.tensor([0, 1]), torch.tensor([4, 1]), Rules(disjoint=True), seed=0, epoch=0
    )
    # By time 4 there is only node 1; by time 1 there is none, and node 1 is the earliest.
    assert drawn.tolist() == [1, 1, 1]
