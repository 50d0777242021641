"""Events: a stream of interactions in time, sorted once, cut into batches and into splits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from neighborgraph.checks import expect_dtype, expect_same_device, expect_shape, expect_tensor
from neighborgraph.errors import DtypeError, InputError
from neighborgraph.graph.structure import expect_ids, expect_size, expect_values

TIME_DTYPES = (torch.int64, torch.float64)
TRAIN_UNTIL, VAL_UNTIL = 0.70, 0.85
"""The usual quantiles of time at which training and validation end."""


@dataclass(frozen=True, eq=False)
class Events:
    """Interactions in the order of (time, event id); made by `Events.of`.

    A batch or a part of a split is again `Events`, whose events keep their ids.

    Attributes:
        source: [e] int64 nodes.
        destination: [e] int64 nodes.
        time: [e] int64 or float64, never falling.
        event: [e] int64 ids, always rising: the place of an event in the whole stream.
        num_nodes: Number of nodes n; ids are below it.
        feature: Optional [e, ...] features.
        label: Optional [e, ...] labels.
    """

    source: Tensor
    destination: Tensor
    time: Tensor
    event: Tensor
    num_nodes: int
    feature: Tensor | None = None
    label: Tensor | None = None

    @staticmethod
    def of(
        source: Tensor,
        destination: Tensor,
        time: Tensor,
        num_nodes: int,
        *,
        feature: Tensor | None = None,
        label: Tensor | None = None,
    ) -> "Events":
        """Sort interactions by time and number them; those of one time keep their order.

        Args:
            source: [e] int64 nodes.
            destination: [e] int64 nodes.
            time: [e] int64 or float64; never converted, so that nanoseconds stay exact.
            num_nodes: Number of nodes n.
            feature: Optional [e, ...].
            label: Optional [e, ...].

        Raises:
            InputError: A shape, an id or a time is wrong; names the position and what is allowed.
            DtypeError: An argument has another type. float32 times are refused, because they are
                not distinct beyond 2^24.
            DeviceError: Tensors are on different devices.
        """
        expect_size("num_nodes", num_nodes)
        for name, nodes in (("source", source), ("destination", destination)):
            expect_values(name, nodes)
            expect_dtype(name, nodes, (torch.int64,))
        expect_shape("source", source, ("e",))
        size = source.shape[0]
        expect_shape("destination", destination, (size,), "one an event")
        expect_times("time", time, size)
        for name, values in (("feature", feature), ("label", label)):
            if values is not None:
                expect_tensor(name, values)
                expect_shape(name, values, (size, *map(str, values.shape[1:])), "a row an event")
        expect_same_device(
            source=source, destination=destination, time=time, feature=feature, label=label
        )
        expect_ids("source", source, num_nodes, "num_nodes")
        expect_ids("destination", destination, num_nodes, "num_nodes")
        time, order = time.sort(stable=True)
        return Events(
            source=source[order],
            destination=destination[order],
            time=time,
            event=torch.arange(size, device=source.device),
            num_nodes=num_nodes,
            feature=None if feature is None else feature[order],
            label=None if label is None else label[order],
        )

    def __len__(self) -> int:
        return self.source.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.source.device

    @property
    def nodes(self) -> Tensor:
        """The nodes that occur, ascending."""
        return torch.cat([self.source, self.destination]).unique()

    def to(self, device: torch.device | str) -> "Events":
        """The same events on another device."""
        return self._each(lambda values: values.to(device))

    def part(self, begin: int, end: int) -> "Events":
        """The events at positions ``begin`` to ``end - 1``, as views."""
        return self._each(lambda values: values[begin:end])

    def where(self, mask: Tensor) -> "Events":
        """The events at which a mask [e] holds."""
        return self._each(lambda values: values[mask])

    def batches(self, size: int) -> Iterator["Events"]:
        """Consecutive batches of ``size`` events; the last may have fewer.

        Raises:
            InputError: ``size`` is below 1.
        """
        expect_positive("size", size)
        return (self.part(begin, begin + size) for begin in range(0, len(self), size))

    def windows(self, span: int | float) -> Iterator["Events"]:
        """The events of each window of ``span`` units of time, in which there are any.

        Window w holds the times from ``first + w * span`` to just before the next window, where
        ``first`` is the time of the first event.

        Raises:
            InputError: ``span`` is not positive, or an integer is needed.
        """
        expect_positive("span", span)
        if len(self) == 0:
            return iter(())
        if self.time.dtype == torch.int64:
            if not isinstance(span, int):
                raise DtypeError(f"span = {span!r} must be an int, because the times are int64")
            length = int(self.time[-1]) - int(self.time[0])
            if length > torch.iinfo(torch.int64).max:
                raise InputError(f"the times span {length} units, more than 63 bits can count")
        window = (self.time - self.time[0]).div(span, rounding_mode="floor")
        sizes = window.unique_consecutive(return_counts=True)[1]
        ends = sizes.cumsum(0).tolist()
        return (self.part(*bounds) for bounds in pairwise([0, *ends]))

    def split(self, train_until: float = TRAIN_UNTIL, val_until: float = VAL_UNTIL) -> "EventSplit":
        """Cut at two quantiles of time; events of one time are all on the earlier side.

        Args:
            train_until: Quantile of the last time to train on.
            val_until: Quantile of the last time to validate on.

        Raises:
            InputError: The quantiles are not 0 < train_until < val_until < 1, or a part is empty.
        """
        if not 0 < train_until < val_until < 1:
            raise InputError(
                f"train_until = {train_until} and val_until = {val_until} must be quantiles with "
                "0 < train_until < val_until < 1"
            )
        ends = [0, self.end_of(train_until), self.end_of(val_until), len(self)]
        for name, (begin, end) in zip(("train", "val", "test"), pairwise(ends), strict=True):
            if begin == end:
                raise InputError(
                    f"the {name} part of {len(self)} events is empty with train_until = "
                    f"{train_until} and val_until = {val_until}; events of one time stay together"
                )
        train, val, test = (self.part(*bounds) for bounds in pairwise(ends))
        return EventSplit(train, val, test, self.source.new_empty(0))

    def end_of(self, quantile: float) -> int:
        """How many events are no later than a quantile of time."""
        if len(self) == 0:
            return 0
        last = self.time[int(quantile * (len(self) - 1))]
        return int(torch.searchsorted(self.time, last, right=True))

    def split_inductive(
        self,
        fraction: float,
        seed: int,
        train_until: float = TRAIN_UNTIL,
        val_until: float = VAL_UNTIL,
    ) -> "EventSplit":
        """Cut like `split`, and hide nodes from training.

        The hidden nodes are drawn from those that occur after the training part, and no event of
        theirs is left in it. `EventSplit.is_new` tells which other events have one.

        Args:
            fraction: Hidden nodes among all nodes that occur, in (0, 1).
            seed: Of the draw, equal on every device.
            train_until: See `split`.
            val_until: See `split`.

        Raises:
            InputError: ``fraction`` is outside (0, 1), or nothing is left to hide or to train on.
        """
        if not 0 < fraction < 1:
            raise InputError(f"fraction = {fraction} must be in (0, 1)")
        whole = self.split(train_until, val_until)
        later = torch.cat([whole.val.nodes, whole.test.nodes]).unique()
        count = int(fraction * self.nodes.numel())
        if not 1 <= count <= later.numel():
            raise InputError(
                f"fraction = {fraction} of {self.nodes.numel()} nodes would hide {count}, of "
                f"{later.numel()} nodes that occur after training; at least 1 can be hidden and at "
                "most all of these"
            )
        order = torch.randperm(later.numel(), generator=torch.Generator().manual_seed(seed))
        hidden = later[order[:count].to(later.device)].sort().values
        train = whole.train.where(~has_end_in(whole.train, hidden))
        if len(train) == 0:
            raise InputError(
                f"every event of the training part has one of the {count} hidden nodes; hide a "
                "smaller fraction"
            )
        return replace(whole, train=train, hidden=hidden)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Events":
        """The same with a change of every tensor."""
        return replace(
            self,
            **{
                name: None if values is None else change(values)
                for name, values in vars(self).items()
                if name != "num_nodes"
            },
        )

    def __repr__(self) -> str:
        what = "" if self.feature is None else f", features {list(self.feature.shape[1:])}"
        return f"Events({len(self)} events of {self.num_nodes} nodes{what}, {self.device})"


@dataclass(frozen=True, eq=False)
class EventSplit:
    """Events to train on, to select by and to test on, one after the other in time.

    Attributes:
        train: Without events of hidden nodes.
        val: After ``train``.
        test: After ``val``.
        hidden: [h] int64 nodes that training does not see, ascending; none in a split by time.
    """

    train: Events
    val: Events
    test: Events
    hidden: Tensor

    def is_new(self, events: Events) -> Tensor:
        """[e] bool, whether an event has a hidden node."""
        return has_end_in(events, self.hidden)


def has_end_in(events: Events, nodes: Tensor) -> Tensor:
    """[e] bool, whether one end of an event is among ``nodes``."""
    return torch.isin(events.source, nodes) | torch.isin(events.destination, nodes)


def expect_times(name: str, time: Tensor, size: int) -> None:
    """Refuse times that are not [size] int64 or float64 and finite."""
    expect_values(name, time)
    if time.dtype == torch.float32:
        raise DtypeError(
            f"{name} is float32, in which times beyond 2^24 are no longer distinct; read it as "
            "int64 or float64 from the start"
        )
    expect_dtype(name, time, TIME_DTYPES)
    expect_shape(name, time, (size,), "one an event")
    wrong = (~time.isfinite()).nonzero()
    if wrong.numel():
        position = int(wrong[0])
        raise InputError(
            f"{name}[{position}] = {float(time[position])} must be finite; correct it or leave the "
            "event out"
        )


def expect_positive(name: str, value: int | float) -> None:
    """Refuse what is not a number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DtypeError(f"{name} must be a number, got {value!r}")
    if not value > 0:
        raise InputError(f"{name} = {value} must be above 0")
