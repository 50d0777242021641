"""Consistency training: several random predictions of a model must agree."""

import torch
from torch import Tensor, nn

from neighborgraph.data import NodeDataset
from neighborgraph.tasks.node_classification import NodeClassification
from neighborgraph.tasks.settings import ConsistencySettings


class ConsistentClassification(NodeClassification):
    r"""Full-batch classification of nodes by a model that draws anew in every call of training.

    .. math::

        L = \frac{1}{S} \sum_s \ell(Z_s, y) + \lambda \, c(Z_1, \dots, Z_S)

    In every step the model is called S times; :math:`\ell` is the cross entropy of the training
    nodes, c the `consistency_loss` of all nodes, labelled or not.
    """

    def __init__(
        self,
        dataset: NodeDataset,
        *,
        seed: int = 0,
        row_normalize: bool = False,
        consistency: ConsistencySettings | None = None,
        device: torch.device | str = "cpu",
    ):
        """Prepare features, graph and split.

        Args:
            dataset: The nodes.
            seed: Which split of the data set to use.
            row_normalize: Divide each node's features by their sum.
            consistency: Samples and their loss; by default `ConsistencySettings`'s own numbers.
            device: Where to train.
        """
        super().__init__(dataset, seed=seed, row_normalize=row_normalize, device=device)
        self.consistency = consistency or ConsistencySettings()

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Mean cross entropy of the samples on the training nodes, and their inconsistency."""
        settings, train = self.consistency, self.parts["train"]
        scores = self.samples(model)
        labels = self.y[train].repeat_interleave(scores.shape[1])
        loss = self.target.loss(scores[train].flatten(0, 1), labels)
        if settings.weight:
            loss = loss + settings.weight * consistency_loss(scores, settings.temperature)
        return loss

    def samples(self, model: nn.Module) -> Tensor:
        """[n, S, C] what the model says in each of S calls."""
        return torch.stack([self.scores(model) for _ in range(self.consistency.samples)], dim=1)


def consistency_loss(scores: Tensor, temperature: float) -> Tensor:
    r"""How far the predictions from several samples are from their sharpened mean.

    .. math::

        c = \frac{1}{n S} \sum_{i, s} \lVert p_{is} - q_i \rVert^2, \qquad
        q_{ic} = \frac{\bar{p}_{ic}^{1/T}}{\sum_k \bar{p}_{ik}^{1/T}}, \qquad
        \bar{p}_i = \frac{1}{S} \sum_s p_{is}

    where p are the probabilities; no gradient flows through q.

    Args:
        scores: [n, S, C] class scores before the softmax.
        temperature: T; below 1 it sharpens.

    Returns:
        A scalar.
    """
    p = scores.softmax(-1)
    mean = p.detach().mean(1, keepdim=True)
    # A softmax of logarithms: a power of small numbers would be lost.
    sharp = (mean.clamp_min(torch.finfo(mean.dtype).tiny).log() / temperature).softmax(-1)
    return (p - sharp).square().sum(-1).mean()
