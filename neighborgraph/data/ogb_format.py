"""What an OGB node data set looks like on disk, and what its publisher says about its size."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LABEL = "SYNTHETIC"
"""First word of a made-up set's release note, and of the name kept inside of each of its files."""
RELEASE = "RELEASE_v1.txt"
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class NodeFormat:
    """The published figures of one ``ogbn-*`` data set.

    Attributes:
        nodes: n.
        edges: Rows of its edge list.
        features: F, of the nodes, or of the edges where ``on_edges``.
        classes: C; where a node has several labels, how many.
        split: Folder of the official split.
        part_sizes: Nodes that train, validate and test.
        both_directions: Whether OGB's loader adds the reverse of each stored edge.
        node_file: What every node has that the official split was made by; None is in no file.
        homophily: Fraction of the edges that join two nodes of a class.
        max_degree: Most neighbours of a node.
        archive: Where OGB keeps it.
        on_edges: Whether the edges have the features, and the nodes several labels of 0 and 1.
    """

    nodes: int
    edges: int
    features: int
    classes: int
    split: str
    part_sizes: tuple[int, int, int]
    both_directions: bool
    node_file: str | None
    homophily: float
    max_degree: int
    archive: str
    on_edges: bool = False

    @property
    def raw_files(self) -> tuple[str, ...]:
        """The files in the folder ``raw``."""
        features = "edge-feat" if self.on_edges else "node-feat"
        names = ["edge", "num-node-list", "num-edge-list", features, "node-label"]
        if self.node_file is not None:
            names.append(self.node_file)
        return tuple(f"{name}.csv.gz" for name in names)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of a complete folder, relative to it."""
        raw = (f"raw/{name}" for name in self.raw_files)
        split = (f"split/{self.split}/{part}.csv.gz" for part in PARTS)
        return (RELEASE, *raw, *split)


NODE_FORMATS = {
    "ogbn-arxiv": NodeFormat(
        nodes=169_343,
        edges=1_166_243,
        features=128,
        classes=40,
        split="time",
        part_sizes=(90_941, 29_799, 48_603),
        both_directions=False,
        node_file="node_year",
        homophily=0.65,
        max_degree=13_161,
        archive="https://snap.stanford.edu/ogb/data/nodeproppred/arxiv.zip",
    ),
    "ogbn-products": NodeFormat(
        nodes=2_449_029,
        edges=61_859_140,
        features=100,
        classes=47,
        split="sales_ranking",
        part_sizes=(196_615, 39_323, 2_213_091),
        both_directions=True,
        node_file=None,
        homophily=0.81,
        max_degree=17_481,
        archive="https://snap.stanford.edu/ogb/data/nodeproppred/products.zip",
    ),
    "ogbn-proteins": NodeFormat(
        nodes=132_534,
        edges=39_561_252,
        features=8,
        classes=112,
        split="species",
        part_sizes=(86_619, 21_236, 24_679),
        both_directions=True,
        node_file="node_species",
        homophily=0.6,
        max_degree=7_750,
        archive="https://snap.stanford.edu/ogb/data/nodeproppred/proteins.zip",
        on_edges=True,
    ),
}
"""Name of a data set to its figures; proteins have no classes, so their homophily is made up."""
OLD_NAMES = {"raw/node_species.csv.gz": "raw/species.csv.gz"}
"""Files that OGB's loader renames when it finds them under an older name."""


def folder_name(name: str) -> str:
    """The folder of a data set, as OGB names it."""
    return name.replace("-", "_")


def is_synthetic(folder: Path) -> bool:
    """Whether any file of a complete folder says that it was made up."""
    if (folder / RELEASE).read_bytes().startswith(LABEL.encode()):
        return True
    files = folder.glob("*/**/*.csv.gz")
    return any(kept_name(path).startswith(LABEL) for path in files)


def kept_name(path: Path) -> str:
    """The name that a gzip file carries inside; empty without one, or where it is no such file."""
    with path.open("rb") as file:
        head = file.read(300)
    has_only_a_name = head[:3] == b"\x1f\x8b\x08" and head[3:4] == b"\x08"
    return head[10:].partition(b"\0")[0].decode("latin1") if has_only_a_name else ""


def read_count(path: Path) -> int:
    """The number that a file of one line holds.

    Raises:
        ValueError: It holds something else, or is damaged.
    """
    try:
        return int(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} is truncated or damaged ({error})") from error


def missing_files(folder: Path, form: NodeFormat) -> Iterator[str]:
    """The files that a folder lacks or that are empty, but for the release note, which may be."""
    for name in form.files:
        path = folder / name
        if not path.exists():
            path = folder / OLD_NAMES.get(name, name)
        if not path.is_file() or (name != RELEASE and path.stat().st_size == 0):
            yield name
