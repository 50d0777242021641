"""sample: each row draws some of its neighbours, and what was drawn is renumbered."""

from typing import NamedTuple

import torch
from torch import Tensor

from neighborgraph.checks import expect_dtype, expect_same_device, expect_shape, expect_tensor
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph.structure import expect_ids
from neighborgraph.ops.registration import register
from neighborgraph.ops.sample.population import Population

MAX_COUNT = 2**31 - 1
MAX_HOP, MAX_RELATION = 2**8 - 1, 2**23 - 1


class Draw(NamedTuple):
    """Which random numbers are drawn; equal numbers draw equal samples on every device."""

    seed: int
    """Any integer of 64 bits, signed or not."""
    epoch: int = 0
    """Taken modulo 2^32."""
    hop: int = 0
    """In [0, 255]."""
    relation: int = 0
    """Number of the edge type, in [0, 2^23)."""


class Sample(NamedTuple):
    """Edges that were drawn, row by row."""

    receiver: Tensor
    """[s] int64, the index into the given rows."""
    source: Tensor
    """[s] int64, the neighbour."""
    edge: Tensor
    """[s] int64, the caller's number of the edge."""


def sample_fake(csr, row, *_):
    """Shapes: as many edges as are drawn, which nobody knows before."""
    size = torch.library.get_ctx().new_dynamic_size()
    return tuple(row.new_empty(size) for _ in range(3))


def relabel_fake(known, found):
    """Shapes: as many nodes as are distinct, which nobody knows before."""
    return known.new_empty(torch.library.get_ctx().new_dynamic_size()), torch.empty_like(found)


sample_rows = register(
    "sample_rows(Tensor[] csr, Tensor row, Tensor key, Tensor? time, Tensor? until, "
    "Tensor? cumulative, int count, bool replace, bool last, bool inclusive, int seed, "
    "int[] counter) -> (Tensor receiver, Tensor source, Tensor edge)",
    module=__name__,
    fake=sample_fake,
)
sample_relabel = register(
    "sample_relabel(Tensor known, Tensor found) -> (Tensor nodes, Tensor local)",
    module=__name__,
    fake=relabel_fake,
)


def sample_neighbors(
    population: Population,
    row: Tensor,
    count: int,
    draw: Draw,
    *,
    key: Tensor | None = None,
    until: Tensor | None = None,
    replace: bool = False,
    last: bool = False,
    inclusive: bool = False,
) -> Sample:
    r"""Draw up to ``count`` neighbours of each row.

    A row with fewer candidates gives all of them, once each and in order; with ``replace`` it gives
    exactly ``count`` as long as it has one. The p-th number of a row comes from Philox 4x32-10,
    keyed by ``draw``, the row's ``key`` and p alone: a sample does not depend on which rows are
    drawn beside it, on the number of threads, or on the device, and is equal bit for bit.

    Uniform draws without replacement are Floyd's: the p-th of K out of d is uniform on the first
    d - K + p + 1 candidates, or else the last of these. Weighted ones take a number below the
    weight that is left, and come in the order of their positions, not of drawing; both take time
    K², not d. With probability 1 - 2^-32 or better all candidates are as likely as they should be.

    Args:
        population: What is drawn from.
        row: [f] int64 rows; a row may occur more than once.
        count: K in [0, 2^31), or -1 for all candidates.
        draw: Which random numbers.
        key: [f] int64 in [0, 2^32) that tells the rows' numbers apart; the rows themselves if None.
        until: [f] int64 from `ordered`: only edges with an earlier time are candidates.
        replace: Whether a candidate can be drawn again.
        last: Whether only the ``count`` latest are candidates.
        inclusive: Whether edges at exactly ``until`` are candidates, too.

    Returns:
        The edges, grouped by row in the given order.

    Raises:
        InputError: A row, the count or the numbers of ``draw`` are outside their range, or times
            are given to a population without times.
        DtypeError: An argument has another type.
        DeviceError: Tensors are on different devices.
    """
    expect_count("count", count)
    expect_tensor("row", row)
    expect_dtype("row", row, (torch.int64,))
    expect_shape("row", row, ("f",))
    expect_same_device(population=population.ptr, row=row, key=key, until=until)
    expect_ids("row", row, population.num_rows, "population")
    if until is not None and population.time is None:
        raise InputError("until is given, but the population has no times; give it some")
    for name, tensor in (("key", key), ("until", until)):
        if tensor is not None:
            expect_dtype(name, tensor, (torch.int64,))
            expect_shape(name, tensor, tuple(row.shape), "one a row")
    return draw_trusted(
        population,
        row,
        count,
        draw,
        key=key,
        until=until,
        replace=replace,
        last=last,
        inclusive=inclusive,
    )


def draw_trusted(
    population: Population,
    row: Tensor,
    count: int,
    draw: Draw,
    *,
    key: Tensor | None = None,
    until: Tensor | None = None,
    replace: bool = False,
    last: bool = False,
    inclusive: bool = False,
) -> Sample:
    """`sample_neighbors` without looking at the rows: a wrong one is undefined behaviour."""
    return Sample(
        *sample_rows(
            [population.ptr, population.idx, population.edge_id],
            row,
            row if key is None else key,
            None if until is None else population.time,
            until,
            population.cumulative,
            count,
            replace,
            last,
            inclusive,
            signed(draw.seed),
            counter(draw),
        )
    )


def relabel(known: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
    """Number nodes in the order of their first appearance.

    Args:
        known: [k] int64 nodes, numbered 0 to k - 1 as they are. Where a node is there twice, its
            first number counts.
        found: [s] int64 nodes.

    Returns:
        Nodes [k + new] int64: those known, then each new one in the order of appearance; and
        the number [s] int64 of each node found.

    Raises:
        InputError: A shape is wrong.
        DtypeError: An argument is no int64 tensor.
        DeviceError: They are on different devices.
    """
    for name, nodes in (("known", known), ("found", found)):
        expect_tensor(name, nodes)
        expect_dtype(name, nodes, (torch.int64,))
        expect_shape(name, nodes, ("n",))
    expect_same_device(known=known, found=found)
    return sample_relabel(known, found)


def expect_count(name: str, count: object) -> None:
    """Refuse a number of neighbours that is none."""
    if isinstance(count, bool) or not isinstance(count, int):
        raise DtypeError(f"{name} must be an int, got {count!r}")
    if not -1 <= count <= MAX_COUNT:
        raise InputError(f"{name} = {count} must be in [0, {MAX_COUNT}], or -1 for all neighbours")


def signed(seed: int) -> int:
    """A seed of 64 bits as the int64 that operators take."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DtypeError(f"seed must be an int, got {seed!r}")
    if not -(2**63) <= seed < 2**64:
        raise InputError(f"seed = {seed} has more than 64 bits")
    return (seed + 2**63) % 2**64 - 2**63


def counter(draw: Draw) -> list[int]:
    """The third and fourth word of the counter; the first is the key, the second half of p.

    The highest bit keeps these numbers apart from those of dropout.
    """
    if not (0 <= draw.hop <= MAX_HOP and 0 <= draw.relation <= MAX_RELATION):
        raise InputError(
            f"hop = {draw.hop} must be in [0, {MAX_HOP}] and relation = {draw.relation} "
            f"in [0, {MAX_RELATION}]"
        )
    return [draw.epoch % 2**32, 2**31 | draw.relation << 8 | draw.hop]
