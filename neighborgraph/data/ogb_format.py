"""What OGB's data sets look like on disk, and what their publisher says about their sizes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

RELEASE = "RELEASE_v1.txt"
PARTS = ("train", "valid", "test")
GROUPS = 8
"""Groups of nodes in a made-up set, where the nodes of the real one have no class."""
MOST_GROUPS = 1000
"""As many as may be asked for there."""


@dataclass(frozen=True)
class Format(ABC):
    """What all data sets have in common.

    Attributes:
        nodes: n.
        edges: Rows of its edge list.
        features: F, of the nodes or, for some, of the edges; 0 where there are none.
        split: Folder of the official split.
        part_sizes: Nodes or edges that train, validate and test.
        both_directions: Whether OGB's loader adds the reverse of each stored edge.
        node_file: What every node has that the official split was made by; None is in no file.
        homophily: Fraction of the edges that join two nodes of a class.
        max_degree: Most neighbours of a node.
        archive: Where OGB keeps it.
        most_pairs: Fraction of all pairs of nodes that a made-up one joins at most, since edges
            are found by trying.
        most_neighbors: Fraction of all nodes that one of a made-up one neighbours, about at most.
    """

    nodes: int
    edges: int
    features: int
    split: str
    part_sizes: tuple[int, int, int]
    both_directions: bool
    node_file: str | None
    homophily: float
    max_degree: int
    archive: str
    most_pairs: float = 1 / 8
    most_neighbors: float = 1 / 8

    split_ending: ClassVar[str]
    """How the names of the files of a split end."""
    least_nodes: ClassVar[int]
    """The fewest that a made-up set can have."""

    @property
    @abstractmethod
    def groups(self) -> int:
        """Classes of a made-up set for which no other number is asked for."""

    @property
    @abstractmethod
    def most_groups(self) -> int:
        """The most that may be asked for."""

    @property
    @abstractmethod
    def raw_names(self) -> list[str]:
        """The tables in the folder ``raw``, beside those that all have."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of a complete folder, relative to it."""
        names = ["edge", "num-node-list", "num-edge-list", *self.raw_names]
        if self.node_file is not None:
            names.append(self.node_file)
        raw = (f"raw/{name}.csv.gz" for name in names)
        split = (f"split/{self.split}/{part}.{self.split_ending}" for part in PARTS)
        return (RELEASE, *raw, *split)


@dataclass(frozen=True, kw_only=True)
class NodeFormat(Format):
    """The published figures of one ``ogbn-*`` data set.

    Attributes:
        classes: C; where a node has several labels, how many.
        on_edges: Whether the edges have the features, and the nodes several labels of 0 and 1.
    """

    classes: int
    on_edges: bool = False

    split_ending = "csv.gz"
    least_nodes = 2

    @property
    def groups(self) -> int:
        """Its classes; nodes with several labels have none."""
        return GROUPS if self.on_edges else self.classes

    @property
    def most_groups(self) -> int:
        """Its classes, or labels."""
        return self.classes

    @property
    def raw_names(self) -> list[str]:
        """Features and labels."""
        return ["edge-feat" if self.on_edges else "node-feat", "node-label"]


@dataclass(frozen=True, kw_only=True)
class LinkFormat(Format):
    """The published figures of one ``ogbl-*`` data set, whose edge list are the training edges.

    Its nodes have no classes, so the homophily is made up; so are the most neighbours of a node.

    Attributes:
        negatives: Pairs without an edge that all edges of the validation, and of the test, are
            ranked among; or how many targets each edge is ranked among, where it has its own.
        hits: K of Hits@K; None where the metric is the mean reciprocal rank.
        repeated: About the fraction of the training edges that join a pair once more.
        edge_files: What every edge has.
        validation_input: Whether OGB allows validation edges as input when the test is judged.
    """

    negatives: tuple[int, int]
    hits: int | None = None
    repeated: float = 0.0
    edge_files: tuple[str, ...] = ()
    validation_input: bool = False

    split_ending = "pt"
    least_nodes = 64

    @property
    def groups(self) -> int:
        """Its nodes have no classes."""
        return GROUPS

    @property
    def most_groups(self) -> int:
        """A number of no further meaning."""
        return MOST_GROUPS

    @property
    def own_negatives(self) -> bool:
        """Whether each edge is ranked among negatives of its own."""
        return self.hits is None

    @property
    def raw_names(self) -> list[str]:
        """Features, where there are any, and what the edges have."""
        return [*(["node-feat"] if self.features else []), *self.edge_files]


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
LINK_FORMATS = {
    "ogbl-ddi": LinkFormat(
        nodes=4_267,
        edges=1_067_911,
        features=0,
        split="target",
        part_sizes=(1_067_911, 133_489, 133_489),
        both_directions=True,
        node_file=None,
        homophily=0.4,
        max_degree=2_000,
        archive="https://snap.stanford.edu/ogb/data/linkproppred/ddi.zip",
        most_pairs=0.16,  # the real one joins more than an eighth
        most_neighbors=0.5,
        negatives=(101_882, 95_599),
        hits=20,
    ),
    "ogbl-collab": LinkFormat(
        nodes=235_868,
        edges=1_179_052,
        features=128,
        split="time",
        part_sizes=(1_179_052, 60_084, 46_329),
        both_directions=True,
        node_file=None,
        homophily=0.8,
        max_degree=700,
        archive="https://snap.stanford.edu/ogb/data/linkproppred/collab.zip",
        negatives=(100_000, 100_000),
        hits=50,
        repeated=0.18,
        edge_files=("edge_weight", "edge_year"),
        validation_input=True,
    ),
    "ogbl-citation2": LinkFormat(
        nodes=2_927_963,
        edges=30_387_995,
        features=128,
        split="time",
        part_sizes=(30_387_995, 86_596, 86_596),
        both_directions=False,
        node_file="node_year",
        homophily=0.8,
        max_degree=10_000,
        archive="https://snap.stanford.edu/ogb/data/linkproppred/citation-v2.zip",
        negatives=(1_000, 1_000),
    ),
}
"""Name of a data set of links to its figures."""
OGB_FORMATS: dict[str, Format] = {**NODE_FORMATS, **LINK_FORMATS}
"""All names."""
OLD_NAMES = {"raw/node_species.csv.gz": "raw/species.csv.gz"}
"""Files that OGB's loader renames when it finds them under an older name."""


def folder_name(name: str) -> str:
    """The folder of a data set, as OGB names it."""
    return name.replace("-", "_")


def missing_files(folder: Path, form: Format) -> Iterator[str]:
    """The files that a folder lacks or that are empty, but for the release note, which may be."""
    for name in form.files:
        path = folder / name
        if not path.exists():
            path = folder / OLD_NAMES.get(name, name)
        if not path.is_file() or (name != RELEASE and path.stat().st_size == 0):
            yield name
