"""Edges, times and weights out of PyG's feature store and graph store.

Edges have the numbers of the order in which the graph store holds them, and their attributes in the
feature store have that order. A graph of many types has its attributes in groups: a type of nodes,
or a type of edges. One without types has no groups; as in PyG, times named ``time`` are then those
of nodes, and times of any other name and weights those of edges.
"""

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import remote_backend_utils

from neighborgraph.errors import InputError
from neighborgraph.loader.walk import HOMOGENEOUS, NODE, EdgeType

NODE_TIME = "time"
"""The name of times of nodes where attributes have no groups."""


class NodeFeatures:
    """A feature store without some attributes of edges, which PyG would read by ids of nodes.

    It is all that PyG's loaders ask for where attributes have no groups.
    """

    def __init__(self, features: Any, hidden: Collection[str]) -> None:
        self.features = features
        self.hidden = hidden

    def get_all_tensor_attrs(self) -> list[Any]:
        """The attributes of nodes."""
        attributes = self.features.get_all_tensor_attrs()
        return [attribute for attribute in attributes if attribute.attr_name not in self.hidden]

    def multi_get_tensor(self, attributes: list[Any]) -> list[Any]:
        """Their rows."""
        return self.features.multi_get_tensor(attributes)


def stored_edges(features: Any, graphs: Any) -> tuple[dict[EdgeType, Tensor], dict[str, int], bool]:
    """Edges [2, e] by type, numbers of nodes by type, and whether there are types."""
    row, col, _ = graphs.coo()
    if not isinstance(row, dict):
        size = max(graphs.get_all_edge_attrs()[0].size)
        return {HOMOGENEOUS: torch.stack([row, col])}, {NODE: size}, False
    edges = {key: torch.stack([row[key], col[key]]) for key in row}
    num_nodes = {
        kind: remote_backend_utils.num_nodes(features, graphs, kind)
        for kind in node_types(features, edges)
    }
    return edges, num_nodes, True


def node_types(features: Any, edge_types: Iterable[EdgeType]) -> list[str]:
    """Every type of nodes that has features or edges, once."""
    named = [attribute.group_name for attribute in features.get_all_tensor_attrs()]
    ends = [end for key in edge_types for end in (key[0], key[2])]
    return list(dict.fromkeys([name for name in named if isinstance(name, str)] + ends))


def stored_weights(
    features: Any, name: str | None, edges: Mapping[EdgeType, Tensor]
) -> dict[EdgeType, Tensor]:
    """Weights of edges, by type.

    Raises:
        InputError: There are none of that name, or of edges that are not in the graph store.
    """
    if name is None:
        return {}
    found = {HOMOGENEOUS if k is None else k: v for k, v in stored(features, name).items()}
    weights = {key: weight for key, weight in found.items() if isinstance(key, tuple)}
    if not weights:
        raise InputError(f"weight_attr = {name!r} is no attribute of edges in the feature store")
    expect_known(name, weights, edges)
    return weights


def stored_times(
    features: Any, name: str | None, edges: Mapping[EdgeType, Tensor]
) -> tuple[dict[str, Tensor], dict[EdgeType, Tensor]]:
    """Times of nodes or of edges, by type.

    Raises:
        InputError: There are none of that name, both, or those of edges that are not in the graph
            store.
    """
    if name is None:
        return {}, {}
    ungrouped: Any = NODE if name == NODE_TIME else HOMOGENEOUS
    found = {ungrouped if k is None else k: v for k, v in stored(features, name).items()}
    node_time = {key: time for key, time in found.items() if not isinstance(key, tuple)}
    edge_time = {key: time for key, time in found.items() if isinstance(key, tuple)}
    if not found:
        raise InputError(f"time_attr = {name!r} is no attribute in the feature store")
    if node_time and edge_time:
        raise InputError(
            f"time_attr = {name!r} is an attribute of nodes and of edges in the feature store; "
            "rename one"
        )
    expect_known(name, edge_time, edges)
    return node_time, edge_time


def stored(features: Any, name: str) -> dict[Any, Tensor]:
    """The whole tensors of one name, by group."""
    wanted = [
        copy.copy(attribute)
        for attribute in features.get_all_tensor_attrs()
        if attribute.attr_name == name
    ]
    for attribute in wanted:
        attribute.index = None
    tensors = features.multi_get_tensor(wanted) if wanted else []
    groups = [attribute.group_name for attribute in wanted]
    return dict(zip(groups, tensors, strict=True))


def expect_known(name: str, found: Iterable[EdgeType], edges: Mapping[EdgeType, Tensor]) -> None:
    """Refuse attributes of edges that the graph store does not have."""
    for key in found:
        if key not in edges:
            raise InputError(
                f"the feature store has {name!r} of edges {key!r}, but the graph store has "
                f"{', '.join(map(repr, edges))}"
            )
