"""The edges, times and weights that a sampler needs, out of PyG's data objects."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.sampler.base import DataType

from neighborgraph.checks import expect_shape
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Graph, as_graph
from neighborgraph.loader.stores import (
    NODE_TIME,
    NodeFeatures,
    stored_edges,
    stored_times,
    stored_weights,
)
from neighborgraph.loader.walk import HOMOGENEOUS, NODE, EdgeType, Relation
from neighborgraph.ops.sample import Population, ordered
from neighborgraph.ops.sample.population import TIME_DTYPES, expect_times


@dataclass(frozen=True)
class Network:
    """A graph of one or many types, ready to be sampled.

    Attributes:
        relations: Edges by type.
        num_nodes: Number of nodes by type.
        node_time: Times of nodes [n] from `ordered`, of the types that have some.
        time_dtype: Of all times, None where the data has none.
        is_hetero: Whether the data has types.
        ungrouped: Attributes of edges that a feature store does not tell from those of nodes.
    """

    relations: Mapping[EdgeType, Relation]
    num_nodes: Mapping[str, int]
    node_time: Mapping[str, Tensor]
    time_dtype: torch.dtype | None
    is_hetero: bool
    ungrouped: Collection[str] = ()

    @classmethod
    def of(
        cls, data: Any, time_attr: str | None, weight_attr: str | None, *, replace: bool = False
    ) -> "Network":
        """Read a ``Data``, a ``HeteroData`` or a pair of feature store and graph store.

        With ``replace``, nodes whose edges all have weight zero are refused.

        Raises:
            InputError: An edge leads nowhere, a weight or a time is none, or the named attribute
                does not exist, on edges of any type or (times only) nodes of any type.
            DtypeError: Times are neither int64 nor float64.
        """
        kind = DataType.from_data(data)
        if kind == DataType.remote:
            features, graphs = data
            return from_stores(features, graphs, time_attr, weight_attr, replace)
        if kind == DataType.homogeneous:
            assert isinstance(data, Data)
            stores: dict[EdgeType, Any] = {HOMOGENEOUS: data}
            nodes: dict[str, Any] = {NODE: data}
        else:
            assert isinstance(data, HeteroData)
            stores = dict(data.edge_items())
            nodes = dict(data.node_items())
        num_nodes = {key: expect_num_nodes(key, store) for key, store in nodes.items()}
        weights = weights_of(stores, weight_attr)
        node_time, edge_time = times_of(nodes, stores, time_attr)
        relations = {}
        for key, store in stores.items():
            graph = graph_of(store, num_nodes[key[0]], num_nodes[key[2]])
            time = edge_time.get(key)
            if key[0] in node_time:
                time = node_time[key[0]][graph.edge_index[0]]
            relations[key] = relation(graph, time, weights.get(key), replace=replace)
        return cls.timed(relations, num_nodes, node_time, edge_time, kind == DataType.heterogeneous)

    @classmethod
    def timed(
        cls,
        relations: Mapping[EdgeType, Relation],
        num_nodes: Mapping[str, int],
        node_time: Mapping[str, Tensor],
        edge_time: Mapping[EdgeType, Tensor],
        is_hetero: bool,
        ungrouped: Collection[str] = (),
    ) -> "Network":
        """A network of relations and raw times."""
        dtype = next((time.dtype for time in (*node_time.values(), *edge_time.values())), None)
        times = {key: ordered(time) for key, time in node_time.items()}
        return cls(relations, num_nodes, times, dtype, is_hetero, ungrouped)

    @property
    def device(self) -> torch.device:
        """Where sampling happens."""
        for relation in self.relations.values():
            return relation.population.ptr.device
        return torch.device("cpu")

    def expect_time(self, name: str, time: Tensor) -> Tensor:
        """Times of seeds as `ordered` numbers on the device of the graph.

        Raises:
            InputError: The data has no times.
            DtypeError: They are of another type than the data's.
        """
        if self.time_dtype is None:
            raise InputError(f"{name} is given, but time_attr is not; name the attribute of times")
        if time.dtype != self.time_dtype:
            raise DtypeError(
                f"{name} has {time.dtype}, but the times of the data {self.time_dtype}; "
                f"convert one of them"
            )
        expect_times(name, time, time.numel())
        return ordered(time).to(self.device)


def expect_num_nodes(kind: str, store: Any) -> int:
    """The number of nodes of a type, which must be known."""
    if store.num_nodes is None:
        raise InputError(f"the number of nodes of type {kind!r} is unknown; set num_nodes")
    return int(store.num_nodes)


def relation(
    graph: Graph, time: Tensor | None = None, weight: Tensor | None = None, *, replace: bool = False
) -> Relation:
    """Edges of one type with raw times and weights in the caller's edge order.

    Raises:
        InputError: A row has edges to draw from with replacement, but all weights are zero.
    """
    population = Population.of(graph, weight=weight, time=time)
    hopeless = ((graph.degree > 0) & (population.ptr.diff() == 0)).nonzero()
    if replace and hopeless.numel():
        raise InputError(
            f"all edges to node {int(hopeless[0])} have weight zero, so none can be drawn with "
            "replace=True; leave these edges out, or weigh one of them"
        )
    return Relation(population, None if time is None else ordered(time))


def graph_of(store: Any, sources: int, receivers: int) -> Graph:
    """The adjacency of a PyG store, whichever format it is in."""
    if getattr(store, "adj_t", None) is not None:
        return as_graph(store.adj_t, (sources, receivers), transpose=False)
    if getattr(store, "adj", None) is not None:
        return as_graph(store.adj.t(), (sources, receivers), transpose=False)
    edge_index = getattr(store, "edge_index", None)
    if edge_index is None:
        edge_index = torch.empty(2, 0, dtype=torch.int64)
    return as_graph(edge_index, (sources, receivers), transpose=False)


def weights_of(stores: Mapping[EdgeType, Any], name: str | None) -> dict[EdgeType, Tensor]:
    """Weights of edges, by type.

    Raises:
        InputError: There are none of that name.
    """
    if name is None:
        return {}
    weights = {key: store[name] for key, store in stores.items() if name in store}
    if not weights:
        raise InputError(f"weight_attr = {name!r} is no attribute of edges")
    return weights


def times_of(
    nodes: Mapping[str, Any], stores: Mapping[EdgeType, Any], name: str | None
) -> tuple[dict[str, Tensor], dict[EdgeType, Tensor]]:
    """Times of nodes or of edges, by type.

    Raises:
        InputError: There are none of that name, or both.
    """
    if name is None:
        return {}, {}
    node_time = {k: s[name] for k, s in nodes.items() if name in s and s.is_node_attr(name)}
    edge_time = {k: s[name] for k, s in stores.items() if name in s and s.is_edge_attr(name)}
    if node_time and edge_time:
        raise InputError(f"time_attr = {name!r} is an attribute of nodes and of edges; rename one")
    if not node_time and not edge_time:
        raise InputError(f"time_attr = {name!r} is neither an attribute of nodes nor of edges")
    expect_all_times(name, [*node_time.values(), *edge_time.values()])
    return node_time, edge_time


def expect_all_times(name: str, times: Collection[Tensor]) -> None:
    """Refuse what is no time, and times of two types."""
    for time in times:
        expect_times(name, time, time.shape[0])
    if len({time.dtype for time in times}) > 1:
        names = " and ".join(str(dtype) for dtype in TIME_DTYPES)
        raise DtypeError(f"{name} is of both {names}; convert one of them")


def from_stores(
    features: Any, graphs: Any, time_attr: str | None, weight_attr: str | None, replace: bool
) -> Network:
    """A network out of PyG's feature store and graph store."""
    edges, num_nodes, is_hetero = stored_edges(features, graphs)
    weights = stored_weights(features, weight_attr, edges)
    node_time, edge_time = stored_times(features, time_attr, edges)
    for kind, time in node_time.items():
        expect_shape(f"{time_attr} of nodes", time, (num_nodes[kind],), f"of type {kind!r}")
    for key, time in edge_time.items():
        meaning = f"of type {key!r}" if is_hetero else f"only {NODE_TIME!r} is of nodes"
        expect_shape(f"{time_attr} of edges", time, (edges[key].shape[1],), meaning)
    expect_all_times(str(time_attr), [*node_time.values(), *edge_time.values()])
    relations = {}
    for key, edge_index in edges.items():
        graph = as_graph(edge_index, (num_nodes[key[0]], num_nodes[key[2]]), transpose=False)
        time = edge_time.get(key)
        if key[0] in node_time:
            time = node_time[key[0]][edge_index[0].long()]
        relations[key] = relation(graph, time, weights.get(key), replace=replace)
    named = () if is_hetero else ((weight_attr, weights), (time_attr, edge_time))
    ungrouped = [str(name) for name, found in named if found]
    return Network.timed(relations, num_nodes, node_time, edge_time, is_hetero, ungrouped)


def data_for_batches(data: Any, network: Network) -> Any:
    """Data whose nodes' features PyG can look up for a batch of a network."""
    if not network.ungrouped:
        return data
    features, graphs = data
    return NodeFeatures(features, network.ungrouped), graphs
