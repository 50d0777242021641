"""Tensors as the numpy arrays that CPU kernels take."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neighborgraph.ops.registration import accumulation_dtype


def wide(features: Tensor) -> np.ndarray:
    """Contiguous features in the accumulation dtype: widened once per call, not once per edge."""
    return features.detach().to(accumulation_dtype(features.dtype)).contiguous().numpy()


def empty(*shape: int, dtype: torch.dtype) -> Tensor:
    """An empty tensor for a result, in numpy's memory.

    numpy asks the system for huge pages, Torch does not: on Linux, the first writes to a large
    tensor of Torch take longer than the writes themselves. Float tensors are filled with NaN where
    ``torch.empty`` would be.
    """
    made = torch.from_numpy(np.empty(shape, torch.empty(0, dtype=dtype).numpy().dtype))
    fills: Any = torch.utils.deterministic
    if torch.are_deterministic_algorithms_enabled() and fills.fill_uninitialized_memory:
        made.fill_(torch.nan)
    return made


def factors(like: Tensor, *scales: Tensor | None) -> list[np.ndarray]:
    """Factors in the accumulation dtype of ``like``; an absent one has size zero."""
    absent = like.new_empty(0, dtype=accumulation_dtype(like.dtype))
    return [(absent if s is None else s.detach().contiguous()).numpy() for s in scales]
