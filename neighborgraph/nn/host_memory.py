"""Host memory: tensors of a GPU that are too large for it."""

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neighborgraph.errors import BackendUnavailable

WORDS = {1: "|i1", 2: "<i2", 4: "<i4", 8: "<i8"}
"""Bytes of an element to a type of that size, as array interfaces name it."""
PORTABLE = 1
"""The flag of cudaHostRegister that pins for all GPUs."""


def empty_on_host(
    shape: Sequence[int], dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Tensor:
    """A tensor in the host's memory that a device works with as with its own.

    On a GPU it is pinned, and any operator reads and writes it over the bus: of rows that are
    gathered from it nothing but these rows travels.

    Args:
        shape: Its shape.
        dtype: Of its elements.
        device: Who works with it: a CPU, for which it is an ordinary tensor, or a GPU of CUDA.

    Returns:
        A tensor on ``device``, not initialised.

    Raises:
        BackendUnavailable: The GPU cannot use host memory under the host's address.
    """
    memory, device = torch.empty(shape, dtype=dtype), torch.device(device)
    if device.type == "cpu":
        return memory
    if memory.numel() == 0:
        return memory.to(device)
    with torch.cuda.device(device):
        words = torch.as_tensor(Pinned(memory), device="cuda")
    if words.data_ptr() != memory.data_ptr():
        raise BackendUnavailable(
            f"{torch.cuda.get_device_name(device)} does not read the host's memory in place; keep "
            "the tensor on the GPU"
        )
    return words.view(dtype)


class Pinned:
    """Pinned memory as an array of CUDA; under unified addressing its address is the same there."""

    def __init__(self, memory: Tensor) -> None:
        """Pin it for as long as this lives, which a tensor made from it sees to."""
        self.memory = memory
        cudart: Any = torch.cuda.cudart()
        torch.cuda.check_error(cudart.cudaHostRegister(memory.data_ptr(), memory.nbytes, PORTABLE))
        unpin = weakref.finalize(self, cudart.cudaHostUnregister, memory.data_ptr())
        unpin.atexit = False  # with the process it goes anyway

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        """Words of the right size, because not every type has a name in the interface."""
        return {
            "version": 2,
            "shape": tuple(self.memory.shape),
            "typestr": WORDS[self.memory.element_size()],
            "data": (self.memory.data_ptr(), False),
            "strides": None,
        }
