"""Readers of interactions in time: JODIE's tables, SNAP's temporal lists, and PyG's TemporalData.

A column of times that holds integers alone is int64 and else float64; neither goes through float32.
What is wrong is named by file, line and text.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neighborgraph.data.files import build_or_refuse
from neighborgraph.data.interaction_files import finite, malformed, read_text
from neighborgraph.data.interactions import digest_of
from neighborgraph.errors import DataFileError, DtypeError, InputError
from neighborgraph.graph import Events, EventSplit

INT64 = torch.iinfo(torch.int64)


@dataclass(frozen=True, eq=False)
class EventLog:
    """Events as they were read; positions stand for ids.

    Attributes:
        name: Of the data set.
        events: All of them, sorted by time.
        node_ids: [n] int64 original ids of the nodes. Where there are two kinds of nodes, each kind
            has ids of its own.
        num_sources: Where sources and destinations are of two kinds, the nodes below this number
            are sources and the others destinations; None where there is one kind.
        source: Where the events came from, for the reader of a record.
    """

    name: str
    events: Events
    node_ids: np.ndarray
    num_sources: int | None
    source: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 over events and original ids."""
        numbers = {"nodes": self.events.num_nodes, "sources": self.num_sources}
        kept = (t for t in vars(self.events).values() if isinstance(t, Tensor))
        return digest_of(numbers, tuple(t.cpu().numpy() for t in kept), (self.node_ids,))


@dataclass(frozen=True, eq=False, kw_only=True)
class RankedLog(EventLog):
    """Events whose last ones are to be ranked among destinations that a publisher has chosen.

    Attributes:
        val_negatives: [v, Q] int64, the destinations that each event of the validation is ranked
            among; -1 behind the last where there are fewer.
        test_negatives: [t, R], the same for the last t events.
        official: The publisher's metric of scores [p] of events and [p, Q] of their negatives,
            which are minus infinity for -1.
    """

    val_negatives: Tensor
    test_negatives: Tensor
    official: Callable[[Tensor, Tensor], float]

    @property
    def split(self) -> EventSplit:
        """The publisher's, by the numbers of events that have negatives."""
        events, test = self.events, len(self.test_negatives)
        ends = len(events) - len(self.val_negatives) - test, len(events) - test
        none = events.source.new_empty(0)
        parts = events.part(0, ends[0]), events.part(*ends), events.part(ends[1], len(events))
        return EventSplit(*parts, none)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that an `EventLog` has, and the negatives."""
        negatives = self.val_negatives.numpy(), self.test_negatives.numpy()
        return digest_of({"events": super().digest}, negatives, ())


def read_snap(path: Path) -> EventLog:
    """SNAP's temporal list: a line ``source destination time`` an event, ``#`` before comments.

    Raises:
        DataFileError: The file is absent, empty, or has a line of another form.
    """
    ends: list[list[int]] = []
    times: list[str] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            source, destination, time = words
            ends.append([node_id(source), node_id(destination)])
            finite(time)
        except ValueError:
            expected = "source destination time, with ids from 0 to 2^63 - 1"
            raise malformed(path, number, line, expected) from None
        times.append(time)
    if not ends:
        raise DataFileError(f"{path} is empty; its lines should be: source destination time")
    ids, place = np.unique(np.array(ends), return_inverse=True)
    nodes = torch.from_numpy(place.reshape(-1, 2).T.copy())
    events = build_or_refuse(path, lambda: Events.of(nodes[0], nodes[1], as_times(times), len(ids)))
    return EventLog(path.stem, events, ids, None, path.name)


def read_jodie(path: Path) -> EventLog:
    """JODIE's table: a header, then ``user,item,time,label,feature,feature,...`` an event.

    Users are the nodes 0 to U - 1 and items those from U on, each in the order of their ids.

    Raises:
        DataFileError: The file is absent, has no event, or a line of another form.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    next(reader, None)  # its header names all features by one word
    ends: list[list[int]] = []
    times: list[str] = []
    rows: list[np.ndarray] = []
    width = None
    try:
        for fields in reader:
            try:
                user, item, time, *rest = fields
                width = len(rest) if width is None else width
                if len(rest) != width or width == 0:
                    raise ValueError
                ends.append([node_id(user), node_id(item)])
                finite(time)
                rows.append(np.array(rest, dtype=np.float32))
                if not np.isfinite(rows[-1]).all():
                    raise ValueError
            except ValueError:
                expected = f"user,item,time,label and {max(width or 1, 1) - 1} features"
                raise malformed(path, reader.line_num, ",".join(fields), expected) from None
            times.append(time)
    except csv.Error as error:
        raise DataFileError(f"{path}, line {reader.line_num}: {error}") from error
    if not ends:
        raise DataFileError(f"{path} has no event; its lines should be: user,item,time,label,...")
    columns = np.array(ends).T
    (users, user), (items, item) = (np.unique(c, return_inverse=True) for c in columns)
    table = torch.from_numpy(np.stack(rows))
    events = build_or_refuse(
        path,
        lambda: Events.of(
            torch.from_numpy(user),
            torch.from_numpy(item + len(users)),
            as_times(times),
            len(users) + len(items),
            feature=table[:, 1:] if table.shape[1] > 1 else None,
            label=table[:, 0].long(),
        ),
    )
    return EventLog(path.stem, events, np.concatenate([users, items]), len(users), path.name)


def from_temporal_data(data: Any, num_nodes: int | None = None) -> Events:
    """The events of PyG's ``TemporalData``: ``src``, ``dst`` and ``t``, with ``msg`` and ``y``.

    Args:
        data: The object; its times may be int64 or float64.
        num_nodes: Number of nodes; by default PyG's, one above the largest id, which leaves out
            nodes that never occur.

    Raises:
        InputError: A part is absent, or does not fit; see `Events.of`.
        DtypeError: A part has another type.
    """
    parts: dict[str, Any] = {
        name: getattr(data, name, None) for name in ("src", "dst", "t", "msg", "y")
    }
    for name in ("src", "dst", "t"):
        if not isinstance(parts[name], Tensor):
            raise DtypeError(
                f"data.{name} must be a tensor, got {type(parts[name]).__name__}; pass PyG's "
                "TemporalData"
            )
    source, destination, time, feature, label = parts.values()
    if num_nodes is None:
        num_nodes = int(data.num_nodes) if source.numel() else 0
    return Events.of(source, destination, time, num_nodes, feature=feature, label=label)


def node_id(text: str) -> int:
    """An id, from 0 to 2^63 - 1."""
    if not (text.isascii() and text.isdigit()) or int(text) > INT64.max:
        raise ValueError
    return int(text)


def as_times(texts: Sequence[str]) -> Tensor:
    """int64 where every text is an integer of that size, else float64."""
    whole = integers(texts)
    if whole is not None:
        return torch.tensor(whole, dtype=torch.int64)
    return torch.tensor([float(text) for text in texts], dtype=torch.float64)


def integers(texts: Iterable[str]) -> list[int] | None:
    """The integers that the texts are, if all are."""
    try:
        numbers = [int(text) for text in texts]
    except ValueError:
        return None
    if not all(INT64.min <= number <= INT64.max for number in numbers):
        raise InputError("a time is outside int64; write it with a decimal point to read float64")
    return numbers
