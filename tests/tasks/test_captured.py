"""Captured: the numbers of the function, for each shape, in place."""

import pytest
import torch
from torch import Tensor

from neighborgraph.tasks.captured import Captured

pytestmark = pytest.mark.cuda


def test_returns_what_the_function_does_for_every_shape() -> None:
    total = torch.zeros((), device="cuda")

    def add_up(x: Tensor, y: Tensor) -> Tensor:
        total.add_(x.sum())
        return x + 2 * y

    captured = Captured(add_up, torch.device("cuda"))
    kept, expected = [], 0.0
    for number in range(10):
        x = torch.full((3 + number % 2,), float(number), device="cuda")
        kept.append((captured(x, x + 1), x + 2 * (x + 1)))
        expected += x.sum().item()
    assert len(captured.graphs) == 2
    assert total.item() == expected
    for result, right in kept:  # an older result is not what the latest replay wrote
        assert result is not None
        assert torch.equal(result, right)


def test_types_are_told_apart() -> None:
    captured = Captured(lambda x: x + 1, torch.device("cuda"))
    for _ in range(3):
        for dtype in (torch.int64, torch.float32):
            result = captured(torch.ones(2, dtype=dtype, device="cuda"))
            assert result is not None
            assert result.dtype == dtype
            assert result.tolist() == [2, 2]


def test_a_function_may_return_nothing() -> None:
    seen = torch.zeros(4, device="cuda")

    def note(x: Tensor) -> None:
        seen.copy_(x)

    captured = Captured(note, torch.device("cuda"))
    for number in range(4):
        assert captured(torch.full((4,), float(number), device="cuda")) is None
        assert seen.tolist() == [number] * 4
