"""Tensors as the numpy arrays that CPU kernels take."""

import numpy as np
from torch import Tensor

from neighborgraph.ops.registration import accumulation_dtype


def wide(features: Tensor) -> np.ndarray:
    """Contiguous features in the accumulation dtype: widened once per call, not once per edge."""
    return features.detach().to(accumulation_dtype(features.dtype)).contiguous().numpy()


def factors(like: Tensor, *scales: Tensor | None) -> list[np.ndarray]:
    """Factors in the accumulation dtype of ``like``; an absent one has size zero."""
    absent = like.new_empty(0, dtype=accumulation_dtype(like.dtype))
    return [(absent if s is None else s.detach().contiguous()).numpy() for s in scales]
