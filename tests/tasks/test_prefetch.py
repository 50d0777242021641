"""Prefetch: the same batches, and on a GPU each made while its predecessor is in use."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from neighborgraph.tasks.prefetch import prefetched

CPU = torch.device("cpu")


def test_on_a_cpu_nothing_is_made_in_advance() -> None:
    made = []

    def batches() -> Iterator[tuple[Tensor]]:
        for number in range(3):
            made.append(number)
            yield (torch.tensor(number),)

    for number, (batch,) in enumerate(prefetched(batches(), CPU)):
        assert int(batch) == number
        assert made == list(range(number + 1))
    assert list(prefetched([], CPU)) == []


@pytest.mark.cuda
def test_on_a_gpu_the_same_bits_in_the_same_order() -> None:
    device = torch.device("cuda")
    table = torch.randn(100_000, 64, device=device)
    rows = [torch.randint(100_000, (20_000,), device=device) for _ in range(20)]
    product = torch.randn(4096, 4096, device=device)
    expected = [table[ids].sum(0) for ids in rows]
    found = []
    for batch, number in prefetched(((table[ids], torch.tensor(7)) for ids in rows), device):
        assert int(number) == 7
        # Long enough that the next batch would overwrite memory that was given out too early.
        product = product @ product
        found.append(batch.sum(0))
    assert torch.equal(torch.stack(found), torch.stack(expected))


@pytest.mark.cuda
def test_on_a_gpu_a_batch_is_made_on_another_stream_while_the_host_goes_on() -> None:
    device = torch.device("cuda")
    using, streams = torch.cuda.current_stream(), []

    def batches() -> Iterator[tuple[Tensor]]:
        for number in range(3):
            streams.append(torch.cuda.current_stream())
            yield (torch.full((10,), number, device=device),)

    values = [int(batch[0]) for (batch,) in prefetched(batches(), device)]
    assert values == [0, 1, 2]
    assert len(set(streams)) == 1 and streams[0] != using
    assert torch.cuda.current_stream() == using


@pytest.mark.cuda
def test_an_error_of_a_batch_arrives() -> None:
    def batches() -> Iterator[tuple[Tensor]]:
        yield (torch.ones(1, device="cuda"),)
        raise ValueError("no more")

    fed = prefetched(batches(), torch.device("cuda"))
    next(fed)
    with pytest.raises(ValueError, match="no more"):
        next(fed)
