"""Classification of nodes in batches, each node by the tokens of nodes drawn around it."""

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor, nn

from neighborgraph.data import NodeDataset
from neighborgraph.errors import InputError
from neighborgraph.graph import add_self_loops
from neighborgraph.nn import empty_on_host, hop_features, random_projection
from neighborgraph.nn.features import normalize_rows
from neighborgraph.ops import Draw, TwoHops, sample_two_hops
from neighborgraph.tasks.base import Evaluation, Task
from neighborgraph.tasks.prefetch import prefetched
from neighborgraph.tasks.processes import ALONE, Processes
from neighborgraph.tasks.randomness import keyed_generator
from neighborgraph.tasks.target import target_of

SMOOTHED = 2
"""Hops that features are smoothed over: a node has one token more."""
EVALUATION = 2**32 - 1
"""The epoch whose numbers evaluations draw with, so that they differ only by the model."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""The words of a recipe to types."""
PLACES = {"device": torch.empty, "host": empty_on_host}
"""The words of a recipe to what gives memory."""


@final
class SampledClassification(Task):
    """Classification of nodes by a model that is called as ``model(tokens, position, node)``.

    A node's tokens are three for itself and three for each of ``nodes`` - 1 others, drawn one or
    two steps away anew in every epoch: features, and features smoothed once and twice. No draw is
    stored, and memory does not depend on how many there are. On a GPU a batch is drawn and gathered
    while the one before it is computed.

    Evaluations always draw the same nodes. The training part is not evaluated.
    """

    def __init__(
        self,
        dataset: NodeDataset,
        *,
        nodes: int = 50,
        batch_size: int = 1024,
        position_channels: int = 0,
        seed: int = 0,
        row_normalize: bool = False,
        precision: str = "float32",
        features: str = "device",
        device: torch.device | str = "cpu",
        processes: Processes = ALONE,
    ):
        """Smooth the features, and place the nodes.

        Args:
            dataset: The nodes.
            nodes: K, how many give tokens for one; 1 or more.
            batch_size: At most so many nodes a step.
            position_channels: Width of positions, which are `random_projection`'s; 0 for none.
            seed: Which split of the data set to use, and of all draws.
            row_normalize: Divide each node's features by their sum.
            precision: ``float32``, or ``bfloat16`` for features and positions, and for products by
                autocast.
            features: Keep them and positions in the memory of the ``device``, or of the ``host``,
                from where a GPU gathers them over the bus.
            device: Where to train.
            processes: Those that share each batch.

        Raises:
            InputError: A number is out of range, or too few nodes are to be trained on.
        """
        for name, number in (("nodes", nodes), ("batch_size", batch_size)):
            if number < 1:
                raise InputError(f"{name}={number} must be at least 1")
        for name, word, known in (
            ("precision", precision, PRECISIONS),
            ("features", features, PLACES),
        ):
            if word not in known:
                raise InputError(f"{name}={word!r} must be one of {', '.join(known)}")
        self.processes = processes
        self.nodes, self.batch_size, self.seed = nodes, batch_size, seed
        self.precision = PRECISIONS[precision]
        self.target, self.official = target_of(dataset), dataset.official
        self.y = dataset.y.to(device)
        split = dataset.split(seed)
        self.train, self.val, self.test = (
            ids.to(device) for ids in (split.train, split.val, split.test)
        )
        if min(len(self.train), batch_size) < 2 * processes.size:
            raise InputError(
                f"{min(len(self.train), batch_size)} nodes a step are too few for "
                f"{processes.size} processes: the model normalises over at least 2 in each"
            )
        self.hops = TwoHops.of(dataset.graph.to(device))
        graph = add_self_loops(dataset.graph).to(device)
        x = normalize_rows(dataset.x) if row_normalize else dataset.x
        place = PLACES[features]
        empty = place((len(x), SMOOTHED + 1, x.shape[1]), dtype=self.precision, device=device)
        self.features = hop_features(graph, x, SMOOTHED, out=empty)
        self.position = place((len(x), position_channels), dtype=self.precision, device=device)
        if position_channels:
            self.position.copy_(random_projection(graph, position_channels, seed=seed))

    def batches(self, model: nn.Module, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """What the model takes of each batch; sizes differ by one at most.

        Of several processes each gets its own rows, and their share of the batch besides.
        """
        return prefetched(self.shares(epoch), self.y.device)

    def shares(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        """The batches of an epoch one by one."""
        generator = keyed_generator(self.train.device, self.seed, epoch)
        order = torch.randperm(len(self.train), generator=generator, device=self.train.device)
        count = -(-len(self.train) // self.batch_size)
        for ids in self.train[order].tensor_split(count):
            own = ids[self.processes.share(len(ids))]
            share = () if self.processes.size == 1 else (self.y.new_tensor(len(own)) / len(ids),)
            yield *self.seen_from(own, epoch), *share

    def seen_from(self, ids: Tensor, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """[b, K, 3, F] tokens of nodes and of others around them, positions, and the nodes."""
        nodes = self.with_others(ids, epoch)
        return self.features[nodes], self.position[ids], ids

    def with_others(self, ids: Tensor, epoch: int) -> Tensor:
        """[b, K] the nodes themselves, and others around them."""
        draw = Draw(seed=self.seed, epoch=epoch)
        others = sample_two_hops(self.hops, ids, self.nodes - 1, draw)
        return torch.cat([ids[:, None], others], dim=1)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Mean loss of a batch, or this process's summand of it."""
        tokens, position, ids, *share = batch
        loss = self.target.loss(self.scores(model, tokens, position, ids), self.y[ids])
        return loss * share[0] if share else loss

    def scores(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """[b, C] what the model says of some nodes."""
        narrow = self.precision != torch.float32
        with torch.autocast(self.y.device.type, torch.bfloat16, enabled=narrow):
            return model(*batch).float()

    def all_scores(self, model: nn.Module, ids: Tensor) -> Tensor:
        """[len(ids), C], in batches."""
        blocks = (self.seen_from(block, EVALUATION) for block in ids.split(self.batch_size))
        return torch.cat([self.scores(model, *b) for b in prefetched(blocks, self.y.device)])

    def evaluate(self, model: nn.Module) -> Evaluation:
        """Validation loss and the metrics, such as ``val_acc`` and ``test_acc``.

        Several processes normalise each over its own part of a batch; those of the first count.
        """
        self.processes.copy_buffers(model)
        val, test = (self.all_scores(model, ids) for ids in (self.val, self.test))
        metrics = {
            f"val_{self.target.metric}": self.target.measure(val, self.y[self.val]),
            f"test_{self.target.metric}": self.target.measure(test, self.y[self.test]),
        }
        return Evaluation(self.target.loss(val, self.y[self.val]).item(), metrics)

    @torch.no_grad()
    def official_metrics(self, model: nn.Module) -> dict[str, float]:
        """The metrics by the data set's own evaluator, where it has one."""
        if self.official is None:
            return {}
        model.eval()
        return {
            f"{part}_{self.target.metric}": self.official(
                self.y[ids], self.target.predict(self.all_scores(model, ids))
            )
            for part, ids in (("val", self.val), ("test", self.test))
        }
