"""neighbor_cache: a table of neighbours for each node, written as events happen, read as of a time.

Insertions write into the table's tensors: a copy of a table of a million nodes would cost more than
a thousand batches of a hundred events.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from neighborgraph.checks import (
    FLOAT_DTYPES,
    expect_dtype,
    expect_same_device,
    expect_shape,
    expect_tensor,
)
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.ops.neighbor_cache.table import NeighborTable, Recent
from neighborgraph.ops.philox import threshold
from neighborgraph.ops.registration import register
from neighborgraph.ops.sample.op import signed

MAX_JOINED = 4096
"""Slots of a pair that can be joined: what a block of threads holds in shared memory."""


class Neighbors(NamedTuple):
    """The neighbours of q queries; those of a query come first in its row, or stay in their slots.

    Under `Recent` the newest comes first, and empty places are last. Under `Hashed` place j is slot
    j, which is empty or not.
    """

    neighbor: Tensor
    """[q, K] int64; -1 where there is none."""
    time: Tensor
    """[q, K] in the table's dtype; 0 where there is none."""
    event: Tensor
    """[q, K] int64; -1 where there is none."""
    slot: Tensor
    """[q, K] int64, the row of the table's tensors seen as [n * K, ...]; -1 where there is none."""
    feature: Tensor | None
    """[q, K, F]; 0 where there is none."""

    @property
    def mask(self) -> Tensor:
        """[q, K] bool, where there is a neighbour."""
        return self.event >= 0


class Joint(NamedTuple):
    """The joint neighbourhoods of p pairs, with S places each."""

    key: Tensor
    """[p, S] int64, each key once, in the order of first appearance; -1 behind the last."""
    code: Tensor
    """[p, S] int64, the codes of all columns that hold the key, joined by a bitwise or; else 0."""
    place: Tensor
    """[p, S] int64, where in ``key`` the key of each column is; -1 for none."""


def fake_insert(*_):
    """Nothing is returned."""


def fake_lookup(neighbor, time, event, count, last_time, node, until, inclusive):
    """Shapes of lookup."""
    shape = node.shape[0], neighbor.shape[1]
    return tuple(t.new_empty(shape) for t in (neighbor, time, event, event))


def fake_join(key, code):
    """Shapes of join."""
    return tuple(torch.empty_like(key, memory_format=torch.contiguous_format) for _ in range(3))


ENTRIES = "Tensor node, Tensor other, Tensor at, Tensor number, Tensor? vector, bool mirrored"
# Line i of the entries gives node [i] the neighbour other [i]; mirrored, other [i] gets node [i],
# too, once where they are the same.
insert_recent = register(
    "neighbor_cache_recent(Tensor(a!) neighbor, Tensor(b!) time, Tensor(c!) event, "
    "Tensor(d!) count, Tensor(e!)? feature, Tensor(f!) last_time, Tensor(g!) last_event, "
    f"{ENTRIES}) -> ()",
    module=__name__,
    fake=fake_insert,
)
insert_hashed = register(
    "neighbor_cache_hashed(Tensor(a!) neighbor, Tensor(b!) time, Tensor(c!) event, "
    "Tensor(d!)? feature, Tensor(e!) last_time, Tensor(f!) last_event, "
    f"{ENTRIES}, int threshold, int seed) -> ()",
    module=__name__,
    fake=fake_insert,
)
lookup_slots = register(
    "neighbor_cache_lookup(Tensor neighbor, Tensor time, Tensor event, Tensor? count, "
    "Tensor last_time, Tensor node, Tensor? until, bool inclusive) "
    "-> (Tensor neighbor, Tensor time, Tensor event, Tensor slot)",
    module=__name__,
    fake=fake_lookup,
)
join_keys = register(
    "neighbor_cache_join(Tensor key, Tensor code) -> (Tensor key, Tensor code, Tensor place)",
    module=__name__,
    fake=fake_join,
)


