"""Made-up data sets in the folders and files of the real ``ogbn-*`` ones, labelled as made up."""

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from neighborgraph.data.ogb_format import (
    LABEL,
    NODE_FORMATS,
    PARTS,
    RELEASE,
    NodeFormat,
    folder_name,
)
from neighborgraph.errors import ConfigError, DataFileError

CHUNK = 2**17
"""Rows that are turned into text at a time."""
ROUNDS = 60
"""Draws after which a graph is called too dense for its nodes."""
HINT = 0.35
"""Length of a class's mean feature beside noise of length 1 in each feature."""
NODE_VALUES = {
    "node_year": ((1998, 2018), (2018, 2019), (2019, 2021)),
    "node_species": ((1, 6), (6, 7), (7, 9)),
}
"""Half-open ranges of the years or species of the nodes that train, validate and test."""
GROUPS = 8
"""Groups of nodes, in the place of classes, where a node has several labels."""
OFTEN, SELDOM = 0.85, 0.05
"""How often a node has a label that its group has, or has not."""


@dataclass(frozen=True)
class SyntheticSettings:
    """What is asked of a made-up data set.

    Attributes:
        name: A key of ``NODE_FORMATS``.
        scale: Fraction of the real one's nodes and edges; where this would join more than an eighth
            of all pairs of nodes, edges are left out.
        homophily: Fraction of the edges that join two nodes of a class; that of the real one
            where it is None.
        tail: Exponent g of the power law of the degrees, P(d) ~ d^-g.
        classes: Classes in use; those of the real one where it is None. Where a node has several
            labels, these are groups of nodes with alike labels, 8 where it is None.
        seed: Of everything drawn.
    """

    name: str
    scale: float
    homophily: float | None = None
    tail: float = 2.5
    classes: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in NODE_FORMATS:
            raise ConfigError(f"no OGB format for {self.name!r} (known: {', '.join(NODE_FORMATS)})")
        form = NODE_FORMATS[self.name]
        low = max(2, self.num_classes) / form.nodes
        if not low <= self.scale <= 10:
            raise ConfigError(f"--scale {self.scale} is outside [{low:.6f}, 10]")
        if not 0 <= self.share_inside <= 1:
            raise ConfigError(f"--homophily {self.homophily} is outside [0, 1]")
        if not 2 < self.tail <= 10:
            raise ConfigError(f"--tail {self.tail} is outside (2, 10]; the mean needs more than 2")
        if not 2 <= self.num_classes <= form.classes:
            raise ConfigError(f"--classes {self.classes} is outside [2, {form.classes}]")

    @property
    def form(self) -> NodeFormat:
        """The real one's figures."""
        return NODE_FORMATS[self.name]

    @property
    def num_classes(self) -> int:
        """Classes in use."""
        if self.classes is not None:
            return self.classes
        return GROUPS if self.form.on_edges else self.form.classes

    @property
    def share_inside(self) -> float:
        """Fraction of the edges within a class."""
        return self.form.homophily if self.homophily is None else self.homophily


@dataclass(frozen=True)
class Nodes:
    """Classes and popularity of the nodes.

    Attributes:
        label: [n] class of each node.
        order: [n] nodes, those of a class side by side.
        total: [n + 1] sum of the weights of the nodes before each place of ``order``.
        first: [C + 1] place where each class begins.
    """

    label: np.ndarray
    order: np.ndarray
    total: np.ndarray
    first: np.ndarray


