"""Kernels made ready ahead are all that a captured CUDA graph needs."""

import pytest
import torch

from neighborgraph.errors import DeviceError, InputError
from neighborgraph.ops import Additive, Dot, aggregate, attend
from neighborgraph.ops.precompile import precompile_aggregate, precompile_attend
from neighborgraph.testing import from_degrees, random_graph


def test_a_device_without_kernels_is_refused() -> None:
    with pytest.raises(DeviceError, match="device=cpu must be a CUDA device"):
        precompile_attend("cpu", torch.float32, 1, 8)
    with pytest.raises(DeviceError, match="device=cpu must be a CUDA device"):
        precompile_aggregate("cpu", torch.float32, 8)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(InputError, match="width=8 must be a multiple of heads=3"):
        precompile_aggregate("cuda", torch.float32, 8, heads=3)


# Widths that no other test uses, so that no other test has loaded these kernels.
@pytest.mark.cuda
@pytest.mark.parametrize("score", [Dot(), Additive()], ids=["dot", "additive"])
def test_attend_can_be_captured_and_reseeded(score: Dot | Additive) -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    heads, width = 5, 40
    precompile_attend(
        device, torch.bfloat16, heads, width, score=score, bias=True, dropout=True, self_loops=True
    )
    graph = from_degrees([3, 0, 1300, 7], 4, seed=0).to(device)
    features = [torch.randn(4, heads, width, device=device).bfloat16() for _ in range(3)]
    bias = torch.randn(graph.num_edges + 4, heads, device=device)
    seed = torch.zeros(1, dtype=torch.int64, device=device)

    def step() -> list[torch.Tensor]:
        q, k, v = (x.clone().requires_grad_() for x in features)
        out = attend(
            graph, q, k, v, score=score, bias=bias, dropout=0.3, seed=seed, self_loops=True
        )
        return [out, *torch.autograd.grad(out.float().square().sum(), (q, k, v))]

    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        replayed = step()
    for value in (1, 2):
        seed.fill_(value)
        captured.replay()
        torch.cuda.synchronize()
        for of_graph, eager in zip(replayed, step(), strict=True):
            assert torch.equal(of_graph, eager)


@pytest.mark.cuda
@pytest.mark.parametrize("reduce", ["sum", "max", "softmax"])
def test_aggregate_can_be_captured(reduce: str) -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    width = 40
    precompile_aggregate(device, torch.bfloat16, width, reduce)
    graph = random_graph(0, 30, 30, 700).to(device)
    features = torch.randn(30, width, device=device).bfloat16()

    def step() -> tuple[torch.Tensor, ...]:
        x = features.clone().requires_grad_()
        out = aggregate(graph, x, reduce)
        return out, *torch.autograd.grad(out.float().square().sum(), x)

    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        replayed = step()
    captured.replay()
    for of_graph, eager in zip(replayed, step(), strict=True):
        assert torch.equal(of_graph, eager)
