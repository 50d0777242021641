"""Prefetch: on a GPU a batch is drawn and gathered while the one before it is computed."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

Batch = tuple[Tensor, ...]


def prefetched(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches with the same bits; on a GPU each is made while its predecessor is in use.

    Making a batch is whatever the iterable does for it. On a GPU that goes to a stream of its own,
    one batch ahead; on a CPU, whose cores computing keeps busy, nothing is made in advance.

    Args:
        batches: Made from tensors that are ready on the current stream, and from no random numbers
            that the computing draws, too.
        device: Where they are made and used.
    """
    return made_ahead(batches, device) if device.type == "cuda" else iter(batches)


def made_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Batches from a second stream."""
    # Of high priority: the few blocks of a gather go between the many of a product.
    making = torch.cuda.Stream(device, priority=-1)
    making.wait_stream(torch.cuda.current_stream(device))
    source = iter(batches)
    while True:
        # All that is to be done with the batch before is queued by now, and runs meanwhile.
        with torch.cuda.stream(making):
            batch = next(source, None)
        if batch is None:
            return
        using = torch.cuda.current_stream(device)
        using.wait_stream(making)
        for tensor in batch:
            if tensor.is_cuda:
                tensor.record_stream(using)  # else its memory would be given out too early
        yield batch
