"""OGB's data sets of links, read by OGB's own loader, and its own evaluator."""

import math
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from neighborgraph.data.files import build_or_refuse
from neighborgraph.data.link_dataset import (
    HeldOut,
    LinkDataset,
    OwnNegatives,
    SharedNegatives,
    without_loops,
)
from neighborgraph.data.ogb import (
    Promise,
    find_folder,
    import_ogb,
    name_and_source,
    read_promise,
    read_tamed,
    stored_edges,
)
from neighborgraph.data.ogb_format import LINK_FORMATS, PARTS, LinkFormat
from neighborgraph.graph import Graph, to_undirected

Split = dict[str, dict[str, Tensor]]
"""Part to name of an array to the array."""


def load_ogbl(name: str, root: Path, download: bool) -> LinkDataset:
    """Read one of ``LINK_FORMATS`` from ``root``/<name with an underscore>.

    The graph is that of the training edges, made undirected and without self-loops. OGB's loader
    leaves a copy of what it read in the folder ``processed``, which later runs read instead.

    Raises:
        BackendUnavailable: The package ogb is not installed.
        DataFileError: The folder is absent, incomplete, damaged, or not what its name claims.
    """
    form = LINK_FORMATS[name]

    def read(ogb: ModuleType) -> tuple[Any, Split]:
        loaded = ogb.PygLinkPropPredDataset(name, root=str(root))
        return loaded[0], loaded.get_edge_split()

    folder = find_folder(name, form, root, download)
    promise = build_or_refuse(folder, partial(read_promise, name, form, folder))
    content, split = read_tamed(folder, "linkproppred", read)
    return build_or_refuse(folder, partial(assemble, name, form, promise, content, split))


def assemble(
    name: str, form: LinkFormat, promise: Promise, content: Any, split: Split
) -> LinkDataset:
    """Our data set from PyG's."""
    edges, nodes = stored_edges(form, promise, content), content.num_nodes
    train, val, test = (edges_of(form, split[part], part) for part in PARTS)
    for part, found, size in zip(PARTS, (train, val, test), form.part_sizes, strict=True):
        if not promise.synthetic and found.shape[1] != size:
            raise ValueError(f"{found.shape[1]} edges in split {part}, but {name} has {size}")
    expect_edges_of_graph(train, edges, nodes)
    weight = None
    if "edge_weight" in form.edge_files:
        # The loader repeats each for the reverse of its edge.
        weight = content.edge_weight[:: 2 if form.both_directions else 1].view(-1).float()
    known_as, source = name_and_source(name, promise)
    return LinkDataset(
        name=known_as,
        graph=undirected(edges, nodes, weight),
        x=content.x.float() if form.features else None,
        train=train,
        val=held_out(form, val, split["valid"], "valid"),
        test=held_out(form, test, split["test"], "test"),
        source=source,
        official=partial(evaluate_officially, name),
        validation_input=form.validation_input,
    )


def edges_of(form: LinkFormat, content: dict[str, Tensor], part: str) -> Tensor:
    """[2, P] the edges of one part of the split."""
    if form.own_negatives:
        ends = [array_of(content, name, part) for name in ("source_node", "target_node")]
        return torch.stack(ends)
    return array_of(content, "edge", part).t().contiguous()


def held_out(form: LinkFormat, edges: Tensor, content: dict[str, Tensor], part: str) -> HeldOut:
    """The edges of one part beside its negatives."""
    if form.hits is None:
        return OwnNegatives(edges, array_of(content, "target_node_neg", part))
    return SharedNegatives(edges, array_of(content, "edge_neg", part).t().contiguous(), form.hits)


def array_of(content: dict[str, Tensor], name: str, part: str) -> Tensor:
    """One array of a part of the split, as int64."""
    if name not in content:
        raise ValueError(f"split {part} has no {name}, but {', '.join(content) or 'nothing'}")
    array = torch.as_tensor(content[name])
    if array.is_floating_point():
        raise ValueError(f"{name} of split {part} holds {array.dtype} in the place of ids")
    return array.long()


def expect_edges_of_graph(train: Tensor, edges: Tensor, nodes: int) -> None:
    """Refuse training edges that are not the graph's; each node must have as many of both."""
    if train.shape != edges.shape:
        raise ValueError(
            f"{train.shape[1]} training edges, but the graph has {edges.shape[1]}: the split is "
            "that of another graph"
        )
    if int(train.min()) < 0 or int(train.max()) >= nodes:
        raise ValueError(f"training edges hold node ids outside [0, {nodes})")
    degrees = [ids.flatten().bincount(minlength=nodes) for ids in (train, edges)]
    wrong = (degrees[0] != degrees[1]).nonzero()
    if wrong.numel():
        node = int(wrong[0])
        raise ValueError(
            f"node {node} has {int(degrees[0][node])} training edges, but {int(degrees[1][node])} "
            "in the graph: the split is that of another graph"
        )


def undirected(edges: Tensor, nodes: int, weight: Tensor | None) -> Graph:
    """The graph of [2, m] edges; weights of edges that join the same pair are added up."""
    kept = edges[0] != edges[1]
    weight = None if weight is None else weight[kept]
    return to_undirected(Graph.from_edge_index(without_loops(edges), nodes, weight=weight))


def evaluate_officially(name: str, edges: Tensor, negatives: Tensor) -> float:
    """What OGB's Evaluator finds: Hits@K, or the mean of its reciprocal ranks.

    Args:
        name: The data set.
        edges: [P] scores of edges.
        negatives: Scores of negatives, [Q] or [P, R].

    Raises:
        BackendUnavailable: The package ogb is not installed.
    """
    evaluator = import_ogb("linkproppred").Evaluator(name)
    answer = evaluator.eval({"y_pred_pos": edges, "y_pred_neg": negatives})
    if evaluator.eval_metric == "mrr":
        # The Evaluator leaves the mean to its user; this one is the same in any order.
        return math.fsum(answer["mrr_list"].tolist()) / edges.numel()
    return float(answer[evaluator.eval_metric])
