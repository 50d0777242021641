"""Hop features against the dense matrix, wherever they are kept."""

from pathlib import Path

import pytest
import torch

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph import Graph, add_self_loops, to_undirected
from neighborgraph.nn import hop_features, propagate


@pytest.fixture
def graph() -> Graph:
    return add_self_loops(to_undirected(Graph.from_edge_index(torch.randint(30, (2, 60)), 30)))


def smoothed(graph: Graph, x: torch.Tensor, hops: int) -> torch.Tensor:
    """All hops side by side in fp64."""
    found = [x.double()]
    for _ in range(hops):
        found.append(propagate(graph, found[-1]))
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("columns", [1, 3, 7, 100])
def test_any_number_of_columns_at_a_time(graph: Graph, columns: int) -> None:
    x = torch.randn(30, 7)
    found = hop_features(graph, x, 2, columns=columns)
    assert found.shape == (30, 3, 7)
    assert torch.equal(found, hop_features(graph, x, 2))
    torch.testing.assert_close(found.double(), smoothed(graph, x, 2), rtol=1e-5, atol=1e-5)
    assert torch.equal(hop_features(graph, x, 0)[:, 0], x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_written_to_a_file_in_any_dtype(graph: Graph, dtype: torch.dtype, tmp_path: Path) -> None:
    x = torch.randn(30, 7)
    path = str(tmp_path / "hops")
    out = torch.from_file(path, shared=True, size=30 * 3 * 7, dtype=dtype).view(30, 3, 7)
    assert hop_features(graph, x, 2, out=out, columns=4) is out
    # Sums are float32; rounded once.
    assert torch.equal(out, hop_features(graph, x, 2).to(dtype))
    kept = torch.from_file(path, size=30 * 3 * 7, dtype=dtype).view(30, 3, 7)
    assert torch.equal(kept, out)


@pytest.mark.cuda
def test_on_the_gpu_into_pinned_memory(graph: Graph) -> None:
    x = torch.randn(30, 7)
    out = torch.empty(30, 3, 7).pin_memory()
    hop_features(graph.to("cuda"), x, 2, out=out, columns=4)
    torch.testing.assert_close(out.double(), smoothed(graph, x, 2), rtol=1e-5, atol=1e-5)


def test_a_feature_that_a_dtype_cannot_hold(graph: Graph) -> None:
    x = torch.randn(30, 7)
    x[11, 5] = 1e5
    out = torch.empty(30, 3, 7, dtype=torch.float16)
    with pytest.raises(InputError, match=r"node 11 is beyond the range of torch.float16; .*bfloat"):
        hop_features(graph, x, 2, out=out)
    x[11, 5] = torch.inf
    assert hop_features(graph, x, 0, out=out[:, :1])[11, 0, 5] == torch.inf


def test_refusals(graph: Graph) -> None:
    x = torch.randn(30, 7)
    with pytest.raises(InputError, match="hops=-1 must be 0 or more and columns=128 1 or more"):
        hop_features(graph, x, -1)
    with pytest.raises(InputError, match=r"x must have shape \[30, F\], got \[29, 7\]"):
        hop_features(graph, x[1:], 1)
    with pytest.raises(InputError, match=r"out must have shape \[30, 2, 7\], got \[30, 3, 7\]"):
        hop_features(graph, x, 1, out=torch.empty(30, 3, 7))
    with pytest.raises(DtypeError, match="x must be one of"):
        hop_features(graph, x.long(), 1)
