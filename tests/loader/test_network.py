"""Edges, times and weights are read from every form of PyG's data."""

from typing import Any

import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.testing import MyFeatureStore, MyGraphStore

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.loader.network import Network
from neighborgraph.loader.walk import HOMOGENEOUS, NODE

EDGES = torch.tensor([[2, 0, 1], [0, 1, 0]])


def test_an_edge_index() -> None:
    network = Network.of(Data(edge_index=EDGES, num_nodes=4), None, None)
    population = network.relations[HOMOGENEOUS].population
    assert population.ptr.tolist() == [0, 2, 3, 3, 3]
    assert population.idx.tolist() == [2, 1, 0]
    assert population.edge_id.tolist() == [0, 2, 1]
    assert network.num_nodes == {NODE: 4}
    assert not network.is_hetero
    assert network.time_dtype is None


def test_int32_ids() -> None:
    network = Network.of(Data(edge_index=EDGES.int(), num_nodes=4), None, None)
    assert network.relations[HOMOGENEOUS].population.idx.tolist() == [2, 1, 0]


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta:UserWarning")
def test_a_sparse_matrix_numbers_edges_by_row() -> None:
    ptr, idx = torch.tensor([0, 2, 3, 3, 3]), torch.tensor([1, 2, 0])
    adjacency = torch.sparse_csr_tensor(ptr, idx, torch.ones(3), (4, 4), check_invariants=True)
    data = Data(adj_t=adjacency, num_nodes=4)
    population = Network.of(data, None, None).relations[HOMOGENEOUS].population
    assert population.idx.tolist() == [1, 2, 0]
    assert population.edge_id.tolist() == [0, 1, 2]


def test_no_edges() -> None:
    network = Network.of(Data(num_nodes=3), None, None)
    assert network.relations[HOMOGENEOUS].population.ptr.tolist() == [0] * 4


def test_times_of_nodes_become_times_of_edges() -> None:
    data = Data(edge_index=EDGES, num_nodes=4, t=torch.tensor([10, 20, 30, 40]))
    network = Network.of(data, "t", None)
    relation: Any = network.relations[HOMOGENEOUS]
    assert relation.time.tolist() == [30, 10, 20]
    assert relation.population.edge_id.tolist() == [2, 0, 1]
    assert network.node_time[NODE].tolist() == [10, 20, 30, 40]
    assert network.time_dtype == torch.int64


def test_weights_leave_zeros_out() -> None:
    data = Data(edge_index=EDGES, num_nodes=4, w=torch.tensor([1.0, 2.0, 0.0]))
    population = Network.of(data, None, "w").relations[HOMOGENEOUS].population
    assert population.edge_id.tolist() == [0, 1]


def typed() -> HeteroData:
    data = HeteroData()
    data["a"].num_nodes, data["b"].num_nodes = 3, 2
    data["a", "to", "b"].edge_index = torch.tensor([[2, 0], [1, 1]])
    data["b", "to", "a"].edge_index = torch.tensor([[0], [1]])
    return data


def test_types_with_times_on_some() -> None:
    data = typed()
    data["a"].t = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    network = Network.of(data, "t", None)
    assert network.is_hetero
    assert network.num_nodes == {"a": 3, "b": 2}
    assert network.relations["b", "to", "a"].time is None
    assert network.relations["a", "to", "b"].population.edge_id.tolist() == [1, 0]
    assert list(network.node_time) == ["a"]


def test_stores() -> None:
    features, graphs = MyFeatureStore(), MyGraphStore()
    features.put_tensor(torch.arange(3), group_name="a", attr_name="t", index=None)
    features.put_tensor(torch.arange(2), group_name="b", attr_name="x", index=None)
    kind = "a", "to", "b"
    graphs.put_edge_index((torch.tensor([2, 0]), torch.tensor([1, 1])), kind, "coo", size=(3, 2))
    network = Network.of((features, graphs), "t", None)
    assert network.num_nodes == {"a": 3, "b": 2}
    assert network.relations[kind].population.edge_id.tolist() == [1, 0]
    assert network.node_time["a"].tolist() == [0, 1, 2]
    assert not network.ungrouped
    with pytest.raises(InputError, match="t of nodes must have shape"):
        features.put_tensor(torch.arange(4), group_name="a", attr_name="t", index=None)
        Network.of((features, graphs), "t", None)


def test_stores_with_attributes_of_edges() -> None:
    features, graphs = MyFeatureStore(), MyGraphStore()
    kind = "a", "to", "a"
    graphs.put_edge_index((EDGES[0], EDGES[1]), kind, "coo", size=(3, 3))
    features.put_tensor(torch.tensor([7, 6, 5]), group_name=kind, attr_name="t", index=None)
    features.put_tensor(torch.tensor([1.0, 2.0, 0.0]), group_name=kind, attr_name="w", index=None)
    network = Network.of((features, graphs), "t", "w")
    assert network.relations[kind].population.edge_id.tolist() == [0, 1]
    assert network.relations[kind].time.tolist() == [7, 6, 5]  # pyright: ignore[reportOptionalMemberAccess]
    assert network.time_dtype == torch.int64
    with pytest.raises(InputError, match="node 0 have weight zero"):
        features.put_tensor(
            torch.tensor([0.0, 2.0, 0.0]), group_name=kind, attr_name="w", index=None
        )
        Network.of((features, graphs), None, "w", replace=True)


def test_refuses_times_of_both_nodes_and_edges() -> None:
    data = typed()
    data["a"].t, data["b", "to", "a"].t = torch.arange(3), torch.arange(1)
    with pytest.raises(InputError, match="of nodes and of edges"):
        Network.of(data, "t", None)


def test_refuses_times_of_two_types() -> None:
    data = typed()
    data["a"].t, data["b"].t = torch.arange(3), torch.arange(2).double()
    with pytest.raises(DtypeError, match="both"):
        Network.of(data, "t", None)


def test_refuses_an_unknown_number_of_nodes() -> None:
    data: Any = {"a": {"name": "x"}, ("a", "to", "a"): {"w": 1}}
    with pytest.raises(InputError, match="'a' is unknown"), pytest.warns(UserWarning):
        Network.of(HeteroData(data), None, None)
