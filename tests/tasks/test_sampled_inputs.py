"""Sampled classification on odd graphs: each is trained on rightly, or refused clearly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neighborgraph.data import NodeDataset, Split
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import CheckpointError, InputError
from neighborgraph.graph import Graph, add_self_loops
from neighborgraph.models import LargeGT
from neighborgraph.nn import hop_features, random_projection
from neighborgraph.ops import Draw, TwoHops, sample_two_hops
from neighborgraph.tasks import Checkpoints, Fitted, SampledClassification, fit
from neighborgraph.tasks.recipe import OptimizerSettings, TrainingSettings

TINY = load_tiny()


def train(
    dataset: NodeDataset,
    *,
    nodes: int = 5,
    codes: int = 10,
    epochs: int = 40,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    torch.manual_seed(0)
    sizes = dataset.x.shape[1], dataset.num_classes, dataset.graph.num_rows
    width, classes, count = sizes
    model = LargeGT(
        in_channels=width,
        hidden_channels=8,
        out_channels=classes,
        num_nodes=count,
        global_channels=4,
        codes=codes,
    )
    task = SampledClassification(dataset, nodes=nodes, batch_size=8, position_channels=4)
    optimizer, training = OptimizerSettings(lr=0.01), TrainingSettings(epochs=epochs)
    identity = {"data digest": dataset.digest}
    return fit(
        model,
        task,
        optimizer=optimizer,
        training=training,
        checkpoints=checkpoints,
        identity=identity,
    )


def without_edges_of(dataset: NodeDataset, some: torch.Tensor) -> Graph:
    """The graph in which some nodes are isolated."""
    edges = dataset.graph.edge_index
    kept = ~torch.isin(edges, some).any(dim=0)
    return Graph.from_edge_index(edges[:, kept], dataset.graph.num_rows)


@pytest.mark.parametrize("every", [2, 1])
def test_isolated_nodes(every: int) -> None:
    alone = torch.arange(0, 120, every)
    dataset = replace(TINY, graph=without_edges_of(TINY, alone))
    task = SampledClassification(dataset, nodes=30)
    # Nothing around them: their smoothed features are their own, and any nodes are drawn.
    assert torch.equal(task.features[alone], dataset.x[alone, None].expand(-1, 3, -1))
    around = task.with_others(alone, epoch=0)[:, 1:]
    assert len(around.unique()) > 100
    fitted = train(dataset)
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]


def test_more_nodes_than_the_graph_has() -> None:
    fitted = train(TINY, nodes=200, epochs=15)
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]


def test_more_centroids_than_nodes_in_a_batch_and_in_the_graph() -> None:
    assert train(TINY, codes=300).metrics["test_acc"] > 0.4


def test_a_graph_of_one_node() -> None:
    graph, node = Graph.from_edge_index(torch.empty(2, 0).long(), 1), torch.tensor([0])
    split = Split(node, node[:0], node[:0])
    dataset = replace(TINY, graph=graph, x=TINY.x[:1], y=TINY.y[:1], split_rule=lambda seed: split)
    with pytest.raises(InputError, match="the val split is empty"):
        SampledClassification(dataset)
    assert sample_two_hops(TwoHops.of(graph), node, 4, Draw(0)).tolist() == [[0] * 4]
    hops = hop_features(add_self_loops(graph), dataset.x, 2)
    assert torch.equal(hops, dataset.x[:, None].expand(-1, 3, -1))
    model = LargeGT(
        in_channels=16,
        hidden_channels=8,
        out_channels=4,
        num_nodes=1,
        global_channels=4,
        codes=10,
    ).eval()
    position = random_projection(add_self_loops(graph), 4)
    scores = model(hops[torch.zeros(1, 5, dtype=torch.int64)], position, node)
    assert scores.isfinite().all()
    few = hops[torch.zeros(1, 1, dtype=torch.int64)]
    assert model(few, position, node).isfinite().all()


def test_features_that_16_bits_do_not_hold() -> None:
    x = TINY.x.clone()
    x[7, 3] = torch.finfo(torch.float32).max  # bfloat16 rounds it up to infinity
    with pytest.raises(InputError, match=r"node 7 is beyond the range of torch.bfloat16"):
        SampledClassification(replace(TINY, x=x), precision="bfloat16")


def test_another_graph_needs_another_task() -> None:
    before = SampledClassification(TINY, nodes=6)
    ids = TINY.split(0).val
    tokens, _, _ = before.seen_from(ids, 3)
    changed = replace(TINY, graph=without_edges_of(TINY, torch.arange(30)))
    after = SampledClassification(changed, nodes=6)
    assert torch.equal(before.seen_from(ids, 3)[0], tokens)
    assert not torch.equal(after.seen_from(ids, 3)[0], tokens)


def test_a_training_does_not_go_on_on_another_graph(tmp_path: Path) -> None:
    train(TINY, epochs=2, checkpoints=Checkpoints(tmp_path))
    changed = replace(TINY, graph=without_edges_of(TINY, torch.arange(30)))
    with pytest.raises(CheckpointError, match="data digest"):
        train(changed, epochs=4, checkpoints=Checkpoints(tmp_path))
