"""Data sets, one format a file, and the one table of their names."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from neighborgraph.checks import nearest
from neighborgraph.data.builtin import load_digits
from neighborgraph.data.citationfull import load_dblp
from neighborgraph.data.dataset import BinaryDataset, MultiLabelDataset, NodeDataset, Split
from neighborgraph.data.heterophilous import HETEROPHILOUS, load_heterophilous
from neighborgraph.data.interaction_files import Columns, read_interactions
from neighborgraph.data.interaction_log import InteractionLog
from neighborgraph.data.interactions import Interactions
from neighborgraph.data.link_dataset import HeldOut, LinkDataset, OwnNegatives, SharedNegatives
from neighborgraph.data.ogb import LEADERBOARD_SEEDS, SYNTHETIC, load_ogbn
from neighborgraph.data.ogb_format import LINK_FORMATS, NODE_FORMATS, OGB_FORMATS
from neighborgraph.data.ogb_graph import SyntheticSettings
from neighborgraph.data.ogb_links import load_ogbl
from neighborgraph.data.ogb_synthetic import write_synthetic
from neighborgraph.data.planetoid import FOLDERS, load_planetoid, load_planetoid_random
from neighborgraph.data.recommend import INTERACTIONS
from neighborgraph.data.streams import STREAMS, read_events
from neighborgraph.data.synthetic import load_tiny, load_tiny_links
from neighborgraph.data.temporal import (
    EventLog,
    RankedLog,
    from_temporal_data,
    read_jodie,
    read_snap,
)
from neighborgraph.data.tgb import SIZES as TGBL
from neighborgraph.errors import ConfigError
from neighborgraph.paths import data_root

Reader = Callable[[Path, bool], NodeDataset]
"""(data root, whether a download is allowed) to data set."""

NODES: dict[str, Reader] = {
    **{name: partial(load_planetoid, name) for name in FOLDERS},
    **{f"{name}-random": partial(load_planetoid_random, name) for name in FOLDERS},
    "dblp": load_dblp,
    **{name: partial(load_heterophilous, name) for name in HETEROPHILOUS},
    **{name: partial(load_ogbn, name) for name in NODE_FORMATS},
    "digits": lambda root, download: load_digits(),
    "tiny": lambda root, download: load_tiny(),
}
"""Command-line name of a graph with labelled nodes to its reader."""

LinkReader = Callable[[Path, bool], LinkDataset]
"""(data root, whether a download is allowed) to data set."""

LINKS: dict[str, LinkReader] = {
    **{name: partial(load_ogbl, name) for name in LINK_FORMATS},
    "tiny-links": lambda root, download: load_tiny_links(),
}
"""Command-line name of a graph whose links are to be predicted to its reader."""

DATASETS = (*NODES, *LINKS, *INTERACTIONS, *STREAMS)
"""All names: graphs with labelled nodes or links to predict, interactions of users with items,
streams of events."""

BUILTIN = ("digits", "tiny", "tiny-events", "tiny-interactions", "tiny-links")
"""Data sets that need no file and no network."""

TGB = tuple(TGBL)
"""Streams of events that TGB keeps and that its rules are for."""

OGB = tuple(OGB_FORMATS)
"""Data sets that OGB keeps and that its rules are for."""

__all__ = [
    "BUILTIN",
    "DATASETS",
    "INTERACTIONS",
    "LEADERBOARD_SEEDS",
    "LINKS",
    "NODES",
    "OGB",
    "STREAMS",
    "SYNTHETIC",
    "TGB",
    "BinaryDataset",
    "Columns",
    "EventLog",
    "HeldOut",
    "InteractionLog",
    "Interactions",
    "LinkDataset",
    "MultiLabelDataset",
    "NodeDataset",
    "OwnNegatives",
    "RankedLog",
    "SharedNegatives",
    "Split",
    "SyntheticSettings",
    "expect_known",
    "from_temporal_data",
    "load",
    "load_events",
    "load_interactions",
    "load_links",
    "read_events",
    "read_interactions",
    "read_jodie",
    "read_snap",
    "write_synthetic",
]


def expect_known(name: str, readers: Collection[str], what: str = "data set") -> None:
    """Refuse a name that is not among ``readers``.

    Raises:
        ConfigError: There is none called that; names the nearest.
    """
    if name not in readers:
        known = ", ".join(sorted(readers))
        raise ConfigError(f"unknown {what} {name!r}{nearest(name, readers)} (known: {known})")


def load(name: str, root: Path | str | None = None, download: bool = False) -> NodeDataset:
    """Read a graph with labelled nodes.

    Args:
        name: A key of ``NODES``.
        root: Folder that holds the data sets' folders; by default ``NEIGHBORGRAPH_DATA`` or
            ``data``.
        download: Whether missing files may be fetched from their publisher.

    Raises:
        ConfigError: ``name`` is unknown.
        DataFileError: A file is absent, damaged, or not what its name claims.
    """
    expect_known(name, NODES)
    return NODES[name](folder_of(root), download)


def load_links(name: str, root: Path | str | None = None, download: bool = False) -> LinkDataset:
    """Read a graph whose links are to be predicted.

    Args:
        name: A key of ``LINKS``.
        root: Folder that holds the data sets' folders; by default ``NEIGHBORGRAPH_DATA`` or
            ``data``.
        download: Whether missing files may be fetched from their publisher.

    Raises:
        ConfigError: ``name`` is unknown.
        DataFileError: A file is absent, damaged, or not what its name claims.
    """
    expect_known(name, LINKS)
    return LINKS[name](folder_of(root), download)


def load_interactions(name: str, root: Path | str | None = None) -> InteractionLog:
    """Read the interactions of users with items; for a file of your own see `read_interactions`.

    Args:
        name: A key of ``INTERACTIONS``.
        root: Folder that holds the data sets' folders; by default ``NEIGHBORGRAPH_DATA`` or
            ``data``.

    Raises:
        ConfigError: ``name`` is unknown.
        DataFileError: A file is absent, damaged, or not what its name claims.
    """
    expect_known(name, INTERACTIONS)
    return INTERACTIONS[name](folder_of(root))


def load_events(name: str, root: Path | str | None = None, download: bool = False) -> EventLog:
    """Read a stream of events; for a file of your own see `read_events`.

    Args:
        name: A key of ``STREAMS``.
        root: Folder that holds the data sets' folders; by default ``NEIGHBORGRAPH_DATA`` or
            ``data``.
        download: Whether missing files may be fetched from their publisher, where that is TGB.

    Raises:
        ConfigError: ``name`` is unknown.
        DataFileError: A file is absent, damaged, or not what its name claims.
    """
    expect_known(name, STREAMS)
    return STREAMS[name](folder_of(root), download)


def folder_of(root: Path | str | None) -> Path:
    """The data root that was given, or the usual one."""
    return data_root() if root is None else Path(root).expanduser()
