"""Augmented: GNNs that read drawn features beside the true ones, or in their place."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.checks import expect_shape
from neighborgraph.graph import Graph
from neighborgraph.models.gat import GAT
from neighborgraph.models.gcn import GCN
from neighborgraph.models.gcnii import GCNII
from neighborgraph.models.grand import GRAND
from neighborgraph.models.local_augmentation import LocalAugmentation
from neighborgraph.models.options import expect_counts
from neighborgraph.models.sage import SAGE
from neighborgraph.nn import FeatureLinear, Features, feature_dropout, feature_product


class Augmented(nn.Module):
    r"""What LA-GCN, LA-GAT, LA-SAGE and LA-GCNII have in common (Liu et al., arXiv 2109.03856).

    .. math::

        H = \big\Vert_{k=0}^{K} f_k(X_k), \qquad X_0 = X, \qquad
        X_1, \dots, X_K \text{ drawn by } \texttt{augmentation}

    The first layer is K + 1 = ``concat`` + 1 layers, one for the true features and one for each
    drawn set, whose results stand side by side; the rest is that of the plain model, K + 1 times
    as wide. So the model has the parameters of a plain one of that width, whose first weights
    are cut into K + 1 blocks of rows.

    Several samples of drawn sets go through the model in one call. A subclass inherits from this
    first, then from the plain model, which brings ``hidden``, ``dropout`` and ``convolve``.

    Attributes:
        augmentation: The generator, which `neighborgraph.tasks.AugmentedClassification` fits.
        drawn_from: int64 seed of the sets that the state was selected with.
    """

    augmentation: LocalAugmentation
    drawn_from: Tensor
    hidden: FeatureLinear
    dropout: float
    convolve: Callable[..., Tensor]

    def forward(self, x: Features, graph: Graph, sets: Tensor) -> Tensor:
        """Class scores before the softmax.

        Args:
            x: [n, F] features, dense or sparse.
            graph: The n nodes' neighbours, with the self-loops that the plain model wants.
            sets: [K, S, n, F] drawn features, S samples.

        Returns:
            [n, S, C].
        """
        (z,) = self.products([self.hidden], x, sets)
        return self.convolve(z, graph)

    def add_augmentation(self, in_channels: int, concat: int, reconstruction: str) -> None:
        """Create the generator; called by constructors after the plain model's own."""
        self.augmentation = LocalAugmentation(
            in_channels, concat=concat, reconstruction=reconstruction
        )
        self.register_buffer("drawn_from", torch.zeros((), dtype=torch.int64))

    def products(self, layers: Sequence[FeatureLinear], x: Features, sets: Tensor) -> list[Tensor]:
        """[n, S, width] for each layer: its blocks of rows times their features, and its bias.

        Args:
            layers: First layers, which share what dropout leaves of the features.
            x: [n, F] features, dense or sparse.
            sets: [K, S, n, F] drawn features.
        """
        dropout = self.dropout if self.training else 0.0
        concat, nodes = (
            self.augmentation.concat,
            x.shape[0] if isinstance(x, Tensor) else x.num_rows,
        )
        expect_shape(
            "sets",
            sets,
            (concat, "samples", nodes, self.augmentation.in_channels),
            "drawn features",
        )
        blocks = [layer.weight.chunk(concat + 1) for layer in layers]
        parts: list[list[Tensor]] = [[] for _ in layers]
        seen = [feature_dropout(x, dropout, dropout > 0) for _ in range(sets.shape[1])]
        for part, (own, *_) in zip(parts, blocks, strict=True):
            part.append(torch.stack([feature_product(each, own) for each in seen], dim=1))
        for k, drawn in enumerate(sets, start=1):
            left = dropped(drawn, dropout)
            for part, block in zip(parts, blocks, strict=True):
                part.append(F.linear(left, block[k]).transpose(0, 1))
        return [
            torch.cat(part, dim=2) if layer.bias is None else torch.cat(part, dim=2) + layer.bias
            for part, layer in zip(parts, layers, strict=True)
        ]


def dropped(x: Tensor, p: float) -> Tensor:
    """Dropout of a large constant matrix, with no more than one new matrix."""
    if p == 0:
        return x
    # Faster than Bernoulli's own generator.
    return torch.rand_like(x).ge_(p).mul_(x).div_(1 - p)


class LAGCN(Augmented, GCN):
    """GCN with local augmentation (Liu et al., arXiv 2109.03856)."""

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        layers: int = 2,
        concat: int = 1,
        reconstruction: str = "cross-entropy",
    ):
        """Create a GCN of width (concat + 1) hidden_channels, and the generator.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the first layer of each feature set.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry, in [0, 1).
            layers: Number of convolutions; 2 or more.
            concat: Drawn sets K beside the true features.
            reconstruction: Of the generator, as `LocalAugmentation` has it.

        Raises:
            InputError: A number is outside its range.
        """
        expect_counts(concat=concat)
        super().__init__(
            in_channels=in_channels,
            hidden_channels=(concat + 1) * hidden_channels,
            out_channels=out_channels,
            dropout=dropout,
            layers=layers,
        )
        self.add_augmentation(in_channels, concat, reconstruction)


