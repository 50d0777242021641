"""LinkNeighborLoader: PyG's mini-batches around links, sampled by our operators."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.loader import LinkNeighborLoader as PygLinkNeighborLoader
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling
from torch_geometric.sampler.base import NumNeighbors, SubgraphType

from neighborgraph.checks import expect_dtype, expect_shape
from neighborgraph.errors import InputError
from neighborgraph.graph.structure import expect_ids
from neighborgraph.loader.epochs import EpochLoader, shuffling
from neighborgraph.loader.neighbor_loader import expect_sampler
from neighborgraph.loader.network import Network, data_for_batches
from neighborgraph.loader.sampler import NeighborSampler
from neighborgraph.loader.walk import HOMOGENEOUS, EdgeType


class LinkNeighborLoader(PygLinkNeighborLoader, EpochLoader):
    """Mini-batches of links with a sample of their ends' neighbourhood, PyG's class and batches.

    What `NeighborLoader` promises holds here, too. Ends of negative links are random nodes, as in
    PyG (a negative may be a link by chance), and follow from the seed, the epoch and the number of
    the link. Where nodes have times, a negative end is a node that is there at the link's time
    by ``temporal_rule``, or the earliest of all if there is none.

    Args:
        data: See `NeighborLoader`.
        num_neighbors: See `NeighborLoader`.
        edge_label_index: Links [2, L], or the type of edges, or both; all edges if None.
        edge_label: Labels of the links.
        edge_label_time: Times of the links; given if and only if ``time_attr`` is.
        replace: See `NeighborLoader`.
        subgraph_type: See `NeighborLoader`.
        disjoint: See `NeighborLoader`; both ends of a link have the link's number in ``batch``.
        temporal_strategy: See `NeighborLoader`.
        neg_sampling: "binary" or "triplet", or PyG's ``NegativeSampling``.
        neg_sampling_ratio: Deprecated; negative links for each positive one.
        time_attr: See `NeighborLoader`.
        weight_attr: See `NeighborLoader`.
        transform: Applied to each batch.
        transform_sampler_output: Applied to each sampler output.
        is_sorted: Accepted; edges are always sorted once, at construction.
        filter_per_worker: Whether workers gather features.
        neighbor_sampler: See `NeighborLoader`.
        directed: Deprecated; False means "induced".
        seed: See `NeighborLoader`; also decides the negatives.
        temporal_rule: See `NeighborLoader`.
        **kwargs: Of ``torch.utils.data.DataLoader``.

    Raises:
        InputError: A value is outside its range; names it.
        DtypeError: Links, times or numbers have another type.
        DeviceError: The graph is on a GPU and there are to be workers.
    """

    def __init__(
        self,
        data: Any,
        num_neighbors: NumNeighbors | list[int] | dict[EdgeType, list[int]],
        edge_label_index: Any = None,
        edge_label: Tensor | None = None,
        edge_label_time: Tensor | None = None,
        replace: bool = False,
        subgraph_type: SubgraphType | str = "directional",
        disjoint: bool = False,
        temporal_strategy: str = "uniform",
        neg_sampling: Any = None,
        neg_sampling_ratio: float | None = None,
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
        if (edge_label_time is None) != (time_attr is None):
            given = [
                "not set" if value is None else "set" for value in (edge_label_time, time_attr)
            ]
            raise InputError(
                f"'edge_label_time' is {given[0]} while 'time_attr' is {given[1]}; "
                "sampling by time needs both"
            )
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
        # Past PyG's own constructor, which would make a sampler that needs pyg-lib.
        super(PygLinkNeighborLoader, self).__init__(
            data_for_batches(data, neighbor_sampler.network),
            neighbor_sampler,
            edge_label_index,
            edge_label,
            edge_label_time,
            neg_sampling,
            neg_sampling_ratio,
            transform,
            transform_sampler_output,
            filter_per_worker,
            **shuffling(kwargs, seed),
        )
        expect_links(self.input_data, neighbor_sampler.network)
        self.negatives = None
        if isinstance(self.neg_sampling, NegativeSampling):
            kind = self.input_data.input_type
            self.negatives = neighbor_sampler.negatives(self.neg_sampling, kind)

    @property
    def seed(self) -> int:
        """What decides the samples beside the epoch."""
        sampler: Any = self.link_sampler
        return sampler.seed

    def collate_fn(self, index: Any) -> Any:
        """Sample a batch of links; with ``filter_per_worker`` also gather its features."""
        sampler: Any = self.link_sampler
        links, epoch = self.input_data[index], self.epoch_of(index)
        out = sampler.sample_from_edges(links, self.negatives, epoch)
        return self.filter_fn(out) if self.filter_per_worker else out


def expect_links(links: EdgeSamplerInput, network: Network) -> None:
    """Refuse links to nowhere, and labels or times that are not one a link."""
    kind = HOMOGENEOUS if links.input_type is None else links.input_type
    for axis, (end, node_type) in enumerate(((links.row, kind[0]), (links.col, kind[2]))):
        expect_dtype("edge_label_index", end, (torch.int64, torch.int32))
        size = network.num_nodes[node_type]
        expect_ids(f"edge_label_index[{axis}]", end, size, "number of nodes")
    size = links.row.shape[0]
    if links.label is not None:
        expect_shape("edge_label", links.label, (size, *links.label.shape[1:]), "one a link")
    if links.time is not None:
        expect_shape("edge_label_time", links.time, (size,), "one a link")
        network.expect_time("edge_label_time", links.time)
