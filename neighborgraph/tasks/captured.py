"""Captured: a function whose operations a GPU replays, so that the host need not launch each."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor


@final
class Captured:
    """Captures the operations of a function once for each shape of its arguments.

    The first call of a shape runs operation by operation, so that whatever is made at first use
    (kernels, Adam's moments) is there; the second is captured, and from then on a call costs a few
    launches of the host. The numbers are those of the function, bit for bit.

    The function must do the same operations for every call of a shape, and must neither wait for
    the device nor draw from a generator of its own.

    Attributes:
        graphs: By shape, what was captured, the arguments it reads and the tensor it writes.
    """

    def __init__(self, function: Callable[..., Tensor | None], device: torch.device) -> None:
        """Capture nothing yet.

        Args:
            function: Of tensors to one tensor, or to None.
            device: The GPU.
        """
        self.function = function
        self.seen: set[Any] = set()
        self.graphs: dict[Any, tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Tensor | None]] = {}
        # Work that is to be captured must not run on the default stream, nor what precedes it.
        self.stream = torch.cuda.Stream(device)

    def __call__(self, *arguments: Tensor) -> Tensor | None:
        """What the function returns."""
        shape = tuple((tensor.shape, tensor.dtype) for tensor in arguments)
        if shape not in self.seen:
            self.seen.add(shape)
            return self.warm_up(arguments)
        if shape not in self.graphs:
            self.capture(shape, arguments)
        return self.replay(shape, arguments)

    def warm_up(self, arguments: tuple[Tensor, ...]) -> Tensor | None:
        """Run on the stream that will capture."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = self.function(*arguments)
        current.wait_stream(self.stream)
        if result is not None:
            result.record_stream(current)
        return result

    def capture(self, shape: Any, arguments: tuple[Tensor, ...]) -> None:
        """Capture one call; nothing is computed."""
        buffers = tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in arguments)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            result = self.function(*buffers)
        self.graphs[shape] = graph, buffers, result

    def replay(self, shape: Any, arguments: tuple[Tensor, ...]) -> Tensor | None:
        """Run as it was captured; the next replay writes to the same place, hence the copy."""
        graph, buffers, result = self.graphs[shape]
        for buffer, tensor in zip(buffers, arguments, strict=True):
            buffer.copy_(tensor)
        graph.replay()
        return None if result is None else result.clone()
