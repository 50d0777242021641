"""What rows draw from: a graph's receiver-major edges, with times in order and weights summed up.

What depends on the graph alone is computed here, once, so that a draw takes the same time whatever
the number of neighbours, but for a binary search.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from neighborgraph.checks import (
    FLOAT_DTYPES,
    expect_dtype,
    expect_same_device,
    expect_shape,
    expect_tensor,
)
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph

TIME_DTYPES = (torch.int64, torch.float64)
SUM_BITS = 62
"""A row's integer weights add up to less than 2^62, so that sums and draws are exact."""
SHARE_BITS = 52
"""An integer weight is at most 2^52, which stands for the row's largest weight."""


@dataclass(frozen=True, eq=False)
class Population:
    """The neighbours of n rows, ready to be drawn from; made by `Population.of`.

    Attributes:
        ptr: [n + 1] int64, row i owns positions ``ptr[i] .. ptr[i+1]``.
        idx: [e] int32, the node at each position.
        edge_id: [e] int32, the caller's number of the edge at each position.
        num_nodes: Number of nodes m that ``idx`` is one of.
        time: Optional [e] int64 from `ordered`, never decreasing within a row.
        cumulative: Optional [e + 1] int64, the sum of integer weights of all positions before.
            Over all rows it wraps around; the difference of two positions of a row is exact.
    """

    ptr: Tensor
    idx: Tensor
    edge_id: Tensor
    num_nodes: int
    time: Tensor | None = None
    cumulative: Tensor | None = None

    @classmethod
    def of(cls, graph: Graph, *, weight: Tensor | None = None, time: Tensor | None = None) -> Self:
        """Prepare a graph for sampling.

        Args:
            graph: Its receivers are the rows; the transpose is not needed.
            weight: Optional [e] floating point weights in the caller's edge order, finite and not
                negative: a neighbour is drawn in proportion. An edge of weight zero is left out for
                good, and a weight below 2^-52 of its row's largest counts as that much.
            time: Optional [e] int64 or float64 times in the caller's edge order, sorted here.

        Raises:
            InputError: A shape is wrong, a weight is negative, NaN or infinite, or a time is NaN;
                names the position.
            DtypeError: Weights or times have another type. float32 times are refused, because they
                are not distinct beyond 2^24.
            DeviceError: A tensor is on another device than the graph.
        """
        population = cls(*graph.rows[:3], graph.num_cols)
        if weight is not None:
            expect_weights("weight", weight, graph.num_edges)
            expect_same_device(graph=population.ptr, weight=weight)
            population = population.without(weight == 0)
        if time is not None:
            expect_times("time", time, graph.num_edges)
            expect_same_device(graph=population.ptr, time=time)
            population = population.sorted_by(ordered(time))
        if weight is not None:
            drawn = weight[population.edge_id.long()]
            population = replace(population, cumulative=summed(population.ptr, drawn))
        return population

    @property
    def num_rows(self) -> int:
        """Number of rows n."""
        return self.ptr.numel() - 1

    @property
    def row(self) -> Tensor:
        """[e] int64, the row of each position."""
        rows = torch.arange(self.num_rows, device=self.ptr.device)
        return rows.repeat_interleave(self.ptr.diff(), output_size=self.idx.numel())

    def without(self, dropped: Tensor) -> Self:
        """The same without the edges [e] that are ``dropped``."""
        kept = ~dropped[self.edge_id.long()]
        return replace(
            self, ptr=before(kept)[self.ptr], idx=self.idx[kept], edge_id=self.edge_id[kept]
        )

    def sorted_by(self, time: Tensor) -> Self:
        """The same with each row in the order of its edges' times [e]; ties stay as they are."""
        time = time[self.edge_id.long()]
        order = time.argsort(stable=True)
        order = order[self.row[order].argsort(stable=True)]
        return replace(self, idx=self.idx[order], edge_id=self.edge_id[order], time=time[order])


def before(amounts: Tensor) -> Tensor:
    """[e + 1] int64, the sum of all amounts [e] before each position."""
    sums = torch.zeros(amounts.numel() + 1, dtype=torch.int64, device=amounts.device)
    torch.cumsum(amounts, 0, out=sums[1:])
    return sums


def ordered(time: Tensor) -> Tensor:
    """int64 numbers in the order of int64 or float64 times, equal where these are equal."""
    if time.dtype == torch.int64:
        return time
    bits = (time + 0.0).view(torch.int64)  # the sum has no negative zero
    return torch.where(bits < 0, bits ^ torch.iinfo(torch.int64).max, bits)


def summed(ptr: Tensor, weight: Tensor) -> Tensor:
    """`Population.cumulative` of positive weights [e] in the order of positions.

    A division, a scaling by a power of two and a rounding up: exact arithmetic of float64, equal
    on every device.
    """
    degree = ptr.diff()
    row = torch.arange(degree.numel(), device=ptr.device)
    row = row.repeat_interleave(degree, output_size=weight.numel())
    weight = weight.detach().double()
    largest = weight.new_zeros(degree.numel()).scatter_reduce(0, row, weight, "amax")
    _, length = torch.frexp(degree.double())  # of the degree in binary
    bits = (SUM_BITS - length.long()).clamp(max=SHARE_BITS)
    scale = torch.ones_like(bits).bitwise_left_shift(bits).double()
    return before((weight / largest[row] * scale[row]).ceil().clamp(min=1).long())


def expect_weights(name: str, weight: Tensor, size: int) -> None:
    """Refuse weights that are not [size] floating point, finite and not negative."""
    expect_tensor(name, weight)
    expect_dtype(name, weight, FLOAT_DTYPES)
    expect_shape(name, weight, (size,))
    wrong = (~((weight >= 0) & weight.isfinite())).nonzero()
    if wrong.numel():
        position = int(wrong[0])
        raise InputError(
            f"{name}[{position}] = {float(weight[position])} must be finite and not negative"
        )


def expect_times(name: str, time: Tensor, size: int) -> None:
    """Refuse times that are not [size] int64 or float64 without NaN."""
    expect_tensor(name, time)
    expect_dtype(name, time, TIME_DTYPES)
    expect_shape(name, time, (size,))
    wrong = time.isnan().nonzero()
    if wrong.numel():
        raise InputError(f"{name}[{int(wrong[0])}] is NaN, which is neither before nor after")
