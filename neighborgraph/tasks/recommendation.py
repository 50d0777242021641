"""Recommendation: batches of user-item pairs to train on, full rankings to evaluate by."""

from collections.abc import Iterator
from typing import Protocol, final

import torch
from torch import Tensor, nn

from neighborgraph.data.interactions import Interactions
from neighborgraph.tasks.base import Evaluation, Task
from neighborgraph.tasks.pairs import SAMPLERS
from neighborgraph.tasks.processes import ALONE, Processes
from neighborgraph.tasks.randomness import keyed_generator
from neighborgraph.tasks.ranking import evaluate_ranking, rows_of
from neighborgraph.tasks.step import CapturedStep, Step

KS = (10, 20)
"""Lengths of lists that are judged."""
SELECTED_BY = "recall@20"
KEPT_OF_VALIDATION = (SELECTED_BY, "ndcg@20")
"""Metrics of the validation part that are of use; of the test all are."""
DRAWN_AT_ONCE = 2**24
"""At most so many negatives are in memory, or those of one batch."""


class Recommender(Protocol):
    """What a model must offer; `neighborgraph.models.Recommender` does."""

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Users [U, d] and items [I, d], whose dot products rank."""
        ...

    def draw(self, pairs: Tensor, generator: torch.Generator | None) -> Tensor:
        """Negatives [B] or [B, R] for pairs [2, B]."""
        ...

    def loss(self, pairs: Tensor, negatives: Tensor, size: Tensor | None = None) -> Tensor:
        """The training loss of a batch, or the summand of some of its ``size`` pairs."""
        ...


@final
class Recommendation(Task):
    """Training on batches of pairs, with selection by the recall of the validation part.

    The model is a `Recommender`. Everything random in an epoch is drawn on the device from a
    generator that is keyed by (seed, epoch), so an epoch is the same whatever came before it, and
    on however many processes it is trained.
    """

    def __init__(
        self,
        data: Interactions,
        *,
        seed: int = 0,
        batch_size: int = 2048,
        draw: str = "users",
        device: torch.device | str = "cpu",
        processes: Processes = ALONE,
    ):
        """Move the parts to the device.

        Args:
            data: The interactions.
            seed: Of pairs and negatives.
            batch_size: Pairs a step.
            draw: A key of ``SAMPLERS``: how the pairs of an epoch are drawn.
            device: Where to train.
            processes: Those that share each batch, and the users of an evaluation.
        """
        self.processes = processes
        self.data = data
        self.seed = seed
        self.batch_size = batch_size
        self.device = torch.device(device)
        train = data.train.to(device)
        self.sampler = SAMPLERS[draw](train)
        self.parts = {"test": data.test.to(device)}
        self.seen = {"test": rows_of(data.train.to(device), data.num_users)}
        if data.protocol == "validation":
            self.parts = {"val": data.val.to(device), **self.parts}
            self.seen["val"] = self.seen["test"]
            learned = torch.cat([train, self.parts["val"]], dim=1)
            self.seen["test"] = rows_of(learned, data.num_users)

    def batches(self, model: nn.Module, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """Pairs [2, B] and their negatives; the last batch may be smaller.

        Of several processes each draws all of them and gets its own part, and a scalar B besides.
        """
        recommender: Recommender = model  # pyright: ignore[reportAssignmentType]
        generator = keyed_generator(self.device, self.seed, epoch)
        pairs = self.sampler.draw(generator)
        negatives_a_pair = recommender.draw(pairs[:, :1], generator).numel()
        batches_at_once = max(1, DRAWN_AT_ONCE // (negatives_a_pair * self.batch_size))
        for block in pairs.split(batches_at_once * self.batch_size, dim=1):
            negatives = recommender.draw(block, generator)
            for batch in zip(
                block.split(self.batch_size, dim=1), negatives.split(self.batch_size), strict=True
            ):
                yield self.own_part(*batch)

    def own_part(self, pairs: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
        """What this process trains on of a batch."""
        if self.processes.size == 1:
            return pairs, negatives
        size = pairs.shape[1]
        own = self.processes.share(size)
        return pairs[:, own], negatives[own], torch.full((), size, device=self.device)

    def step(self, model: nn.Module, adam: torch.optim.Adam) -> Step:
        """Captured on a GPU, where the host would be slower than the device; not among several."""
        if self.device.type == "cuda" and self.processes.size == 1:
            return CapturedStep(self.loss, model, adam)
        return super().step(model, adam)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """The model's own loss of (pairs, negatives), or of (pairs, negatives, B)."""
        recommender: Recommender = model  # pyright: ignore[reportAssignmentType]
        return recommender.loss(*batch)

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Rank all items that a user has not seen, for every user with held-out ones.

        For the validation part the training pairs are seen, for the test the validation pairs too.
        Metrics are named ``val_recall@20``, ``test_ndcg@20`` and so on. Under the protocol
        ``published`` there are only those of the test, and they select.
        """
        users, items = self.embeddings(model)
        metrics = {}
        for part, pairs in self.parts.items():
            seen = self.seen[part]
            found = evaluate_ranking(users, items, seen, pairs, KS, processes=self.processes)
            kept = found if part == "test" else KEPT_OF_VALIDATION
            metrics |= {f"{part}_{name}": found[name] for name in kept}
        selecting = "val" if "val" in self.parts else "test"
        return Evaluation(1 - metrics[f"{selecting}_{SELECTED_BY}"], metrics)

    @torch.no_grad()
    def embeddings(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """Users [U, d] and items [I, d] of ``model`` as it is used."""
        recommender: Recommender = model.eval()  # pyright: ignore[reportAssignmentType]
        return recommender.embeddings()