class LASAGE(Augmented, SAGE):
    """GraphSAGE with local augmentation (Liu et al., arXiv 2109.03856)."""

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        concat: int = 1,
        reconstruction: str = "cross-entropy",
    ):
        """Create a GraphSAGE of width (concat + 1) hidden_channels, and the generator.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the first layer of each feature set.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry, in [0, 1).
            concat: Drawn sets K beside the true features.
            reconstruction: Of the generator, as `LocalAugmentation` has it.

        Raises:
            InputError: A number is outside its range.
        """
        expect_counts(concat=concat)
        super().__init__(
            in_channels=in_channels,
            hidden_channels=(concat + 1) * hidden_channels,
            out_channels=out_channels,
            dropout=dropout,
        )
        self.add_augmentation(in_channels, concat, reconstruction)

    def forward(self, x: Features, graph: Graph, sets: Tensor) -> Tensor:
        """Class scores before the softmax; see `Augmented`."""
        own, neighbors = self.products([self.hidden, self.hidden_neighbors], x, sets)
        return self.convolve(own, neighbors, graph)


class LAGAT(Augmented, GAT):
    """GAT with local augmentation (Liu et al., arXiv 2109.03856)."""

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        heads: int = 8,
        out_heads: int = 1,
        concat: int = 1,
        reconstruction: str = "cross-entropy",
    ):
        """Create a GAT of (concat + 1) heads heads, and the generator.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of a head of the first layer.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry or an edge, in [0, 1).
            heads: Heads of the first layer of each feature set.
            out_heads: Heads of the second layer.
            concat: Drawn sets K beside the true features.
            reconstruction: Of the generator, as `LocalAugmentation` has it.

        Raises:
            InputError: A number is outside its range.
        """
        expect_counts(concat=concat)
        super().__init__(
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            dropout=dropout,
            heads=(concat + 1) * heads,
            out_heads=out_heads,
        )
        self.add_augmentation(in_channels, concat, reconstruction)


class LAGCNII(Augmented, GCNII):
    """GCNII with local augmentation (Liu et al., arXiv 2109.03856)."""

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        layers: int,
        alpha: float = 0.1,
        decay: float = 0.5,
        concat: int = 1,
        reconstruction: str = "cross-entropy",
    ):
        """Create a GCNII of width (concat + 1) hidden_channels, and the generator.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the first layer of each feature set.
            out_channels: Number of classes C.
            dropout: Probability of dropping an entry, in [0, 1).
            layers: Number of convolutions L.
            alpha: Part of the first representation in each layer, in [0, 1].
            decay: How much of the weights the layers keep.
            concat: Drawn sets K beside the true features.
            reconstruction: Of the generator, as `LocalAugmentation` has it.

        Raises:
            InputError: A number is outside its range.
        """
        expect_counts(concat=concat)
        super().__init__(
            in_channels=in_channels,
            hidden_channels=(concat + 1) * hidden_channels,
            out_channels=out_channels,
            dropout=dropout,
            layers=layers,
            alpha=alpha,
            decay=decay,
        )
        self.add_augmentation(in_channels, concat, reconstruction)


class LAGRAND(GRAND):
    """GRAND with local augmentation (Liu et al., arXiv 2109.03856).

    GRAND has augmentations to learn from already, and gets more: drawn features in the place of the
    true ones. So the network is GRAND's own, and reads the true features when it is evaluated.

    Attributes:
        augmentation: The generator, which `neighborgraph.tasks.SubstitutedClassification` fits.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        hops: int,
        dropout: float,
        input_dropout: float = 0.0,
        node_dropout: float = 0.5,
        batch_norm: bool = False,
        concat: int = 1,
        reconstruction: str = "cross-entropy",
    ):
        """Create a GRAND, and the generator.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layer.
            out_channels: Number of classes C.
            hops: K, the highest power of the normalised adjacency; 0 or more.
            dropout: Probability of dropping an entry of the hidden layer, in [0, 1).
            input_dropout: Probability of dropping an entry of the propagated features, in [0, 1).
            node_dropout: Probability of dropping a node's features, in [0, 1).
            batch_norm: Whether to normalise the propagated features and the hidden layer.
            concat: Drawn sets for each time that the true features are read.
            reconstruction: Of the generator, as `LocalAugmentation` has it.

        Raises:
            InputError: A number is outside its range.
        """
        super().__init__(
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            hops=hops,
            dropout=dropout,
            input_dropout=input_dropout,
            node_dropout=node_dropout,
            batch_norm=batch_norm,
        )
        self.augmentation = LocalAugmentation(
            in_channels, concat=concat, reconstruction=reconstruction
        )
