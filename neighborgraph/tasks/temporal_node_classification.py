"""Temporal node classification: labels of events, such as states of users, by what was before."""

from collections.abc import Iterator
from typing import Any, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Events
from neighborgraph.tasks.base import Evaluation
from neighborgraph.tasks.metrics import roc_auc
from neighborgraph.tasks.stream import StreamModel, StreamTask, link_loss


class StateModel(StreamModel, Protocol):
    """What a model must offer; `neighborgraph.models.NATClassifier` does."""

    def classify(self, source: Any, destination: Any, feature: Tensor | None) -> Tensor:
        """[p] scores of events with features [p, C]: logarithms of the odds of label 1."""
        ...


@final
class TemporalNodeClassification(StreamTask):
    """The label of each event, 0 or 1, from what happened before it and its own features.

    In JODIE's tables it is the state of the source at that time, which few events change. The model
    is a `StateModel`. It learns the links of the stream as every `StreamTask` does, since labels
    alone teach too little, and the labels beside them: their binary cross entropy, with both labels
    of the training part counting alike, is added to the loss. A label is never part of what is
    inserted. The area under the ROC curve over the validation selects.
    """

    def __init__(
        self,
        events: Events,
        model: StateModel,
        *,
        seed: int = 0,
        batch_size: int = 100,
        judged_size: int = 32,
        device: torch.device | str = "cpu",
    ):
        """Cut the stream, and make a memory.

        Args:
            events: The stream, with labels.
            model: Which memory is wanted.
            seed: Of the negatives.
            batch_size: Events a step.
            judged_size: Events at once in an evaluation.
            device: Where to train.

        Raises:
            InputError: A number is out of range, a part of the stream is empty or has one label
                only, or labels are absent or something else than 0 and 1.
        """
        events = events.to(device)
        split = events.split()
        for name in ("train", "val", "test"):
            expect_both(name, labels_of(getattr(split, name)))
        super().__init__(
            events, split, model, seed=seed, batch_size=batch_size, judged_size=judged_size
        )
        counts = labels_of(split.train).bincount()
        self.weight = counts.sum() / (2.0 * counts)

    def batches(self, model: nn.Module, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """Those of `StreamTask`, and the labels of their events."""
        labels = labels_of(self.split.train).split(self.batch_size)
        for batch, label in zip(super().batches(model, epoch), labels, strict=True):
            yield *batch, label

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """That of the links and that of the labels; then the events happen."""
        state: StateModel = model  # pyright: ignore[reportAssignmentType]
        source, destination, negatives, time, event, label = batch
        node = torch.cat([source, destination, negatives.flatten()])
        sources, candidates = self.look(state, node, time)
        destinations, _ = candidates.split(len(source))
        links = link_loss(state(sources, candidates))
        scores = state.classify(sources, destinations, self.features_of(event))
        state.insert(self.memory, sources, destinations, event)
        weight = self.weight[label]
        return links + F.binary_cross_entropy_with_logits(scores, label.to(scores.dtype), weight)

    def evaluate(self, model: nn.Module) -> Evaluation:
        """One minus the validation's area under the ROC curve, and that of both parts."""
        self.replay(model, self.past)
        metrics, classify = {}, self.often(self.classify, model)
        for name in ("val", "test"):
            part = getattr(self.split, name)
            scores = torch.cat(
                [
                    classify(batch.source, batch.destination, batch.time, batch.event)
                    for batch in part.batches(self.judged_size)
                ]
            )
            metrics[f"{name}_rocauc"] = roc_auc(scores[:, None], labels_of(part)[:, None])
        return Evaluation(1 - metrics["val_rocauc"], metrics)

    def classify(
        self, model: nn.Module, source: Tensor, destination: Tensor, time: Tensor, event: Tensor
    ) -> Tensor:
        """[b] scores of events; then they happen."""
        state: StateModel = model  # pyright: ignore[reportAssignmentType]
        ends = self.look(state, torch.cat([source, destination]), time)
        scores = state.classify(*ends, self.features_of(event))
        state.insert(self.memory, *ends, event)
        return scores

    def features_of(self, event: Tensor) -> Tensor | None:
        """[b, C] features of events by their ids, where there are any."""
        return None if self.feature is None else self.feature.index_select(0, event)


def labels_of(events: Events) -> Tensor:
    """[e] int64 labels; an error where there are none."""
    if events.label is None:
        raise InputError("the events have no labels; read a table that has a column of them")
    return events.label


def expect_both(name: str, label: Tensor) -> None:
    """Refuse labels of a part of the stream that are not 0 and 1, both of them."""
    found = label.unique().tolist()
    if label.dim() != 1 or label.dtype != torch.int64 or found != [0, 1]:
        some = ", ".join(map(str, found[:5]))
        raise InputError(
            f"the labels {list(label.shape)} {label.dtype} of the {name} part are {some}, but must "
            "be [e] int64, 0 and 1, and both must occur"
        )