def insert_events(
    table: NeighborTable,
    source: Tensor,
    destination: Tensor,
    time: Tensor,
    event: Tensor,
    *,
    feature: Tensor | None = None,
) -> None:
    """Let both ends of each event remember the other; an event of a node with itself counts once.

    However the events are cut into batches, the table is the same as if they had been inserted one
    at a time. Times never fall and events always rise, within a call and from call to call;
    `neighborgraph.graph.Events` sorts and numbers a stream. All is checked before anything is
    written: with an error on the CPU, with an assertion on the device on a GPU.

    Args:
        table: Written into.
        source: [e] int64 nodes.
        destination: [e] int64 nodes.
        time: [e] in the table's time dtype.
        event: [e] int64 ids from 0, always rising.
        feature: [e, F] in the dtype of the table's features, which both slots of an event get.
            Without it, a slot under `Hashed` keeps its features while its neighbour stays, and
            every other slot that is written gets zeros. Detached.

    Raises:
        IdError: A node is out of range.
        InputError: A shape is wrong, a time is not finite or falls, an event does not rise.
        DtypeError: An argument has another type.
        DeviceError: Tensors are on different devices.
    """
    names = "source", "destination"
    insert(table, names, source, destination, time, event, feature, mirrored=True)


def insert_neighbors(
    table: NeighborTable,
    node: Tensor,
    neighbor: Tensor,
    time: Tensor,
    event: Tensor,
    *,
    feature: Tensor | None = None,
) -> None:
    """Let each node remember a neighbour, in one direction.

    Like `insert_events`, except that a neighbour may be any int64 from 0, also one without a row,
    and that an event may have several lines, one after the other. For neighbour -1, by which a
    look-up reports an empty place, nothing is written, so that neighbours of neighbours can be
    inserted as they were found.

    Args:
        table: Written into.
        node: [e] int64 nodes, whose rows are written.
        neighbor: [e] int64 ids from 0, or -1 for none.
        time: [e] in the table's time dtype, never falling.
        event: [e] int64 ids from 0, never falling, and above those of earlier calls.
        feature: [e, F]; see `insert_events`.

    Raises:
        IdError: A node is out of range.
        InputError: A shape or a neighbour is wrong, a time is not finite or falls, an event falls.
        DtypeError: An argument has another type.
        DeviceError: Tensors are on different devices.
    """
    insert(table, ("node", "neighbor"), node, neighbor, time, event, feature, mirrored=False)


def insert(table, names, node, other, time, event, feature, *, mirrored) -> None:
    """Check what can be told without looking at values, and call the policy's operator."""
    expect_table(table)
    expect_tensor(names[0], node)
    size = node.shape[0] if node.dim() else 0
    for name, tensor in zip((*names, "event"), (node, other, event), strict=True):
        expect_tensor(name, tensor)
        expect_dtype(name, tensor, (torch.int64,))
        expect_shape(name, tensor, ("e",) if tensor is node else (size,), "one an event")
    expect_time(table, "time", time, size)
    expect_feature(table, feature, size)
    expect_same_device(
        table=table.event,
        **{names[0]: node, names[1]: other},
        time=time,
        event=event,
        feature=feature,
    )
    lines = node, other, time, event, None if feature is None else feature.detach(), mirrored
    slots, last = (table.neighbor, table.time, table.event), (table.last_time, table.last_event)
    if isinstance(table.policy, Recent):
        insert_recent(*slots, table.count, table.feature, *last, *lines)
    else:
        policy = table.policy
        numbers = threshold(policy.alpha), signed(policy.seed)
        insert_hashed(*slots, table.feature, *last, *lines, *numbers)


