"""Ranked link prediction: events of a stream, each among the destinations that a publisher gave."""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Events, EventSplit
from neighborgraph.tasks.base import Evaluation
from neighborgraph.tasks.metrics import mrr
from neighborgraph.tasks.stream import StreamModel, StreamTask

MOST_PAIRS = 2**15
"""Pairs that are scored at once, which bounds the memory, if events are not so many."""


@final
class RankedLinkPrediction(StreamTask):
    """Events in the order of time, ranked among given destinations as TGB does.

    Training is that of `StreamTask`. An evaluation replays what was before the validation part with
    the parameters of now; then each batch of events is ranked, and only then inserted. The mean
    reciprocal rank over the validation selects.
    """

    def __init__(
        self,
        events: Events,
        split: EventSplit,
        model: StreamModel,
        val_negatives: Tensor,
        test_negatives: Tensor,
        official: Callable[[Tensor, Tensor], float],
        *,
        seed: int = 0,
        batch_size: int = 100,
        judged_size: int = 32,
        device: torch.device | str = "cpu",
    ):
        """Keep the negatives, and make a memory.

        Args:
            events: The whole stream.
            split: Of it.
            model: Which memory is wanted.
            val_negatives: [v, Q] int64 for each event of the validation; -1 behind the last.
            test_negatives: [t, R], the same for the test.
            official: The publisher's metric of scores [p] of events and [p, Q] of their negatives.
            seed: Of the negatives in training.
            batch_size: Events a step.
            judged_size: Events at once in an evaluation.
            device: Where to train.

        Raises:
            InputError: A number is out of range, or there are not negatives for each event.
        """
        parts = {"val": (split.val, val_negatives), "test": (split.test, test_negatives)}
        for part, (held_out, given) in parts.items():
            if given.dim() != 2 or len(given) != len(held_out):
                raise InputError(
                    f"{part}_negatives {list(given.shape)} must be [{len(held_out)}, Q], a row an "
                    "event"
                )
        self.parts = {
            part: (held_out.to(device), given.to(device))
            for part, (held_out, given) in parts.items()
        }
        self.official = official
        moved = EventSplit(*(each.to(device) for each in vars(split).values()))
        super().__init__(
            events.to(device),
            moved,
            model,
            seed=seed,
            batch_size=batch_size,
            judged_size=judged_size,
        )

    def evaluate(self, model: nn.Module) -> Evaluation:
        """One minus the validation's mean reciprocal rank, and that of both parts."""
        metrics = self.judged(model, mrr)
        return Evaluation(1 - metrics["val_mrr"], metrics)

    @torch.no_grad()
    def official_metrics(self, model: nn.Module) -> dict[str, float]:
        """What the publisher's own evaluator finds."""
        model.eval()
        return self.judged(model, self.official)

    def judged(
        self, model: nn.Module, measure: Callable[[Tensor, Tensor], float]
    ) -> dict[str, float]:
        """A measure of both parts by its name; the whole stream happens meanwhile."""
        self.replay(model, self.past)
        metrics, rank = {}, self.often(self.rank, model)
        for part, (events, negatives) in self.parts.items():
            size = self.judged_size
            scores = torch.cat(
                [
                    rank(batch.source, batch.destination, given, batch.time, batch.event)
                    for batch, given in zip(
                        events.batches(size), negatives.split(size), strict=True
                    )
                ]
            )
            metrics[f"{part}_mrr"] = measure(scores[:, 0], scores[:, 1:])
        return metrics

    def rank(
        self,
        model: nn.Module,
        source: Tensor,
        destination: Tensor,
        negatives: Tensor,
        time: Tensor,
        event: Tensor,
    ) -> Tensor:
        """[b, 1 + Q] scores of events and of their negatives [b, Q]; then the events happen.

        The score of negative -1 is minus infinity, which takes no rank.
        """
        stream: StreamModel = model  # pyright: ignore[reportAssignmentType]
        sources, destinations = self.look(stream, torch.cat([source, destination]), time)
        scores = [stream(sources, destinations)]
        for some in negatives.t().split(max(1, MOST_PAIRS // len(source))):
            node = some.clamp(min=0).flatten()
            seen = stream.look(self.memory, node, time.repeat(len(some)), self.feature)
            scores.append(stream(sources, seen).masked_fill(some < 0, -torch.inf))
        stream.insert(self.memory, sources, destinations, event)
        return torch.cat(scores).t()
