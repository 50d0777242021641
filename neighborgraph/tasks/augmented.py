"""Augmented: consistency training with features that a generator draws."""

from typing import Protocol, final

import torch
from torch import Tensor, nn

from neighborgraph.data import NodeDataset
from neighborgraph.graph import Graph
from neighborgraph.nn.features import normalize_rows_
from neighborgraph.tasks.base import Evaluation
from neighborgraph.tasks.consistency import ConsistentClassification
from neighborgraph.tasks.node_classification import sparse_when_small
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


class GeneratorNetwork(Protocol):
    """What a model must offer to learn from drawn features."""

    augmentation: Augmentation


class AugmentedNetwork(GeneratorNetwork, Protocol):
    """What a model that reads them in evaluation, too, must offer."""

    drawn_from: Tensor


class GeneratedClassification(ConsistentClassification):
    """Consistency training with features from a generator, which is fitted before the first epoch.

    Equal seeds give equal generators, so a run that is killed before its first checkpoint fits the
    same one again.
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
        super().__init__(
            dataset,
            seed=seed,
            row_normalize=row_normalize,
            consistency=consistency,
            device=device,
        )
        self.dataset = dataset
        self.seed = seed
        self.row_normalize = row_normalize
        self.generator = generator or GeneratorSettings()
        self.published = sparse_when_small(dataset.x.to(device))

    def begin(self, progress: Progress) -> None:
        """Fit the generator, unless a checkpoint holds a fitted one."""
        if progress.task_state.get("fitted"):
            return
        augmentation, device = as_generator(progress.model).augmentation, self.y.device
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

    def draw(
        self, model: nn.Module, samples: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """[K, S, n, F] new feature sets, treated as the features were."""
        augmentation = as_generator(model).augmentation
        sets = augmentation.draw(self.published, augmentation.concat * samples, generator)
        if self.row_normalize:
            normalize_rows_(sets)
        return sets.unflatten(0, (augmentation.concat, samples))


@final
class AugmentedClassification(GeneratedClassification):
    r"""Consistency training of a model that reads drawn features beside the true ones.

    Every step draws S samples of feature sets anew. Every evaluation draws one sample; the model
    keeps the seed of the best one beside its best parameters, so that it can be drawn again.

    The model is called as ``model(x, graph, sets)`` with sets [K, S, n, F] and gives [n, S, C].
    """

    def samples(self, model: nn.Module) -> Tensor:
        """[n, S, C] what the model says from each of S samples of feature sets."""
        return model(self.x, self.graph, self.draw(model, self.consistency.samples))

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


@final
class SubstitutedClassification(GeneratedClassification):
    """Consistency training of a model that reads drawn features in the place of the true ones.

    In every step there are (K + 1) S predictions: S from the true features, and as many from each
    of K = ``concat`` sets drawn anew for each. Evaluation reads the true features alone.

    The model is called as ``model(x, graph)`` and draws anew in every call, as GRAND does.
    """

    def samples(self, model: nn.Module) -> Tensor:
        """[n, (K + 1) S, C] what the model says from true and from drawn features."""
        true = super().samples(model)
        drawn = self.draw(model, self.consistency.samples).flatten(0, 1)
        return torch.cat([true, *(model(x, self.graph)[:, None] for x in drawn)], dim=1)


def as_generator(model: nn.Module) -> GeneratorNetwork:
    """``model``, which the caller made one with a generator of features."""
    return model  # pyright: ignore[reportReturnType]


def as_augmented(model: nn.Module) -> AugmentedNetwork:
    """``model``, which the caller made one that reads drawn features beside the true ones."""
    return model  # pyright: ignore[reportReturnType]
