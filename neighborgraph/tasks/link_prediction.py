"""Link prediction: edges told from drawn pairs, and judged among held-out pairs without one."""

from collections.abc import Iterator
from dataclasses import replace
from functools import singledispatch
from typing import Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.data.link_dataset import HeldOut, LinkDataset, OwnNegatives, SharedNegatives
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph, add_self_loops
from neighborgraph.tasks.base import Evaluation, Task
from neighborgraph.tasks.metrics import hits, mrr
from neighborgraph.tasks.negatives import NEGATIVES
from neighborgraph.tasks.randomness import keyed_generator

BLOCK = 2**18
"""Pairs that are scored at once; the features of each are in memory twice."""
Scores = tuple[Tensor, Tensor]
"""Of edges [P] and of their negatives, [Q] or [P, R]."""


class Predictor(Protocol):
    """What a model must offer; `neighborgraph.models.LinkPredictor` does."""

    def encode(self, x: Tensor | None, graph: Graph) -> Tensor:
        """[n, d] from features, or from an embedding of the model's own."""
        ...

    def __call__(self, z: Tensor, pairs: Tensor) -> Tensor:
        """[P] scores of pairs [2, P]: logarithms of odds."""
        ...


@final
class LinkPrediction(Task):
    """Every step encodes the whole graph and tells a batch of its edges from as many other pairs.

    The model is a `Predictor`. Its graph is that of the training edges, with a self-loop at every
    node. Everything random in an epoch is drawn on the device from a generator that is keyed by
    (seed, epoch). The metric is the data set's: Hits@K or the mean reciprocal rank.
    """

    def __init__(
        self,
        dataset: LinkDataset,
        *,
        seed: int = 0,
        batch_size: int = 65_536,
        negatives: str = "any",
        validation_edges: bool = False,
        device: torch.device | str = "cpu",
    ):
        """Prepare graph and splits.

        Args:
            dataset: The links.
            seed: Of the batches and their negatives.
            batch_size: Edges a step.
            negatives: A key of ``NEGATIVES``.
            validation_edges: Whether validation edges are part of the graph when the test is
                judged.
            device: Where to train.

        Raises:
            InputError: The data set's publisher does not allow ``validation_edges``.
        """
        if validation_edges and not dataset.validation_input:
            raise InputError(
                f"validation_edges must be false for {dataset.name}: its rules do not allow "
                "validation edges as input when the test is judged"
            )
        self.seed = seed
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.official = dataset.official
        self.x = None if dataset.x is None else dataset.x.to(device)
        self.train = dataset.train.to(device)
        graph = dataset.graph.to(device)
        self.sampler = NEGATIVES[negatives](graph)
        self.graph = self.test_graph = add_self_loops(graph)
        if validation_edges:
            self.test_graph = add_self_loops(dataset.graph_with_validation).to(device)
        self.parts = {
            part: replace(held, edges=held.edges.to(device), negatives=held.negatives.to(device))
            for part, held in (("val", dataset.val), ("test", dataset.test))
        }

    def batches(self, model: nn.Module, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """Edges [2, B] in random order and as many negatives; the last batch may be smaller."""
        generator = keyed_generator(self.device, self.seed, epoch)
        count = self.train.shape[1]
        order = torch.randperm(count, generator=generator, device=self.device)
        for some in order.split(self.batch_size):
            edges = self.train[:, some]
            yield edges, self.sampler.draw(edges, generator)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Binary cross entropy of the edges plus that of the negatives, each a mean."""
        edges, negatives = batch
        predictor: Predictor = model  # pyright: ignore[reportAssignmentType]
        z = predictor.encode(self.x, self.graph)
        return F.softplus(-predictor(z, edges)).mean() + F.softplus(predictor(z, negatives)).mean()

    def evaluate(self, model: nn.Module) -> Evaluation:
        """One minus the validation's metric, and the metrics, such as ``val_mrr``, ``test_mrr``."""
        metrics = {
            self.name_of(part): measure(self.parts[part], *scores)
            for part, scores in self.scores(model)
        }
        return Evaluation(1 - metrics[self.name_of("val")], metrics)

    @torch.no_grad()
    def official_metrics(self, model: nn.Module) -> dict[str, float]:
        """The metrics by the data set's own evaluator, where it has one."""
        if self.official is None:
            return {}
        return {
            self.name_of(part): self.official(*scores) for part, scores in self.scores(model.eval())
        }

    def name_of(self, part: str) -> str:
        """The metric of a part, as a record names it."""
        return f"{part}_{self.parts[part].metric}"

    def scores(self, model: nn.Module) -> Iterator[tuple[str, Scores]]:
        """The scores of each part, one part after the other, as they take memory."""
        predictor: Predictor = model  # pyright: ignore[reportAssignmentType]
        z = predictor.encode(self.x, self.graph)
        yield "val", self.part_scores(predictor, z, self.parts["val"])
        if self.test_graph is not self.graph:
            z = predictor.encode(self.x, self.test_graph)
        yield "test", self.part_scores(predictor, z, self.parts["test"])

    def part_scores(self, predictor: Predictor, z: Tensor, held: HeldOut) -> Scores:
        """The scores of held-out edges and of their negatives, some at a time."""
        edges = [predictor(z, some) for some in held.edges.split(BLOCK, dim=1)]
        count = held.num_negatives
        negatives = [
            predictor(z, held.pairs(first, min(first + BLOCK, count)))
            for first in range(0, count, BLOCK)
        ]
        return torch.cat(edges), torch.cat(negatives).view(held.shape_of_scores)


@singledispatch
def measure(held: HeldOut, edges: Tensor, negatives: Tensor) -> float:
    """The metric of a part from its scores."""
    raise TypeError(f"no metric for {type(held).__name__}")


@measure.register
def _(held: SharedNegatives, edges: Tensor, negatives: Tensor) -> float:
    return hits(edges, negatives, held.k)


@measure.register
def _(held: OwnNegatives, edges: Tensor, negatives: Tensor) -> float:
    return mrr(edges, negatives)
