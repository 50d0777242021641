"""EdgeVAE: what a node's neighbours look like, given the node."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.models.options import expect_counts
from neighborgraph.nn import FeatureLinear

RECONSTRUCTIONS = ("cross-entropy", "squared-error")


class EdgeVAE(nn.Module):
    r"""A conditional variational auto-encoder of a neighbour's features, given the centre's.

    .. math::

        (\mu, \log \sigma^2) &= E(x, c), \qquad z = \mu + \sigma \epsilon, \qquad
        \hat{x} = \phi(D(z, c)) \\
        L &= \frac{1}{B} \sum_{(x, c)} \Big( \ell(\hat{x}, x) - \frac{1}{2} \sum_k
        \big( 1 + \log \sigma_k^2 - \mu_k^2 - \sigma_k^2 \big) \Big)

    E and D have one hidden layer. For ``cross-entropy`` l is the binary cross entropy and
    :math:`\phi` the sigmoid; for ``squared-error`` l is the squared error and :math:`\phi` the
    identity, so that features of any range can be met. Both are summed over the F features.
    From "Local Augmentation for Graph Neural Networks" (Liu et al., ICML 2022, arXiv 2109.03856).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        hidden_channels: int = 256,
        latent_channels: int = 10,
        reconstruction: str = "cross-entropy",
    ):
        """Create encoder and decoder, with the initial weights of ``torch.nn.Linear``.

        Args:
            in_channels: Feature width F.
            hidden_channels: Width of the hidden layers.
            latent_channels: Width of z.
            reconstruction: ``cross-entropy`` for features in [0, 1], or ``squared-error``.

        Raises:
            InputError: A width is below 1, or ``reconstruction`` is neither of the two.
        """
        super().__init__()
        expect_counts(
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            latent_channels=latent_channels,
        )
        if reconstruction not in RECONSTRUCTIONS:
            raise InputError(
                f"reconstruction={reconstruction!r} must be one of {', '.join(RECONSTRUCTIONS)}"
            )
        self.encoder = nn.Linear(2 * in_channels, hidden_channels)
        self.mean = nn.Linear(hidden_channels, latent_channels)
        self.log_variance = nn.Linear(hidden_channels, latent_channels)
        # The two blocks of the decoder's first layer, so that c's is computed once for many z.
        self.latent = nn.Linear(latent_channels, hidden_channels, bias=False)
        self.condition = FeatureLinear(in_channels, hidden_channels)
        self.out = nn.Linear(hidden_channels, in_channels)
        self.reconstruction = reconstruction
        self.reset_parameters()

    @property
    def latent_channels(self) -> int:
        """Width of z."""
        return self.latent.in_features

    def reset_parameters(self) -> None:
        """Draw all weights anew from Torch's generator."""
        for layer in (self.encoder, self.mean, self.log_variance, self.out):
            layer.reset_parameters()
        bound = (self.latent.in_features + self.condition.in_features) ** -0.5
        for parameter in (*self.latent.parameters(), *self.condition.parameters()):
            nn.init.uniform_(parameter, -bound, bound)

    def encode(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [B, latent_channels] of z for neighbours x, centres c: [B, F]."""
        h = self.encoder(torch.cat([x, c], dim=1)).relu()
        return self.mean(h), self.log_variance(h)

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        """What stands before the sigmoid.

        Args:
            z: [B, latent_channels].
            condition: [B, hidden_channels], ``self.condition`` of the centres' features.

        Returns:
            [B, F].
        """
        return self.out((self.latent(z) + condition).relu())

    def loss(self, x: Tensor, c: Tensor) -> Tensor:
        """The mean loss of pairs, with one z drawn for each from Torch's generator.

        Args:
            x: [B, F] features of the neighbours.
            c: [B, F] features of the centres.
        """
        mean, log_variance = self.encode(x, c)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return self.pair_losses(self.decode(z, self.condition(c)), x, mean, log_variance).mean()

    def pair_losses(self, out: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """[B] the loss of each pair.

        Args:
            out: [B, F] from `decode`.
            x: [B, F] features of the neighbours.
            mean: [B, latent_channels].
            log_variance: [B, latent_channels].
        """
        if self.reconstruction == "cross-entropy":
            error = F.binary_cross_entropy_with_logits(out, x, reduction="none")
        else:
            error = (out - x).square()
        divergence = (1 + log_variance - mean.square() - log_variance.exp()).sum(1) / -2
        return error.sum(1) + divergence

    @torch.no_grad()
    def generate(self, z: Tensor, condition: Tensor, out: Tensor) -> None:
        """Write the features that z stands for.

        Args:
            z: [n, latent_channels].
            condition: [n, hidden_channels], as in `decode`.
            out: [n, F], overwritten.
        """
        h = (self.latent(z) + condition).relu_()
        torch.addmm(self.out.bias, h, self.out.weight.t(), out=out)
        if self.reconstruction == "cross-entropy":
            out.sigmoid_()
