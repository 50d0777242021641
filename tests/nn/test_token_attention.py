"""TokenAttention against its equations, one node and one head at a time."""

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import InputError
from neighborgraph.nn import TokenAttention


def slow(layer: TokenAttention, tokens: Tensor) -> Tensor:
    """The equations in fp64 with loops over nodes and heads."""
    layer = layer.double()
    outs = []
    for t in tokens.double():
        first, _, _, second = layer.embed
        h = second(first(t).relu())
        normal = layer.attention_norm(h)
        projected = layer.query_key_value(normal).view(len(t), 3, layer.heads, -1)
        heads = []
        for head in range(layer.heads):
            q, k, v = projected[:, :, head].unbind(1)
            heads.append((q @ k.t() / q.shape[1] ** 0.5).softmax(1) @ v)
        h = h + layer.merge(torch.cat(heads, 1))
        wide, _, _, narrow = layer.feed
        h = layer.out_norm(h + narrow(torch.nn.functional.gelu(wide(layer.feed_norm(h)))))
        pairs = torch.stack([torch.cat([h[0], other]) for other in h[1:]])
        weight = layer.readout(pairs).softmax(0)
        outs.append(h[0] + (weight * h[1:]).sum(0))
    return torch.stack(outs)


@pytest.mark.parametrize(("length", "heads"), [(2, 1), (7, 2), (30, 3)])
def test_equations(length: int, heads: int) -> None:
    layer = TokenAttention(5, 8, heads=heads).eval()
    tokens = torch.randn(4, length, 5)
    found = layer(tokens)
    torch.testing.assert_close(found.double(), slow(layer, tokens), rtol=1e-5, atol=1e-5)


def test_gradient() -> None:
    layer = TokenAttention(3, 4).double().eval()
    tokens = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, tokens)


def test_the_order_of_the_others_does_not_matter() -> None:
    layer = TokenAttention(5, 8).eval()
    tokens = torch.randn(4, 9, 5)
    others = torch.randperm(8) + 1
    shuffled = torch.cat([tokens[:, :1], tokens[:, others]], dim=1)
    torch.testing.assert_close(layer(shuffled), layer(tokens))
    first = torch.cat([tokens[:, 1:2], tokens[:, :1], tokens[:, 2:]], dim=1)
    assert not torch.allclose(layer(first), layer(tokens))


def test_a_node_alone_is_its_own_token() -> None:
    layer = TokenAttention(5, 8).eval()
    assert layer(torch.randn(4, 1, 5)).isfinite().all()


def test_dropout_is_for_training() -> None:
    layer, tokens = TokenAttention(5, 8, dropout=0.5), torch.randn(4, 9, 5)
    assert not torch.equal(layer(tokens), layer(tokens))
    layer.eval()
    assert torch.equal(layer(tokens), layer(tokens))


def test_refusals() -> None:
    with pytest.raises(InputError, match="heads=0 must be at least 1"):
        TokenAttention(5, 8, heads=0)
    with pytest.raises(InputError, match=r"dropout=1.0 is outside \[0, 1\)"):
        TokenAttention(5, 8, dropout=1.0)
    with pytest.raises(InputError, match=r"tokens must have shape \[b, L, 5\], got \[4, 5\]"):
        TokenAttention(5, 8)(torch.randn(4, 5))