def lookup_neighbors(
    table: NeighborTable, node: Tensor, time: Tensor | None = None, *, inclusive: bool = False
) -> Neighbors:
    """What nodes remember from before a time.

    No query may be earlier than the latest event that was inserted: what that event has displaced
    would be missing without a word. Of events at the very time of the query, which a batch that was
    cut between equal times may have inserted, none is shown.

    Args:
        table: Read only.
        node: [q] int64 nodes.
        time: [q] in the table's time dtype, the time of each query: only neighbours with an earlier
            time are shown. None shows all there are.
        inclusive: Neighbours at the time of the query are shown as well.

    Returns:
        K places for each query. There is no gradient to the table.

    Raises:
        IdError: A node is out of range (on the CPU; a GPU stops with an assertion, as for times).
        InputError: A shape is wrong, or a time is NaN or in the past.
        DtypeError: An argument has another type.
        DeviceError: Tensors are on different devices.
    """
    expect_table(table)
    expect_tensor("node", node)
    expect_dtype("node", node, (torch.int64,))
    expect_shape("node", node, ("q",))
    if time is not None:
        expect_time(table, "time", time, node.shape[0])
    expect_same_device(table=table.event, node=node, time=time)
    neighbor, at, event, slot = lookup_slots(
        table.neighbor,
        table.time,
        table.event,
        table.count,
        table.last_time,
        node,
        time,
        inclusive,
    )
    feature = None if table.feature is None else features_of(table.feature, slot)
    return Neighbors(neighbor, at, event, slot, feature)


def features_of(feature: Tensor, slot: Tensor) -> Tensor:
    """[q, K, F], the features of slots, and zeros where there is none."""
    rows = feature.detach().flatten(0, 1)
    if rows.shape[0] == 0:  # of no nodes
        return rows.new_empty(*slot.shape, rows.shape[1])
    found = rows.index_select(0, slot.clamp(min=0).flatten()).view(*slot.shape, rows.shape[1])
    return found.masked_fill_((slot < 0)[..., None], 0)


def join_neighbors(key: Tensor, code: Tensor) -> Joint:
    """The union of several neighbourhoods, and in which of them each key is.

    For NAT, a row of ``key`` holds what the source and the destination of a pair remember at each
    hop, side by side, and ``code`` says of each column which end and hop it is of: 2^hop for the
    source, 2^(3 + hop) for the destination. The code of a key in the union then is its position
    code, and ``place`` is where the features of a column are to be added.

    Args:
        key: [p, S] int64; negative for none. At most 4096 columns.
        code: [S] int64, the bits of each column.

    Returns:
        Keys of the union, their codes, and the place of each column's key.

    Raises:
        InputError: A shape is wrong.
        DtypeError: An argument has another type.
        DeviceError: Tensors are on different devices.
    """
    for name, tensor in (("key", key), ("code", code)):
        expect_tensor(name, tensor)
        expect_dtype(name, tensor, (torch.int64,))
    expect_shape("key", key, ("p", "S"))
    expect_shape("code", code, (key.shape[1],), "one a column of key")
    expect_same_device(key=key, code=code)
    if key.shape[1] > MAX_JOINED:
        raise InputError(f"key has {key.shape[1]} columns; at most {MAX_JOINED} can be joined")
    return Joint(*join_keys(key, code))


def expect_table(table: object) -> None:
    """Refuse anything but a table, and say how to make one."""
    if not isinstance(table, NeighborTable):
        raise DtypeError(
            f"table must be a NeighborTable, got {type(table).__name__}; make one with "
            "NeighborTable.empty(num_nodes, Recent(32))"
        )


def expect_time(table: NeighborTable, name: str, time: Tensor, size: int) -> None:
    """Refuse times that are not [size] in the dtype of the table's."""
    expect_tensor(name, time)
    if time.dtype == torch.float32:
        raise DtypeError(
            f"{name} is float32, in which times beyond 2^24 are no longer distinct; read it as "
            f"{table.time.dtype} from the start"
        )
    expect_dtype(name, time, (table.time.dtype,))
    expect_shape(name, time, (size,))


def expect_feature(table: NeighborTable, feature: Tensor | None, size: int) -> None:
    """Refuse features that do not fit into the table's slots."""
    if feature is None:
        return
    if table.feature is None:
        raise InputError("feature is given, but the table has none; make it with channels=...")
    expect_tensor("feature", feature)
    expect_dtype("feature", feature, FLOAT_DTYPES)
    expect_dtype("feature", feature, (table.feature.dtype,))
    expect_shape("feature", feature, (size, table.feature.shape[2]), "as wide as the table's")
