"""EdgeBank: what a set of pairs would say, windows, and its memory."""

import math
from typing import Any

import pytest
import torch

from neighborgraph.errors import CheckpointError, InputError
from neighborgraph.models import EdgeBank
from neighborgraph.models.edge_bank import EdgeBankWindow


@pytest.mark.parametrize("window", [math.inf, 3.0])
def test_equal_to_a_dictionary(window: float) -> None:
    model: Any = EdgeBank() if window == math.inf else EdgeBankWindow(window=window)
    memory, last = model.memory(6), {}
    ends, time = torch.randint(6, (3, 80)), torch.randint(30, (80,)).sort().values
    for begin in range(0, 80, 7):
        source, destination, negative = ends[:, begin : begin + 7]
        t, size = time[begin : begin + 7], len(source)
        sights = model.look(memory, torch.cat([source, destination, negative]), t.repeat(3))
        sources, others = sights.split(size)
        expected = [
            [0 < at - last.get((u, v), at) <= window for u, v, at in zip(*row, strict=True)]
            for row in (
                (source.tolist(), other.tolist(), t.tolist()) for other in (destination, negative)
            )
        ]
        model.insert(memory, sources, others.split(size)[0], torch.arange(begin, begin + size))
        # Scored after the insertion, as of before it.
        assert (model(sources, others) == model.met).tolist() == expected
        last |= {
            (u, v): at
            for u, v, at in zip(source.tolist(), destination.tolist(), t.tolist(), strict=True)
        }
    assert memory.pair.tolist() == sorted(u * 6 + v for u, v in last)


def test_memory_there_and_back() -> None:
    model = EdgeBank()
    memory, other = model.memory(5), model.memory(5)
    ends = model.look(memory, torch.tensor([1, 2]), torch.tensor([3, 3])).split(1)
    model.insert(memory, *ends, torch.tensor([0]))
    other.load(memory.tensors())
    memory.reset()
    assert (other.pair.tolist(), other.time.tolist()) == ([7], [3])
    assert memory.pair.numel() == 0
    with pytest.raises(CheckpointError, match=r"an EdgeBank's has pair and time in torch.int64"):
        other.load({"pair": other.pair, "time": other.time.double()})


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"window=0.0 must be above 0"):
        EdgeBankWindow(window=0.0)
    with pytest.raises(InputError, match=r"time_dtype = torch.float32 must be"):
        EdgeBank().memory(3, time_dtype=torch.float32)
