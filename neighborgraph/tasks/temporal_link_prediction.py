"""Temporal link prediction: events of a stream, told from drawn ones by what was before."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Events
from neighborgraph.tasks.base import Evaluation, Memory, Task
from neighborgraph.tasks.metrics import average_precision, mean_of_parts, mrr, roc_auc_of
from neighborgraph.tasks.randomness import keyed_generator
from neighborgraph.tasks.recorded import Recorded
from neighborgraph.tasks.step import CapturedStep, Step

VAL, TEST, RANKED = 2**32 - 1, 2**32 - 2, 2**32 - 3
"""The epochs whose negatives evaluations draw, so that they differ only by the model."""


class StreamModel(Protocol):
    """What a model must offer; `neighborgraph.models.TemporalModel` does."""

    is_recordable: bool
    """Whether every batch of a shape takes the same operations, none of which waits for a GPU."""

    def memory(self, num_nodes: int, *, time_dtype: torch.dtype, device: torch.device) -> Memory:
        """A memory in which nothing has happened."""
        ...

    def look(self, memory: Any, node: Tensor, time: Tensor, feature: Tensor | None, /) -> Any:
        """What is known of nodes [q] from before times [q]; its ``split(i)`` cuts it in two."""
        ...

    def __call__(self, source: Any, destination: Any) -> Tensor:
        """[D, p] scores of D candidates for each of p sources: logarithms of odds."""
        ...

    def insert(self, memory: Any, source: Any, destination: Any, event: Tensor) -> None:
        """Let p events happen."""
        ...


@final
class TemporalLinkPrediction(Task):
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
        for name, number in (("batch_size", batch_size), ("judged_size", judged_size)):
            if number < 1:
                raise InputError(f"{name}={number} must be at least 1")
        if ranked < 0:
            raise InputError(f"ranked={ranked} must be at least 0")
        self.seed, self.batch_size, self.judged_size = seed, batch_size, judged_size
        self.ranked, self.device = ranked, torch.device(device)
        events = events.to(device)
        self.split = split = events.split_inductive(hidden, seed) if hidden else events.split()
        self.feature = events.feature
        # With the events of hidden nodes, which happen though training does not see them.
        self.past = events.part(0, len(events) - len(split.val) - len(split.test))
        until_test = torch.cat([self.past.destination, split.val.destination])
        self.pools = {
            "train": split.train.destination.unique(),
            "val": until_test.unique(),
            "test": torch.cat([until_test, split.test.destination]).unique(),
        }
        self.memory = model.memory(
            events.num_nodes, time_dtype=events.time.dtype, device=self.device
        )

    def negatives(self, part: str, count: int, size: int, epoch: int) -> Tensor:
        """[count, size] destinations, drawn from those of a part of the stream."""
        pool, host = self.pools[part], torch.device("cpu")
        # Drawn on the host, so that every device is asked about the same negatives.
        generator = keyed_generator(host, self.seed, epoch)
        return pool[torch.randint(len(pool), (count, size), generator=generator).to(self.device)]

    def batches(self, model: nn.Module, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """Sources, destinations and negatives, times and ids; the last batch may be smaller."""
        self.memory.reset()
        train = self.split.train
        drawn = self.negatives("train", 1, len(train), epoch).split(self.batch_size, dim=1)
        for batch, negatives in zip(train.batches(self.batch_size), drawn, strict=True):
            yield batch.source, batch.destination, negatives, batch.time, batch.event

    def step(self, model: nn.Module, adam: torch.optim.Adam) -> Step:
        """Recorded on a GPU, where the host would be slower than the device."""
        if self.records(model):
            return CapturedStep(self.loss, model, adam)
        return super().step(model, adam)

    def records(self, model: nn.Module) -> bool:
        """Whether operations are recorded in CUDA graphs."""
        return self.device.type == "cuda" and bool(model.is_recordable)

    def often(self, function: Callable[..., Any], model: nn.Module) -> Callable[..., Any]:
        """A function of a model and a batch, as one of a batch that is called for many of them."""
        bound = partial(function, model)
        return Recorded(bound, self.device) if self.records(model) else bound

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Binary cross entropy of the events plus that of the negatives, each a mean."""
        scores = self.predict(model, *batch)
        return F.softplus(-scores[0]).mean() + F.softplus(scores[1:]).mean()

    def predict(
        self,
        model: nn.Module,
        source: Tensor,
        destination: Tensor,
        negatives: Tensor,
        time: Tensor,
        event: Tensor,
    ) -> Tensor:
        """[1 + R, b] scores of events and of their negatives [R, b]; then the events happen."""
        stream: StreamModel = model  # pyright: ignore[reportAssignmentType]
        size, count = len(source), 2 + len(negatives)
        node = torch.cat([source, destination, negatives.flatten()])
        ends = stream.look(self.memory, node, time.repeat(count), self.feature)
        sources, candidates = ends.split(size)
        scores = stream(sources, candidates)
        stream.insert(self.memory, sources, candidates.split(size)[0], event)
        return scores

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

    def replay(self, model: nn.Module, events: Events) -> None:
        """Let events happen without a score; from the first event on, in an empty memory."""
        if events is self.past:
            self.memory.reset()
        happen = self.often(self.happen, model)
        for batch in events.batches(self.batch_size):
            happen(batch.source, batch.destination, batch.time, batch.event)

    def happen(
        self, model: nn.Module, source: Tensor, destination: Tensor, time: Tensor, event: Tensor
    ) -> None:
        """Insert a batch."""
        stream: StreamModel = model  # pyright: ignore[reportAssignmentType]
        node = torch.cat([source, destination])
        ends = stream.look(self.memory, node, time.repeat(2), self.feature)
        sources, destinations = ends.split(len(source))
        stream.insert(self.memory, sources, destinations, event)

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
