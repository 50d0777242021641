"""NeighborLoader: PyG's mini-batches around nodes, with neighbours sampled by our operators."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.loader import NeighborLoader as PygNeighborLoader
from torch_geometric.sampler.base import NumNeighbors, SubgraphType

from neighborgraph.checks import expect_dtype, expect_shape
from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.loader.epochs import EpochLoader, shuffling
from neighborgraph.loader.network import data_for_batches
from neighborgraph.loader.sampler import NeighborSampler
from neighborgraph.loader.walk import NODE, EdgeType


class NeighborLoader(PygNeighborLoader, EpochLoader):
    """Mini-batches of nodes with a sample of their neighbourhood: PyG's class and batches.

    "Inductive Representation Learning on Large Graphs", https://arxiv.org/abs/1706.02216. Needs
    neither pyg-lib nor torch-sparse. Sampling happens where ``data.edge_index`` is: with the graph
    and the features on a GPU, a batch never leaves it.

    The samples follow from the seed, the epoch and the nodes: they do not depend on ``num_workers``
    nor on threads, they are equal on CPU and GPU, and every iteration draws others.

    Times: where ``time_attr`` names one, every seed grows a tree of its own, and only earlier edges
    are looked at. Under ``temporal_rule="before"`` an edge must be *strictly* earlier than the
    time it is looked at from: the seed's at first, then that of the edge that led there, at
    every hop. A node that is reached at several times is in its tree once for each. Under
    ``"until"``, PyG's rule, edges up to and including the seed's time are looked at, at every hop.
    An edge whose ``time_attr`` is one of nodes has the time of its source. Edges without a time are
    always looked at.

    Args:
        data: A ``Data``, a ``HeteroData``, or a feature store and a graph store. Stores keep
            attributes of edges in the feature store, in the order of the graph store's edges.
        num_neighbors: Neighbours for each hop, -1 for all; or by edge type.
        input_nodes: Seeds: ids, a mask, a type of nodes, or a type and one of these; all if None.
        input_time: Times of the seeds; those of ``time_attr`` on nodes if None.
        replace: Draw with replacement.
        subgraph_type: "directional" (the sampled edges), "bidirectional" (with their reverses) or
            "induced" (all edges between the sampled nodes).
        disjoint: A tree of its own for each seed; ``batch`` tells which.
        temporal_strategy: "uniform", or "last" for the latest neighbours.
        time_attr: Attribute with int64 or float64 times, of nodes or of edges.
        weight_attr: Attribute with weights of edges: neighbours are drawn in proportion.
        transform: Applied to each batch.
        transform_sampler_output: Applied to each sampler output.
        is_sorted: Accepted; edges are always sorted once, at construction.
        filter_per_worker: Whether workers gather features.
        neighbor_sampler: A `NeighborSampler` to use instead of making one; it has the seed.
        directed: Deprecated; False means "induced".
        seed: Any 64-bit integer; decides the samples and, without a ``generator``, the shuffled
            order. None draws one, which is then `seed`.
        temporal_rule: "before" or "until".
        **kwargs: Of ``torch.utils.data.DataLoader``: ``batch_size``, ``shuffle``, ``num_workers``.

    Raises:
        InputError: A value is outside its range; names it.
        DtypeError: Seeds, times or numbers have another type.
        DeviceError: The graph is on a GPU and there are to be workers.
    """

    def __init__(
        self,
        data: Any,
        num_neighbors: NumNeighbors | list[int] | dict[EdgeType, list[int]],
        input_nodes: Any = None,
        input_time: Tensor | None = None,
        replace: bool = False,
        subgraph_type: SubgraphType | str = "directional",
        disjoint: bool = False,
        temporal_strategy: str = "uniform",
        time_attr: str | None = None,
        weight_attr: str | None = None,
        transform: Callable | None = None,
        transform_sampler_output: Callable | None = None,
        is_sorted: bool = False,
        filter_per_worker: bool | None = None,
        neighbor_sampler: NeighborSampler | None = None,
        directed: bool = True,
        *,
        seed: int | None = None,
        temporal_rule: str = "before",
        **kwargs: Any,
    ) -> None:
        if neighbor_sampler is None:
            neighbor_sampler = NeighborSampler(
                data,
                num_neighbors,
                subgraph_type,
                replace,
                disjoint,
                temporal_strategy,
                time_attr,
                weight_attr,
                is_sorted,
                directed=directed,
                seed=seed,
                temporal_rule=temporal_rule,
            )
        expect_sampler(neighbor_sampler, kwargs)
        expect_mask(input_nodes, data)
        # Past PyG's own constructor, which would make a sampler that needs pyg-lib.
        super(PygNeighborLoader, self).__init__(
            data_for_batches(data, neighbor_sampler.network),
            neighbor_sampler,
            input_nodes,
            input_time,
            transform,
            transform_sampler_output,
            filter_per_worker,
            **shuffling(kwargs, seed),
        )
        if self.input_data.node.numel():
            # Every seed is looked at here, before any is sampled.
            kind = self.input_data.input_type or NODE
            if input_time is not None:
                expect_shape("input_time", input_time, tuple(self.input_data.node.shape))
                input_time = neighbor_sampler.network.expect_time("input_time", input_time)
            neighbor_sampler.seeds(kind, self.input_data.node, input_time)

    @property
    def seed(self) -> int:
        """What decides the samples beside the epoch."""
        sampler: Any = self.node_sampler
        return sampler.seed

    def collate_fn(self, index: Any) -> Any:
        """Sample a batch of seeds; with ``filter_per_worker`` also gather its features."""
        sampler: Any = self.node_sampler
        out = sampler.sample_from_nodes(self.input_data[index], self.epoch_of(index))
        return self.filter_fn(out) if self.filter_per_worker else out


def expect_sampler(sampler: object, kwargs: dict[str, Any]) -> None:
    """Refuse another library's sampler, workers beside a GPU, and batches beyond measure."""
    if not isinstance(sampler, NeighborSampler):
        raise DtypeError(
            f"neighbor_sampler must be a neighborgraph.loader.NeighborSampler, got "
            f"{type(sampler).__name__}; PyG's NodeLoader and LinkLoader take any sampler"
        )
    if sampler.network.device.type != "cpu" and kwargs.get("num_workers", 0) > 0:
        raise DeviceError(
            f"the graph is on {sampler.network.device}, which worker processes cannot share; "
            "use num_workers=0, or move data to the CPU"
        )
    if isinstance(size := kwargs.get("batch_size", 1), int):
        sampler.expect_bounded(size)


def expect_mask(input_nodes: Any, data: Any) -> None:
    """Refuse a mask of another length than there are nodes, and seeds that are no integers."""
    nodes = input_nodes
    if isinstance(input_nodes, list | tuple) and len(input_nodes) == 2:
        kind, second = input_nodes
        if isinstance(kind, str):
            nodes, data = second, data[kind] if isinstance(data, HeteroData) else None
    if not isinstance(nodes, Tensor):
        return
    expect_dtype("input_nodes", nodes, (torch.bool, torch.int64, torch.int32))
    if nodes.dtype == torch.bool and hasattr(data, "num_nodes"):
        expect_shape("input_nodes", nodes, (data.num_nodes,), "a mask with a value for each node")
    if nodes.dim() != 1:
        raise InputError(f"input_nodes must have one axis, got shape {list(nodes.shape)}")
