"""CodebookAttention is attention to all nodes, each at its centroid."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.nn import CodebookAttention


@pytest.fixture
def layer() -> CodebookAttention:
    """Learned from one batch, so that centroids and counts are those of nodes."""
    layer = CodebookAttention(5, 4, num_nodes=40, num_codes=6, heads=2)
    layer(torch.randn(40, 5), torch.randn(40, 4), torch.arange(40))
    return layer.eval()


def test_equals_attention_to_every_node_at_its_centroid(layer: CodebookAttention) -> None:
    layer = layer.double()
    x, position = torch.randn(7, 5).double(), torch.randn(7, 4).double()
    u = torch.cat([layer.features(x), position], dim=1)
    every = layer.codebook.rows()[layer.codebook.code.long()]  # [40, 8]
    heads = []
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        q, k = layer.query(u)[:, part], layer.key(every)[:, part]
        v = layer.value(every[:, :4])[:, part]
        heads.append((q @ k.t() / 2).softmax(1) @ v)
    expected = layer.merge(torch.cat(heads, dim=1))
    torch.testing.assert_close(layer(x, position, torch.arange(7)), expected)


def test_a_centroid_without_nodes_is_not_seen(layer: CodebookAttention) -> None:
    empty = int(layer.codebook.count.argmax())
    layer.codebook.count[empty] = 0
    x, position, node = torch.randn(7, 5), torch.randn(7, 4), torch.arange(7)
    before = layer(x, position, node)
    layer.codebook.centroids[empty] += 100
    assert torch.equal(layer(x, position, node), before)


def test_only_training_moves_the_codebook(layer: CodebookAttention) -> None:
    def learned(training: bool) -> bool:
        before = layer.codebook.centroids.clone()
        layer.train(training)(torch.randn(7, 5), torch.randn(7, 4), torch.arange(7))
        return not torch.equal(layer.codebook.centroids, before)

    assert not learned(training=False)
    assert learned(training=True)


def test_gradient(layer: CodebookAttention) -> None:
    layer = layer.double()
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    position = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    node = torch.arange(3)
    assert torch.autograd.gradcheck(lambda x, p: layer(x, p, node), (x, position))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(layer: CodebookAttention, dtype: torch.dtype) -> None:
    x, position, node = torch.randn(7, 5), torch.randn(7, 4), torch.arange(7)
    exact = layer(x, position, node)
    with torch.autocast("cpu", dtype=dtype):
        found = layer.train()(x, position, node)
    assert found.dtype == dtype
    layer.dropout = 0.0
    torch.testing.assert_close(layer.eval()(x, position, node), layer(x, position, node))
    assert exact.isfinite().all()
    assert found.isfinite().all()
    assert layer.codebook.centroids.dtype == torch.float32


def test_refusals(layer: CodebookAttention) -> None:
    with pytest.raises(InputError, match="global_channels=0 must be at least 1"):
        CodebookAttention(5, 0, num_nodes=3)
    with pytest.raises(InputError, match=r"x must have shape \[b, 5\], got \[3, 6\]"):
        layer(torch.randn(3, 6), torch.randn(3, 4), torch.arange(3))
    with pytest.raises(InputError, match=r"position must have shape \[3, 4\] \(a row of x each\)"):
        layer(torch.randn(3, 5), torch.randn(4, 4), torch.arange(3))
