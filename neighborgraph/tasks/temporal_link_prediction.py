"""Temporal link prediction: events of a stream, told from drawn ones by what was before."""

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Events
from neighborgraph.tasks.base import Evaluation
from neighborgraph.tasks.metrics import average_precision, mean_of_parts, mrr, roc_auc_of
from neighborgraph.tasks.stream import StreamModel, StreamTask

VAL, TEST, RANKED = 2**32 - 1, 2**32 - 2, 2**32 - 3
"""The epochs whose negatives evaluations draw, so that they differ only by the model."""


@final
class TemporalLinkPrediction(StreamTask):
    """Events in the order of time, each told from one with a destination drawn at random.

    The model is a `StreamModel`. A batch is scored by what happened before it and only then
    inserted into the memory, which every epoch begins without. An evaluation replays what was
    before the validation part with the parameters of now, so that it follows from them alone, and
    leaves a memory of the whole stream. Several events of a batch do not see each other.

    A destination is drawn from all that occurred up to the end of the part in question, uniformly.
    Where nodes are hidden, training sees no event of theirs; events of the test that have one are
    also judged apart (``test_new_ap``), and those of the validation do not select.

    Average precision and the area under the ROC curve are means over ``judged_size`` events each,
    as is usual; ``test_all_ap`` and ``test_all_auc`` are over all events at once.
    """

    def __init__(
        self,
        events: Events,
        model: StreamModel,
        *,
        seed: int = 0,
        batch_size: int = 100,
        judged_size: int = 32,
        hidden: float = 0.0,
        ranked: int = 100,
        device: torch.device | str = "cpu",
    ):
        """Cut the stream, and make a memory.

        Args:
            events: The stream.
            model: Which memory is wanted.
            seed: Of the negatives, and of the hidden nodes.
            batch_size: Events a step.
            judged_size: Events at once in an evaluation, and in a mean.
            hidden: Fraction of nodes to hide from training; 0 for none.
            ranked: Negatives of each event of the test for ``test_mrr``, which is found once, of
                the finished model; 0 for none.
            device: Where to train.

        Raises:
            InputError: A number is out of range, or a part of the stream is empty.
        """
        if ranked < 0:
            raise InputError(f"ranked={ranked} must be at least 0")
        self.ranked = ranked
        events = events.to(device)
        split = events.split_inductive(hidden, seed) if hidden else events.split()
        super().__init__(
            events, split, model, seed=seed, batch_size=batch_size, judged_size=judged_size
        )
        until_test = torch.cat([self.past.destination, split.val.destination])
        self.pools |= {
            "val": until_test.unique(),
            "test": torch.cat([until_test, split.test.destination]).unique(),
        }

    def evaluate(self, model: nn.Module) -> Evaluation:
        """One minus the validation's average precision, and the metrics."""
        self.replay(model, self.past)
        predict = self.often(self.predict, model)
        val, test = self.split.val, self.split.test
        selecting = ~self.split.is_new(val)
        scores = self.scores(predict, val, self.negatives("val", 1, len(val), VAL))
        metrics = self.judged("val", scores[:, selecting])
        scores = self.scores(predict, test, self.negatives("test", 1, len(test), TEST))
        metrics |= self.judged("test", scores)
        metrics["test_all_ap"] = average_precision(*scores).item()
        metrics["test_all_auc"] = roc_auc_of(*scores).item()
        is_new = self.split.is_new(test)
        if is_new.any():
            metrics |= self.judged("test_new", scores[:, is_new])
        return Evaluation(1 - metrics["val_ap"], metrics)

    @torch.no_grad()
    def official_metrics(self, model: nn.Module) -> dict[str, float]:
        """The mean reciprocal rank of the test's events, which takes too long for every epoch."""
        if self.ranked == 0:
            return {}
        model.eval()
        self.replay(model, self.past)
        self.replay(model, self.split.val)
        test = self.split.test
        negatives = self.negatives("test", self.ranked, len(test), RANKED)
        scores = self.scores(self.often(self.predict, model), test, negatives)
        return {"test_mrr": mrr(scores[0], scores[1:].t())}

    def scores(self, predict: Callable[..., Tensor], events: Events, negatives: Tensor) -> Tensor:
        """[1 + R, e] scores of a part of the stream, which happens meanwhile."""
        size = self.judged_size
        parts = zip(events.batches(size), negatives.split(size, dim=1), strict=True)
        return torch.cat(
            [
                predict(batch.source, batch.destination, drawn, batch.time, batch.event)
                for batch, drawn in parts
            ],
            dim=1,
        )

    def judged(self, part: str, scores: Tensor) -> dict[str, float]:
        """Metrics of a part by their names, from scores [2, e] of events and of negatives."""
        if scores.shape[1] == 0:
            raise InputError(
                f"no event is left in the {part} part to be judged; hide fewer nodes "
                "(--set stream.hidden=...)"
            )
        edges, negatives = scores
        return {
            f"{part}_ap": mean_of_parts(average_precision, edges, negatives, self.judged_size),
            f"{part}_auc": mean_of_parts(roc_auc_of, edges, negatives, self.judged_size),
        }