def write_synthetic(settings: SyntheticSettings, out: Path) -> Path:
    """Write a data set to ``out``/<folder as OGB names it>, whole or not at all.

    The same settings give the same bytes.

    Args:
        settings: What to make.
        out: The data root; created when absent.

    Returns:
        The data set's folder.

    Raises:
        ConfigError: The graph cannot have so many edges.
        DataFileError: The folder exists, or cannot be written.
    """
    target = out / folder_name(settings.name)
    if target.exists():
        raise DataFileError(f"{target} exists; delete it or choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{target.name}.") as temporary:
            folder = Path(temporary) / target.name
            write_files(settings, folder)
            shutil.move(folder, target)
    except OSError as error:
        raise DataFileError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def write_files(settings: SyntheticSettings, folder: Path) -> None:
    """Draw everything and write the files of one data set."""
    form, random = settings.form, np.random.default_rng(settings.seed)
    count = round(settings.scale * form.nodes)
    nodes = draw_nodes(random, count, settings)
    # A small graph is at most an eighth full: different pairs are found by trying.
    wanted = min(round(settings.scale * form.edges), count**2 // 16)
    edges = draw_edges(random, nodes, wanted, settings)
    part = draw_parts(random, count, form)
    raw, split = folder / "raw", folder / "split" / form.split
    for place in (raw, split, folder / "processed"):
        place.mkdir(parents=True)
    write_rows(raw / "edge.csv.gz", [edges], "%d")
    write_rows(raw / "num-node-list.csv.gz", [np.array([[count]])], "%d")
    write_rows(raw / "num-edge-list.csv.gz", [np.array([[len(edges)]])], "%d")
    if form.node_file is not None:
        first, end = np.array(NODE_VALUES[form.node_file]).T
        values = random.integers(first[part], end[part])
        write_rows(raw / f"{form.node_file}.csv.gz", [values[:, None]], "%d")
    if form.on_edges:
        labels = draw_label_sets(random, nodes.label, settings)
        inside = nodes.label[edges[:, 0]] * (nodes.label[edges[:, 0]] == nodes.label[edges[:, 1]])
        write_rows(raw / "node-label.csv.gz", [labels], "%d")
        write_rows(raw / "edge-feat.csv.gz", draw_features(random, inside, settings), "%.4f")
    else:
        write_rows(raw / "node-label.csv.gz", [nodes.label[:, None]], "%d")
        write_rows(raw / "node-feat.csv.gz", draw_features(random, nodes.label, settings), "%.4f")
    for number, name in enumerate(PARTS):
        write_rows(split / f"{name}.csv.gz", [np.flatnonzero(part == number)[:, None]], "%d")
    note = f"{LABEL}: made up by neighborgraph data synth, not the real {settings.name}.\n"
    (folder / RELEASE).write_text(note + json.dumps(asdict(settings)) + "\n")


def draw_nodes(random: np.random.Generator, count: int, settings: SyntheticSettings) -> Nodes:
    """Classes of falling size, and weights with a power law's tail up to the real one's degrees."""
    share = 1 / np.arange(1, settings.num_classes + 1)
    label = random.choice(settings.num_classes, count, p=share / share.sum())
    # One node of every class, so that none is empty however few nodes there are.
    label[: settings.num_classes] = np.arange(settings.num_classes)
    random.shuffle(label)
    weight = (1 - random.random(count)) ** (-1 / (settings.tail - 1))
    mean_degree = 2 * settings.form.edges / settings.form.nodes
    # No node shall neighbour nearly all of a small graph.
    most = min(settings.form.max_degree, count / 8)
    weight = weight.clip(max=weight.mean() * max(1.0, most / mean_degree))
    order = np.argsort(label, kind="stable")
    total = np.concatenate([[0.0], weight[order].cumsum()])
    first = np.searchsorted(label[order], np.arange(settings.num_classes + 1))
    return Nodes(label, order, total, first)


def draw_edges(
    random: np.random.Generator, nodes: Nodes, count: int, settings: SyntheticSettings
) -> np.ndarray:
    """[m, 2] edges, no pair of nodes twice, none of a node with itself, in any order.

    Raises:
        ConfigError: The nodes have not so many pairs.
    """
    inside = round(settings.share_inside * count)
    pairs = [
        draw_pairs(random, nodes, inside, settings, within=True),
        draw_pairs(random, nodes, count - inside, settings, within=False),
    ]
    edges = nodes.order[np.concatenate(pairs)]
    turned = random.random(len(edges)) < 0.5
    edges[turned] = edges[turned, ::-1]
    return edges[random.permutation(len(edges))]


def draw_pairs(
    random: np.random.Generator, nodes: Nodes, count: int, settings: SyntheticSettings, within: bool
) -> np.ndarray:
    """[count, 2] different pairs of places, both ends of one class or of two."""
    size = len(nodes.order)
    label = nodes.label[nodes.order]
    found = np.empty(0, dtype=np.int64)
    for _ in range(ROUNDS):
        missing = count - len(found)
        if not missing:
            return np.stack([found // size, found % size], axis=1)
        a = pick(random, nodes, np.zeros(missing + 64, int), np.full(missing + 64, size))
        if within:
            b = pick(random, nodes, nodes.first[label[a]], nodes.first[label[a] + 1])
        else:
            b = pick(random, nodes, np.zeros_like(a), np.full_like(a, size))
        wanted = (a != b) & ((label[a] == label[b]) == within)
        pair = np.minimum(a, b) * size + np.maximum(a, b)
        # Sorted here: numpy's unique hashes, which takes ten times as long for such numbers.
        pair = np.sort(pair[wanted])
        new = np.setdiff1d(pair[np.diff(pair, prepend=-1) != 0], found, assume_unique=True)
        found = np.concatenate([found, random.permutation(new)[:missing]])
    raise ConfigError(
        f"{settings.name} at --scale {settings.scale} has too few nodes for its edges "
        f"{'within' if within else 'between'} classes; choose a larger --scale, fewer --classes "
        "or another --homophily"
    )


def pick(
    random: np.random.Generator, nodes: Nodes, first: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """For each range [first, end) of places one place, drawn by weight."""
    low, high = nodes.total[first], nodes.total[end]
    place = np.searchsorted(nodes.total, low + (high - low) * random.random(len(low)), "right") - 1
    return np.clip(place, first, end - 1)


def draw_parts(random: np.random.Generator, count: int, form: NodeFormat) -> np.ndarray:
    """[n] 0, 1 or 2: the node trains, validates or tests; as many of each as in the real one."""
    bounds = np.cumsum(form.part_sizes)[:2] / form.nodes * count
    # At least one node in every part.
    bounds = np.maximum(bounds.round(), [1, 2])
    part = np.searchsorted(bounds, np.arange(count), side="right")
    return random.permutation(part)


def draw_label_sets(
    random: np.random.Generator, group: np.ndarray, settings: SyntheticSettings
) -> np.ndarray:
    """[n, T] labels of 0 and 1, alike within a group."""
    has = random.random((settings.num_classes, settings.form.classes)) < 0.25
    chance = np.where(has, OFTEN, SELDOM)[group]
    return (random.random(chance.shape) < chance).astype(np.int64)


def draw_features(
    random: np.random.Generator, label: np.ndarray, settings: SyntheticSettings
) -> Iterator[np.ndarray]:
    """A row for each label: noise around the mean of its class, some rows at a time."""
    width = settings.form.features
    mean = HINT * random.standard_normal((settings.num_classes, width))
    for some in range(0, len(label), CHUNK):
        labels = label[some : some + CHUNK]
        yield mean[labels] + random.standard_normal((len(labels), width))


def write_rows(path: Path, blocks: Iterator[np.ndarray] | list[np.ndarray], form: str) -> None:
    """Write rows of numbers as OGB does: compressed, separated by commas, without a header."""
    # The name kept inside says that the file is made up, wherever it is moved to.
    name = f"{LABEL}-{path.name.removesuffix('.gz')}"
    with path.open("wb") as file:
        with gzip.GzipFile(name, "wb", compresslevel=1, fileobj=file, mtime=0) as out:
            for block in blocks:
                for some in range(0, len(block), CHUNK):
                    out.write(as_text(block[some : some + CHUNK], form))


def as_text(rows: np.ndarray, form: str) -> bytes:
    """Lines of numbers; one format for many is far faster than a format for each."""
    line = ",".join([form] * rows.shape[1]) + "\n"
    return (line * len(rows) % tuple(rows.ravel().tolist())).encode()
