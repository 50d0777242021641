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
from neighborgraph.data.ogb import LEADERBOARD_SEEDS, SYNTHETIC, load_ogbn
from neighborgraph.data.ogb_format import NODE_FORMATS
from neighborgraph.data.ogb_synthetic import SyntheticSettings, write_synthetic
from neighborgraph.data.planetoid import load_planetoid
from neighborgraph.data.recommend import INTERACTIONS
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.data.temporal import EventLog, from_temporal_data, read_jodie, read_snap
from neighborgraph.errors import ConfigError
from neighborgraph.paths import data_root

Reader = Callable[[Path, bool], NodeDataset]
"""(data root, whether a download is allowed) to data set."""

NODES: dict[str, Reader] = {
    "cora": partial(load_planetoid, "cora"),
    "citeseer": partial(load_planetoid, "citeseer"),
    "pubmed": partial(load_planetoid, "pubmed"),
    "dblp": load_dblp,
    **{name: partial(load_heterophilous, name) for name in HETEROPHILOUS},
    **{name: partial(load_ogbn, name) for name in NODE_FORMATS},
    "digits": lambda root, download: load_digits(),
    "tiny": lambda root, download: load_tiny(),
}
"""Command-line name of a graph with labelled nodes to its reader."""

DATASETS = (*NODES, *INTERACTIONS)
"""All names: graphs with labelled nodes, and interactions of users with items."""

BUILTIN = ("digits", "tiny", "tiny-interactions")
"""Data sets that need no file and no network."""

OGB = tuple(NODE_FORMATS)
"""Data sets that OGB keeps and that its rules are for."""

__all__ = [
    "BUILTIN",
    "DATASETS",
    "INTERACTIONS",
    "LEADERBOARD_SEEDS",
    "NODES",
    "OGB",
    "SYNTHETIC",
    "BinaryDataset",
    "Columns",
    "EventLog",
    "InteractionLog",
    "Interactions",
    "MultiLabelDataset",
    "NodeDataset",
    "Split",
    "SyntheticSettings",
    "expect_known",
    "from_temporal_data",
    "load",
    "load_interactions",
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


def folder_of(root: Path | str | None) -> Path:
    """The data root that was given, or the usual one."""
    return data_root() if root is None else Path(root).expanduser()
