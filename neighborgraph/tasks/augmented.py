"""Augmented: classification of nodes from drawn features, whose predictions must agree."""

from typing import Protocol, final

import torch
from torch import Tensor, nn

from neighborgraph.data import NodeDataset
from neighborgraph.graph import Graph
from neighborgraph.nn.features import normalize_rows_
from neighborgraph.tasks.base import Evaluation
from neighborgraph.tasks.node_classification import (
    NodeClassification,
    sparse_when_small,
)
from neighborgraph.tasks.progress import Progress
from neighborgraph.tasks.settings import ConsistencySettings, GeneratorSettings

LARGEST_SEED = 2**62


class Augmentation(Protocol):
    """A generator of features; `neighborgraph.models.LocalAugmentation` is one."""

    concat: int

    def fit(
        self,
        x: Tensor,
        graph: Graph,
        y: Tensor,
        train: Tensor,
        *,
        row_normalize: bool,
        epochs: int,
        batch_size: int,
        lr: float,
        warm_up: int,
        predictions: int,
        score_every: int,
        seed: int,
    ) -> object:
        """Train the generator."""
        ...

    def draw(
        self, x: Tensor | Graph, sets: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """New feature sets [sets, n, F]."""
        ...


class AugmentedNetwork(Protocol):
    """What a model must offer; `neighborgraph.models.Augmented` does."""

    augmentation: Augmentation
    drawn_from: Tensor


@final
class AugmentedClassification(NodeClassification):
    r"""Full-batch classification of nodes by a model that reads drawn features, too.

    .. math::

        L = \frac{1}{S} \sum_s \ell(Z_s, y) + \lambda \, c(Z_1, \dots, Z_S)

    The generator is fitted once, before the first epoch. Every step draws S samples of feature sets
    anew; :math:`\ell` is the cross entropy of the training nodes, c the `consistency_loss` of all
    nodes. Every evaluation draws one sample; the model keeps the seed of the best one beside its
    best parameters, so that it can be drawn again.

    The model is called as ``model(x, graph, sets)`` with sets [K, S, n, F] and gives [n, S, C].
    """

    def __init__(
        self,
        dataset: NodeDataset,
        *,
        seed: int = 0,
        row_normalize: bool = False,
        generator: GeneratorSettings | None = None,
        consistency: ConsistencySettings | None = None,
        device: torch.device | str = "cpu",
    ):
        """Prepare features, graph and split.

        Args:
            dataset: The nodes.
            seed: Which split of the data set to use; also the generator's seed.
            row_normalize: Divide each node's features by their sum, the drawn ones', too.
            generator: How the generator learns; by default `GeneratorSettings`'s own numbers.
            consistency: Samples and their loss; by default `ConsistencySettings`'s own numbers.
            device: Where to train.
        """
        super().__init__(dataset, seed=seed, row_normalize=row_normalize, device=device)
        self.dataset = dataset
        self.seed = seed
        self.row_normalize = row_normalize
        self.generator = generator or GeneratorSettings()
        self.consistency = consistency or ConsistencySettings()
        self.published = sparse_when_small(dataset.x.to(device))

    def begin(self, progress: Progress) -> None:
        """Fit the generator, unless a checkpoint holds a fitted one."""
        if progress.task_state.get("fitted"):
            return
        augmentation, device = as_augmented(progress.model).augmentation, self.y.device
        augmentation.fit(
            self.dataset.x.to(device),
            self.dataset.graph.to(device),
            self.y,
            self.parts["train"],
            row_normalize=self.row_normalize,
            seed=self.seed,
            **vars(self.generator),
        )
        progress.task_state["fitted"] = 1

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Mean cross entropy of the samples on the training nodes, and their inconsistency."""
        settings = self.consistency
        scores = model(self.x, self.graph, self.draw(model, settings.samples))
        train = self.parts["train"]
        labels = self.y[train].repeat_interleave(settings.samples)
        loss = self.target.loss(scores[train].flatten(0, 1), labels)
        if settings.weight:
            loss = loss + settings.weight * consistency_loss(scores, settings.temperature)
        return loss

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Validation loss and metrics from feature sets drawn for this evaluation."""
        # From the CPU's generator, whose state is part of a checkpoint.
        as_augmented(model).drawn_from.fill_(int(torch.randint(LARGEST_SEED, ())))
        return super().evaluate(model)

    def scores(self, model: nn.Module) -> Tensor:
        """What the model says from the feature sets that its own seed stands for."""
        random = torch.Generator(self.y.device)
        random.manual_seed(int(as_augmented(model).drawn_from))
        return model(self.x, self.graph, self.draw(model, 1, random))[:, 0]

    def draw(
        self, model: nn.Module, samples: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """[K, S, n, F] new feature sets, treated as the features were."""
        augmentation = as_augmented(model).augmentation
        sets = augmentation.draw(self.published, augmentation.concat * samples, generator)
        if self.row_normalize:
            normalize_rows_(sets)
        return sets.unflatten(0, (augmentation.concat, samples))


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


def as_augmented(model: nn.Module) -> AugmentedNetwork:
    """``model``, which the caller made one that reads drawn features."""
    return model  # pyright: ignore[reportReturnType]
