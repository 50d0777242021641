"""NATClassifier: NAT that also tells the label of an event, such as the state of its source."""

import torch
from torch import Tensor, nn

from neighborgraph.checks import expect_shape
from neighborgraph.errors import InputError
from neighborgraph.models.nat import NAT, NATSight


class NATClassifier(NAT):
    r"""NAT, and labels of events by what both ends remember before them (arXiv 2209.01084).

    .. math::

        \mathrm{state}(u, v, e) = \operatorname{MLP}\big([\operatorname{AGGR}(J(u, v)) ; s'_u ;
            s'_v ; e]\big)

    with the features e of the event itself; the rest is as in `NAT`, whose score it keeps.
    """

    def make_heads(self, width: int) -> None:
        """Create what scores pairs, and what scores events."""
        super().make_heads(width)
        self.state_head = nn.Sequential(
            nn.Linear(width + self.edge_channels, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def classify(
        self, source: NATSight, destination: NATSight, feature: Tensor | None = None
    ) -> Tensor:
        """Scores [p] of events, logarithms of the odds of label 1.

        Args:
            source: Sight of p sources.
            destination: Sight of their destinations.
            feature: [p, edge_channels] features of the events; None where there are none.

        Raises:
            InputError: The features are absent, or not as wide as the model's.
        """
        parts = [self.pair_vectors(source, destination)]
        if feature is not None:
            expect_shape("feature", feature, (len(parts[0]), self.edge_channels), "a row an event")
            parts.append(feature.to(parts[0].dtype))
        elif self.edge_channels:
            raise InputError(
                f"feature is None, but the model has edge_channels={self.edge_channels}; pass the "
                "features of the events"
            )
        return self.state_head(torch.cat(parts, dim=1))[:, 0]
