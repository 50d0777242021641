"""LocalAugmentation, of "Local Augmentation for Graph Neural Networks" (Liu et al., ICML 2022)."""

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn

from neighborgraph.checks import expect_dtype
from neighborgraph.errors import InputError, TrainingError
from neighborgraph.graph import Graph, as_graph
from neighborgraph.models.edge_vae import EdgeVAE
from neighborgraph.models.judge import Judge
from neighborgraph.models.options import expect_counts
from neighborgraph.nn import Features
from neighborgraph.nn.features import normalize_rows_

FIRST_EPOCHS = 100
"""Epochs of the judge on the true features."""
FURTHER_EPOCHS = 20
"""Epochs of the judge on the features of each better generator."""


class LocalAugmentation(nn.Module):
    r"""Draws features that a node's neighbours might have, from the node's own (arXiv 2109.03856).

    .. math::

        \tilde{x}_i = \phi(D(z_i, x_i)), \qquad z_i \sim N(0, I)

    D and :math:`\phi` are those of an `EdgeVAE` that learned from all pairs of a neighbour and its
    centre. `fit` trains it once; after that every call draws anew.

    Called with features [n, F] it returns them with ``concat`` drawn sets beside them,
    [n, (concat + 1) F]; called with a PyG ``Data`` it returns a copy with such an ``x``. So it can
    be a transform of any PyG model, which must be built for `out_channels` features.
    """

    fitted: Tensor

    def __init__(
        self,
        in_channels: int,
        *,
        concat: int = 1,
        hidden_channels: int = 256,
        latent_channels: int = 10,
        reconstruction: str = "cross-entropy",
    ):
        """Create the generator, untrained.

        Args:
            in_channels: Feature width F.
            concat: Sets that a call puts beside the features.
            hidden_channels: Width of the generator's hidden layers.
            latent_channels: Width of z.
            reconstruction: ``cross-entropy`` for features in [0, 1], or ``squared-error``.

        Raises:
            InputError: A number is below 1, or ``reconstruction`` is neither of the two.
        """
        super().__init__()
        expect_counts(concat=concat)
        self.vae = EdgeVAE(
            in_channels,
            hidden_channels=hidden_channels,
            latent_channels=latent_channels,
            reconstruction=reconstruction,
        ).requires_grad_(False)
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        self.in_channels = in_channels
        self.concat = concat

    @property
    def out_channels(self) -> int:
        """Feature width after a call."""
        return (self.concat + 1) * self.in_channels

    def fit(
        self,
        x: Tensor,
        graph: Graph | Tensor,
        y: Tensor,
        train: Tensor,
        *,
        row_normalize: bool = False,
        epochs: int = 10,
        batch_size: int = 64,
        lr: float = 0.01,
        warm_up: int = 200,
        predictions: int = 100,
        score_every: int = 1,
        seed: int = 0,
    ) -> Self:
        """Train the generator, and keep the state of it that a GCN is least unsure of.

        After the warm-up a small GCN, trained on the labelled nodes, makes ``predictions``
        predictions with dropout from drawn features. The generator with the highest `uncertainty`
        score, which is at most 0, is kept; whenever there is a higher one, the GCN also learns from
        its features. A training that ends within the warm-up keeps the last state. Pairs are drawn
        by edge number on the device, and only a batch of them is ever gathered. Equal arguments
        give the same generator, whatever Torch's own generator has drawn before.

        Args:
            x: [n, F] features.
            graph: The n nodes' neighbours or an edge_index, without self-loops added.
            y: [n] int64 labels, looked at for ``train`` only.
            train: Ids or a mask of the labelled nodes.
            row_normalize: Whether the GCN sees rows divided by their sum.
            epochs: Passes over all edges.
            batch_size: Pairs a step.
            lr: Adam's learning rate.
            warm_up: Steps before the first score.
            predictions: Predictions a score is made of.
            score_every: Steps between scores.
            seed: Of everything that is drawn.

        Returns:
            Itself.

        Raises:
            InputError: Shapes disagree, a feature is not finite or does not suit the
                reconstruction, there is no edge or no labelled node, or a count is below 1.
            TrainingError: The training left the finite numbers.
        """
        expect_counts(
            epochs=epochs, batch_size=batch_size, predictions=predictions, score_every=score_every
        )
        self.expect_features(x)
        graph = as_graph(graph, len(x))
        if graph.num_edges == 0:
            raise InputError("graph has no edges; local augmentation learns from neighbours")
        train = expect_labelled(y, train, len(x))
        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.enable_grad():
            torch.manual_seed(seed)
            self.vae.reset_parameters()
            self.vae.requires_grad_(True)
            try:
                judge = Judge(graph, x.shape[1], y, train)
                near = x[judge.nodes]
                judge.learn(judge.smooth(treated(near.clone(), row_normalize)), FIRST_EPOCHS)
                adam = torch.optim.Adam(self.vae.parameters(), lr=lr, fused=True)
                best, best_score, step = None, float("-inf"), 0
                for _ in range(epochs):
                    for edges in shuffled_edges(graph).split(batch_size):
                        neighbor, center = endpoints(graph, edges)
                        adam.zero_grad()
                        self.vae.loss(x[neighbor], x[center]).backward()
                        adam.step()
                        step += 1
                        if step <= warm_up or (step - warm_up) % score_every:
                            continue
                        drawn = judge.smooth(treated(self.generate(near, 1)[0], row_normalize))
                        score = judge.score(drawn, predictions)
                        if score > best_score:
                            best_score = score
                            best = {k: t.clone() for k, t in self.vae.state_dict().items()}
                            judge.learn(drawn, FURTHER_EPOCHS)
                if best is not None:
                    self.vae.load_state_dict(best)
            finally:
                self.vae.requires_grad_(False)
                self.vae.zero_grad()
        if not all(bool(parameter.isfinite().all()) for parameter in self.vae.parameters()):
            raise TrainingError(
                f"the generator is no longer finite after {step} steps; try an lr below {lr}"
            )
        self.fitted.fill_(True)
        return self

    def draw(self, x: Features, sets: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """New feature sets, all independent.

        Args:
            x: [n, F] features, dense or sparse.
            sets: How many.
            generator: Source of z on the device of ``x``; Torch's own by default.

        Returns:
            [sets, n, F], without a gradient.

        Raises:
            InputError: The generator was not fitted, or has another width.
        """
        if not self.fitted:
            raise InputError("the local augmentation is not fitted; call fit(...) first")
        return self.generate(x, sets, generator)

    @torch.no_grad()
    def generate(self, x: Features, sets: int, generator: torch.Generator | None = None) -> Tensor:
        """What `draw` returns, fitted or not."""
        condition = self.vae.condition(x)
        out = condition.new_empty(sets, len(condition), self.in_channels)
        for drawn in out:
            z = torch.randn(
                len(condition),
                self.vae.latent_channels,
                generator=generator,
                device=condition.device,
                dtype=condition.dtype,
            )
            self.vae.generate(z, condition, drawn)
        return out

    def forward(self, data: Any) -> Any:
        """Features with drawn ones beside them.

        Args:
            data: [n, F] features, or an object with such an attribute ``x``, like PyG's ``Data``.

        Returns:
            [n, (concat + 1) F], or a shallow copy of ``data`` with such an ``x``.

        Raises:
            InputError: The generator was not fitted, or has another width.
        """
        x = data if isinstance(data, Tensor) else data.x
        self.expect_width(x)
        beside = torch.cat([x, *self.draw(x, self.concat)], dim=1)
        if isinstance(data, Tensor):
            return beside
        data = copy.copy(data)
        data.x = beside
        return data

    def expect_features(self, x: Tensor) -> None:
        """Refuse features that the generator cannot learn."""
        self.expect_width(x)
        bad = (~x.isfinite()).nonzero()
        if len(bad):
            node, column = bad[0].tolist()
            raise InputError(
                f"x is {x[node, column].item()} at node {node}, column {column}; features must be "
                "finite, so fill in or drop what is missing"
            )
        low, high = x.aminmax()
        if self.vae.reconstruction == "cross-entropy" and not 0 <= low <= high <= 1:
            raise InputError(
                f"x lies in [{low.item():g}, {high.item():g}], but the cross entropy needs [0, 1]; "
                "scale the features, or use reconstruction='squared-error'"
            )

    def expect_width(self, x: Tensor) -> None:
        """Refuse features of another shape or type."""
        if x.dim() != 2 or x.shape[1] != self.in_channels or not len(x):
            raise InputError(
                f"x has shape {list(x.shape)}, but the augmentation was built for "
                f"[n, in_channels={self.in_channels}]"
            )
        expect_dtype("x", x, (torch.float32,))


def treated(x: Tensor, row_normalize: bool) -> Tensor:
    """Features as the GCN sees them, made of ``x`` in place."""
    return normalize_rows_(x) if row_normalize else x


def shuffled_edges(graph: Graph) -> Tensor:
    """[e] positions of all edges by receiver, in a random order."""
    return torch.randperm(graph.num_edges, device=graph.device)


def endpoints(graph: Graph, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbour [B] and centre [B] of some edges, which are positions by receiver."""
    center = torch.searchsorted(graph.rows.ptr, edges, right=True) - 1
    return graph.rows.idx[edges], center


def expect_labelled(y: Tensor, train: Tensor, nodes: int) -> Tensor:
    """Ids of the labelled nodes, which must have a label."""
    if y.shape != (nodes,):
        raise InputError(f"y has shape {list(y.shape)}, but there are {nodes} nodes: [{nodes}]")
    if train.dtype == torch.bool:
        if train.shape != y.shape:
            raise InputError(f"the mask train has shape {list(train.shape)}, not [{nodes}]")
        train = train.nonzero().squeeze(1)
    if not train.numel():
        raise InputError("train is empty; the generator is chosen by labelled nodes")
    if int(train.min()) < 0 or int(train.max()) >= nodes:
        raise InputError(f"train holds node ids outside [0, {nodes})")
    if int(y[train].min()) < 0:
        raise InputError("y has a negative label at a node of train; leave unlabelled nodes out")
    return train
