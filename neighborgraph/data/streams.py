"""The streams of events by name, and those of a file of one's own."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from neighborgraph.data.recommend import find_folder
from neighborgraph.data.temporal import EventLog, read_jodie, read_snap
from neighborgraph.data.tgb import SIZES, load_tgbl
from neighborgraph.errors import DataFileError
from neighborgraph.graph import Events

GROUPS, NODES_A_GROUP, EVENTS = 6, 10, 1500
"""Sizes of the small stream."""
AGAIN, LOYALTY = 0.5, 0.9
"""Probabilities that a source of the small stream meets its last partner again, or else its group.
"""
READERS: dict[str, Callable[[Path], EventLog]] = {".csv": read_jodie, ".txt": read_snap}
"""How a file's name ends to what reads it."""


def load_uci_messages(root: Path) -> EventLog:
    """59,835 messages among 1,899 students, SNAP's CollegeMsg.

    Raises:
        DataFileError: The file is missing or damaged.
    """
    folder = find_folder(root, "uci-messages", ("CollegeMsg.txt",))
    log = read_snap(folder / "CollegeMsg.txt")
    return replace(log, name="uci-messages", source="SNAP CollegeMsg (Panzarasa et al., 2009)")


def read_events(path: Path) -> EventLog:
    """Events of a file: JODIE's table (.csv), or SNAP's temporal list (.txt).

    Raises:
        DataFileError: The file is missing or damaged, or its name ends in another way.
    """
    if path.suffix not in READERS:
        raise DataFileError(
            f"{path} must end in .csv, for lines user,item,time,label,feature,... under a header, "
            "or in .txt, for lines source destination time"
        )
    return READERS[path.suffix](path)


def load_tiny_events() -> EventLog:
    """1,500 made-up events of 60 nodes in six groups; half of them repeat a source's last one.

    The label says whether the ends are of two groups.
    """
    random = torch.Generator().manual_seed(0)
    nodes = GROUPS * NODES_A_GROUP
    source = torch.randint(nodes, (EVENTS,), generator=random)
    stays = torch.rand(EVENTS, generator=random) < LOYALTY
    other = torch.randint(GROUPS, (EVENTS,), generator=random)
    group = torch.where(stays, source // NODES_A_GROUP, other)
    destination = group * NODES_A_GROUP
    destination += torch.randint(NODES_A_GROUP, (EVENTS,), generator=random)
    again = (torch.rand(EVENTS, generator=random) < AGAIN).tolist()
    last: dict[int, int] = {}
    for event, node in enumerate(source.tolist()):
        if again[event] and node in last:
            destination[event] = last[node]
        last[node] = int(destination[event])
    time = torch.randint(1, 60, (EVENTS,), generator=random).cumsum(0)
    label = (source // NODES_A_GROUP != destination // NODES_A_GROUP).long()
    events = Events.of(source, destination, time, nodes, label=label)
    made_up = "synthetic, nodes in groups that repeat themselves"
    return EventLog("tiny-events", events, torch.arange(nodes).numpy(), None, made_up)


STREAMS: dict[str, Callable[[Path, bool], EventLog]] = {
    **{name: partial(load_tgbl, name) for name in SIZES},
    "tiny-events": lambda root, download: load_tiny_events(),
    "uci-messages": lambda root, download: load_uci_messages(root),
}
"""Command-line name to reader, which is handed the data root and whether it may download."""
