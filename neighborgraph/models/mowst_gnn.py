"""Mowst of our own models: an MLP beside a GCN or a GraphSAGE of the same width."""

from torch import nn

from neighborgraph.models.confidence import ConfidenceGate
from neighborgraph.models.gcn import GCN
from neighborgraph.models.mlp import MLP
from neighborgraph.models.mowst import GATE_CHANNELS, MowstModel, MowstStarModel
from neighborgraph.models.sage import SAGE


class MlpAnd(MowstModel):
    """An MLP and a GNN of one of our types, and a gate, all built from widths."""

    strong_type: type[nn.Module]

    def __init__(
        self,
        *,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        dropout: float,
        gate_channels: int = GATE_CHANNELS,
        gate_dropout: float = 0.0,
        self_features: bool = False,
        evaluation: str = "paper",
    ):
        """Create the experts and the gate.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layer of each expert.
            out_channels: Number of classes C, 2 or more.
            dropout: Probability of dropping an entry in an expert, in [0, 1).
            gate_channels: Width of the gate's hidden layer.
            gate_dropout: Probability of dropping an entry in the gate, in [0, 1).
            self_features: Whether the gate sees the nodes' features beside the dispersions.
            evaluation: ``paper`` or ``released``, as `MowstModel` has it.

        Raises:
            InputError: A width is below 1, a probability outside [0, 1), or ``evaluation`` is
                neither of the two.
        """

        def expert(kind: type[nn.Module]) -> nn.Module:
            return kind(
                in_channels=in_channels,
                hidden_channels=hidden_channels,
                out_channels=out_channels,
                dropout=dropout,
            )

        super().__init__(
            weak=expert(MLP),
            strong=expert(self.strong_type),
            gate=ConfidenceGate(
                gate_channels, in_channels if self_features else 0, dropout=gate_dropout
            ),
            evaluation=evaluation,
        )


class MowstGCN(MlpAnd):
    """Mowst of an MLP and a GCN (Zeng et al., arXiv 2311.05185), which learn in turns."""

    strong_type = GCN


class MowstSAGE(MlpAnd):
    """Mowst of an MLP and a GraphSAGE (Zeng et al., arXiv 2311.05185), which learn in turns."""

    strong_type = SAGE


class MowstStarGCN(MlpAnd, MowstStarModel):
    """Mowst* of an MLP and a GCN (Zeng et al., arXiv 2311.05185), which learn together."""

    strong_type = GCN


class MowstStarSAGE(MlpAnd, MowstStarModel):
    """Mowst* of an MLP and a GraphSAGE (Zeng et al., arXiv 2311.05185), which learn together."""

    strong_type = SAGE
