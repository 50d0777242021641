"""The edges, times and weights that a sampler needs, out of PyG's data objects."""

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData, remote_backend_utils
from torch_geometric.sampler.base import DataType

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Graph, as_graph
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
    """

    relations: Mapping[EdgeType, Relation]
    num_nodes: Mapping[str, int]
    node_time: Mapping[str, Tensor]
    time_dtype: torch.dtype | None
    is_hetero: bool

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
            return from_stores(features, graphs, time_attr, weight_attr)
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
    ) -> "Network":
        """A network of relations and raw times."""
        dtype = next((time.dtype for time in (*node_time.values(), *edge_time.values())), None)
        times = {key: ordered(time) for key, time in node_time.items()}
        return cls(relations, num_nodes, times, dtype, is_hetero)

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
    features: Any, graphs: Any, time_attr: str | None, weight_attr: str | None
) -> Network:
    """A network out of PyG's feature store and graph store, which number edges by their order."""
    if weight_attr is not None:
        raise InputError(
            f"weight_attr = {weight_attr!r} needs a Data or HeteroData object: stores of features "
            "and edges have no weights of edges"
        )
    row, col, _ = graphs.coo()
    is_hetero = isinstance(row, dict)
    if is_hetero:
        edges = {key: torch.stack([row[key], col[key]]) for key in row}
        num_nodes = {
            kind: remote_backend_utils.num_nodes(features, graphs, kind)
            for kind in node_types(features, edges)
        }
    else:
        edges = {HOMOGENEOUS: torch.stack([row, col])}
        num_nodes = {NODE: max(graphs.get_all_edge_attrs()[0].size)}
    node_time = {} if time_attr is None else stored_times(features, time_attr)
    relations = {}
    for key, edge_index in edges.items():
        graph = as_graph(edge_index, (num_nodes[key[0]], num_nodes[key[2]]), transpose=False)
        time = node_time[key[0]][edge_index[0].long()] if key[0] in node_time else None
        relations[key] = relation(graph, time)
    return Network.timed(relations, num_nodes, node_time, {}, is_hetero)


def stored_times(features: Any, name: str) -> dict[str, Tensor]:
    """Times of nodes in a feature store, by type.

    Raises:
        InputError: There are none of that name.
    """
    times = {}
    for attribute in features.get_all_tensor_attrs():
        if attribute.attr_name == name and not isinstance(attribute.group_name, tuple):
            whole = copy.copy(attribute)
            whole.index = None
            kind = NODE if attribute.group_name is None else attribute.group_name
            times[kind] = features.get_tensor(whole)
    if not times:
        raise InputError(f"time_attr = {name!r} is no attribute of nodes in the feature store")
    expect_all_times(name, times.values())
    return times


def node_types(features: Any, edge_types: Iterable[EdgeType]) -> list[str]:
    """Every type of nodes that has features or edges, once."""
    named = [attribute.group_name for attribute in features.get_all_tensor_attrs()]
    ends = [end for key in edge_types for end in (key[0], key[2])]
    return list(dict.fromkeys([name for name in named if isinstance(name, str)] + ends))
