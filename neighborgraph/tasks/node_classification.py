"""Classification of nodes: a loss on the training nodes, a metric on all three parts."""

import torch
from torch import Tensor, nn

from neighborgraph.data import NodeDataset
from neighborgraph.graph import Graph, add_self_loops
from neighborgraph.nn.features import normalize_rows
from neighborgraph.tasks.base import Evaluation, Task
from neighborgraph.tasks.target import target_of

SPARSE_BELOW = 0.1
"""Fraction of nonzero features under which a sparse product is faster than the dense one."""


class NodeClassification(Task):
    """Full-batch classification of the nodes of one graph.

    The model is called as ``model(x, graph)``, where ``graph`` has a self-loop at every node and
    ``x`` is [n, F], or the same matrix as a weighted graph when nearly all of it is zero. The type
    of the data set decides the `target`: loss, metric and what its own evaluator is given.
    """

    def __init__(
        self,
        dataset: NodeDataset,
        *,
        seed: int = 0,
        row_normalize: bool = False,
        device: torch.device | str = "cpu",
    ):
        """Prepare features, graph and split.

        Args:
            dataset: The nodes.
            seed: Which split of the data set to use.
            row_normalize: Divide each node's features by their sum.
            device: Where to train.
        """
        x = normalize_rows(dataset.x) if row_normalize else dataset.x
        self.x = sparse_when_small(x.to(device))
        self.graph = add_self_loops(dataset.graph).to(device)
        self.y = dataset.y.to(device)
        self.target = target_of(dataset)
        self.official = dataset.official
        split = dataset.split(seed)
        self.parts = {
            "train": split.train.to(device),
            "val": split.val.to(device),
            "test": split.test.to(device),
        }

    def loss(self, model: nn.Module) -> Tensor:
        """Mean loss of the training nodes."""
        return self.part_loss(self.scores(model), "train")

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Validation loss and the metrics, such as ``train_acc``, ``val_acc`` and ``test_acc``."""
        scores = self.scores(model)
        metrics = {
            f"{part}_{self.target.metric}": self.target.measure(scores[ids], self.y[ids])
            for part, ids in self.parts.items()
        }
        return Evaluation(self.part_loss(scores, "val").item(), metrics)

    @torch.no_grad()
    def official_metrics(self, model: nn.Module) -> dict[str, float]:
        """The metrics by the data set's own evaluator, where it has one."""
        if self.official is None:
            return {}
        model.eval()
        predictions = self.target.predict(self.scores(model))
        return {
            f"{part}_{self.target.metric}": self.official(self.y[ids], predictions[ids])
            for part, ids in self.parts.items()
        }

    def scores(self, model: nn.Module) -> Tensor:
        """What the model says about every node, one row each."""
        return model(self.x, self.graph)

    def part_loss(self, scores: Tensor, part: str) -> Tensor:
        """Mean loss over one part of the split."""
        ids = self.parts[part]
        return self.target.loss(scores[ids], self.y[ids])


def sparse_when_small(x: Tensor) -> Tensor | Graph:
    """``x``, or the same matrix as a weighted bipartite graph when few entries are nonzero."""
    # Counted first: the positions of a large dense matrix take four times its memory.
    if int(x.count_nonzero()) >= SPARSE_BELOW * x.numel():
        return x
    row, column = x.nonzero(as_tuple=True)
    size = (x.shape[1], x.shape[0])
    return Graph.from_edge_index(torch.stack([column, row]), size, weight=x[row, column])
