"""Data sets, one format a file, and the one table of their names."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from neighborgraph.checks import nearest
from neighborgraph.data.builtin import load_digits
from neighborgraph.data.citationfull import load_dblp
from neighborgraph.data.dataset import NodeDataset, Split
from neighborgraph.data.heterophilous import HETEROPHILOUS, load_heterophilous
from neighborgraph.data.planetoid import load_planetoid
from neighborgraph.data.synthetic import load_tiny
from neighborgraph.errors import ConfigError
from neighborgraph.paths import data_root

Reader = Callable[[Path, bool], NodeDataset]
"""(data root, whether a download is allowed) to data set."""

DATASETS: dict[str, Reader] = {
    "cora": partial(load_planetoid, "cora"),
    "citeseer": partial(load_planetoid, "citeseer"),
    "pubmed": partial(load_planetoid, "pubmed"),
    "dblp": load_dblp,
    **{name: partial(load_heterophilous, name) for name in HETEROPHILOUS},
    "digits": lambda root, download: load_digits(),
    "tiny": lambda root, download: load_tiny(),
}
"""Command-line name to reader."""

BUILTIN = ("digits", "tiny")
"""Data sets that need no file and no network."""

__all__ = ["BUILTIN", "DATASETS", "NodeDataset", "Split", "find", "load"]


def find(name: str) -> Reader:
    """The reader of the data set called ``name``.

    Raises:
        ConfigError: There is none; names the nearest.
    """
    if name not in DATASETS:
        known = ", ".join(sorted(DATASETS))
        raise ConfigError(f"unknown data set {name!r}{nearest(name, DATASETS)} (known: {known})")
    return DATASETS[name]


def load(name: str, root: Path | str | None = None, download: bool = False) -> NodeDataset:
    """Read a data set.

    Args:
        name: A key of ``DATASETS``.
        root: Folder that holds the data sets' folders; by default ``NEIGHBORGRAPH_DATA`` or
            ``data``.
        download: Whether missing files may be fetched from their publisher.

    Raises:
        ConfigError: ``name`` is unknown.
        DataFileError: A file is absent, damaged, or not what its name claims.
    """
    read = find(name)
    return read(data_root() if root is None else Path(root).expanduser(), download)
