"""EdgeVAE: its loss by hand, what it generates, and that it learns."""

import math

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.models import EdgeVAE


def test_loss_by_hand() -> None:
    out, x = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.0]])
    mean, log_variance = torch.tensor([[2.0]]), torch.tensor([[math.log(4)]])
    # log 2 + log 4 for the features; (4 + 4 - 1 - log 4) / 2 for z.
    divergence = (7 - math.log(4)) / 2
    cross = EdgeVAE(2).pair_losses(out, x, mean, log_variance)
    assert cross.tolist() == pytest.approx([math.log(8) + divergence])
    squared = EdgeVAE(2, reconstruction="squared-error").pair_losses(out, x, mean, log_variance)
    assert squared.tolist() == pytest.approx([1 + math.log(3) ** 2 + divergence])


@pytest.mark.parametrize("reconstruction", ["cross-entropy", "squared-error"])
def test_generated_features_are_the_decoded_ones(reconstruction: str) -> None:
    vae = EdgeVAE(6, hidden_channels=5, latent_channels=3, reconstruction=reconstruction)
    z, c, out = torch.randn(9, 3), torch.rand(9, 6), torch.empty(9, 6)
    vae.generate(z, vae.condition(c), out)
    weight = torch.cat([vae.latent.weight, vae.condition.weight], dim=1)
    hidden = (torch.cat([z, c], dim=1) @ weight.t() + vae.condition.bias).relu()
    expected = vae.out(hidden)
    if reconstruction == "cross-entropy":
        expected = expected.sigmoid()
    torch.testing.assert_close(out, expected)


def test_first_layer_is_drawn_as_one() -> None:
    vae = EdgeVAE(90)
    bound = (90 + 10) ** -0.5
    for layer in (vae.latent, vae.condition):
        assert 0.9 * bound < layer.weight.detach().max().item() <= bound


def test_it_learns_the_opposite_of_the_centre() -> None:
    vae = EdgeVAE(4, hidden_channels=16)
    adam = torch.optim.Adam(vae.parameters(), lr=0.01)
    c = torch.eye(4).repeat(16, 1)
    for _ in range(300):
        adam.zero_grad()
        vae.loss(1 - c, c).backward()
        adam.step()
    out = torch.empty(64, 4)
    vae.generate(torch.randn(64, 10), vae.condition(c), out)
    assert (out - (1 - c)).abs().max() < 0.2


def test_wrong_options() -> None:
    with pytest.raises(InputError, match="latent_channels=0 must be at least 1"):
        EdgeVAE(3, latent_channels=0)
    with pytest.raises(InputError, match="must be one of cross-entropy, squared-error"):
        EdgeVAE(3, reconstruction="bce")
