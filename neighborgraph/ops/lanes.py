"""The launch plan that all GPU kernels share: how the lanes of a warp cover a feature row."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neighborgraph.errors import InputError

WARP = 32
"""Lanes of a warp."""
MAX_VECTORS = 8
"""Vectors of a head a lane holds in registers; more would spill to memory."""
MAX_CHANNEL_VECTORS = 4
"""Vectors a lane holds where wider rows can be shared by several warps."""

CUDA_NAMES = {
    torch.float64: "double",
    torch.float32: "float",
    torch.float16: "Half",
    torch.bfloat16: "BFloat16",
}


@dataclass(frozen=True)
class Lanes:
    """Which template instance serves a width, and how many heads a warp takes on.

    Attributes:
        vector: Channels that a lane loads at once, at most 16 bytes of them.
        lanes: Lanes of a warp that carry one head; a power of two.
        vectors: Vectors of one head that a lane holds; a power of two.
        unroll: Edges that a slot of lanes takes at a step.
        heads: Heads that a warp serves side by side; a power of two.
    """

    vector: int
    lanes: int
    vectors: int
    unroll: int
    heads: int

    @property
    def channels(self) -> int:
        """Channels of one head that a warp covers."""
        return self.vector * self.lanes * self.vectors

    def template(self, dtype: torch.dtype) -> str:
        """The template arguments T, VEC, LANES, VECTORS, U."""
        return f"{CUDA_NAMES[dtype]}, {self.vector}, {self.lanes}, {self.vectors}, {self.unroll}"


def lanes_for(dtype: torch.dtype, width: int, heads: int = 1) -> Lanes:
    """The plan for ``heads`` heads of ``width`` channels; see `head_lanes_for`."""
    return head_lanes_for(dtype, heads, width)[0]


def head_lanes_for(dtype: torch.dtype, heads: int, *widths: int) -> tuple[Lanes, ...]:
    """Plans for ``heads`` heads of tensors of each width, such as keys and values.

    They agree in everything but what a lane holds of a row: lanes, unroll and heads of a warp.

    Raises:
        InputError: A head is too wide for the registers of a warp; names the limit.
    """
    sizes = [vector_for(dtype, width) for width in widths]
    counts = [-(-width // size) for width, size in zip(widths, sizes, strict=True)]
    lanes = min(WARP, power_of_two_above(max(counts)))
    vectors = [power_of_two_above(-(-count // lanes)) for count in counts]
    for width, size, held in zip(widths, sizes, vectors, strict=True):
        if held > MAX_VECTORS:
            limit = WARP * MAX_VECTORS * size
            raise InputError(
                f"a head of {width} channels is too wide for the GPU kernels: at most {limit} "
                f"channels when the width is a multiple of {size} and no more; pad it to a "
                f"multiple of {16 // dtype.itemsize} (at most "
                f"{WARP * MAX_VECTORS * 16 // dtype.itemsize})"
            )
    heads_per_warp = min(power_of_two_above(heads), WARP // lanes)
    slots = WARP // (lanes * heads_per_warp)
    # Eight vectors of k and v in flight a lane cover the latency of memory; with four slots and
    # more a step would be longer than most rows, and other warps cover it.
    unroll = max(1, (4 if slots <= 2 else 2) // max(vectors))
    pairs = zip(sizes, vectors, strict=True)
    return tuple(Lanes(size, lanes, held, unroll, heads_per_warp) for size, held in pairs)


def channel_lanes_for(dtype: torch.dtype, width: int, in_flight: int) -> Lanes:
    """The plan for one row of any width, of which a warp serves one range of channels.

    ``in_flight`` vectors of a lane are loaded together: of as many edges as that leaves room for.
    """
    vector = vector_for(dtype, width)
    count = -(-width // vector)
    lanes = min(WARP, power_of_two_above(count))
    vectors = min(MAX_CHANNEL_VECTORS, in_flight, power_of_two_above(-(-count // lanes)))
    return Lanes(vector, lanes, vectors, in_flight // vectors, 1)


def fits_a_warp(dtype: torch.dtype, width: int) -> bool:
    """Whether `head_lanes_for` has a plan for a head of ``width`` channels."""
    return width <= WARP * MAX_VECTORS * vector_for(dtype, width)


def head_plans(dtype: torch.dtype) -> Iterator[Lanes]:
    """Every plan of lanes_for up to the number of heads, which is no template argument."""
    for plan in shapes(dtype, MAX_VECTORS):
        most = max(1, 4 // plan.vectors)
        yield replace(plan, unroll=most)
        if plan.lanes < WARP // 2:
            yield replace(plan, unroll=most // 2)


def channel_plans(dtype: torch.dtype, in_flight: int) -> Iterator[Lanes]:
    """Every plan of channel_lanes_for."""
    for plan in shapes(dtype, min(MAX_CHANNEL_VECTORS, in_flight)):
        yield replace(plan, unroll=in_flight // plan.vectors)


def shapes(dtype: torch.dtype, max_vectors: int) -> Iterator[Lanes]:
    """Every way to cover a width, with an unroll of one."""
    for vector in powers_of_two(16 // dtype.itemsize):
        for lanes in powers_of_two(WARP):
            for vectors in powers_of_two(max_vectors if lanes == WARP else 1):
                yield Lanes(vector, lanes, vectors, 1, WARP // lanes)


def powers_of_two(largest: int) -> Iterator[int]:
    """1, 2, 4, ... up to ``largest``."""
    return (1 << exponent for exponent in range(largest.bit_length()))


def vector_for(dtype: torch.dtype, width: int) -> int:
    """The largest power of two that divides ``width`` and fills at most 16 bytes."""
    return min(16 // dtype.itemsize, width & -width)


def power_of_two_above(count: int) -> int:
    """The smallest power of two that is at least ``count``."""
    return 1 << max(0, count - 1).bit_length()


def aligned(features: Tensor) -> Tensor:
    """Contiguous features that begin on a 16-byte boundary, copied only when they do not."""
    features = features.contiguous()
    return features if features.data_ptr() % 16 == 0 else features.clone()
