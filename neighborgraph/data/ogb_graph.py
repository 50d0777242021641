"""What is asked of a made-up OGB data set, and its graph: classes, popularity, edges, features."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neighborgraph.data.ogb_files import CHUNK
from neighborgraph.data.ogb_format import OGB_FORMATS, Format
from neighborgraph.errors import ConfigError

ROUNDS = 60
"""Draws after which a graph is called too dense for its nodes."""
HINT = 0.35
"""Length of a class's mean feature beside noise of length 1 in each feature."""


@dataclass(frozen=True)
class SyntheticSettings:
    """What is asked of a made-up data set.

    Attributes:
        name: A key of ``OGB_FORMATS``.
        scale: Fraction of the real one's nodes and edges; where this would join more than an eighth
            of all pairs of nodes, in ogbl-ddi 0.16, edges are left out.
        homophily: Fraction of the edges that join two nodes of a class; that of the real one
            where it is None.
        tail: Exponent g of the power law of the degrees, P(d) ~ d^-g.
        classes: Classes in use; those of the real one where it is None. Where its nodes have none,
            these are groups of nodes, alike in labels, features or links; 8 where it is None.
        seed: Of everything drawn.
    """

    name: str
    scale: float
    homophily: float | None = None
    tail: float = 2.5
    classes: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in OGB_FORMATS:
            raise ConfigError(f"no OGB format for {self.name!r} (known: {', '.join(OGB_FORMATS)})")
        form = self.form
        if not 2 <= self.num_classes <= form.most_groups:
            raise ConfigError(f"--classes {self.classes} is outside [2, {form.most_groups}]")
        low = max(form.least_nodes, self.num_classes) / form.nodes
        if not low <= self.scale <= 10:
            raise ConfigError(f"--scale {self.scale} is outside [{low:.6f}, 10]")
        if not 0 <= self.share_inside <= 1:
            raise ConfigError(f"--homophily {self.homophily} is outside [0, 1]")
        if not 2 < self.tail <= 10:
            raise ConfigError(f"--tail {self.tail} is outside (2, 10]; the mean needs more than 2")

    @property
    def form(self) -> Format:
        """The real one's figures."""
        return OGB_FORMATS[self.name]

    @property
    def num_nodes(self) -> int:
        """Nodes, n."""
        return round(self.scale * self.form.nodes)

    @property
    def num_classes(self) -> int:
        """Classes in use."""
        return self.form.groups if self.classes is None else self.classes

    def num_edges(self, of_the_real_one: int) -> int:
        """Edges to draw: the real one's, scaled, or as many as the nodes have room for."""
        room = int(self.form.most_pairs * self.num_nodes**2 / 2)
        return min(round(self.scale * of_the_real_one), room)

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


def draw_nodes(random: np.random.Generator, settings: SyntheticSettings) -> Nodes:
    """Classes of falling size, and weights with a power law's tail up to the real one's degrees."""
    count = settings.num_nodes
    share = 1 / np.arange(1, settings.num_classes + 1)
    label = random.choice(settings.num_classes, count, p=share / share.sum())
    # One node of every class, so that none is empty however few nodes there are.
    label[: settings.num_classes] = np.arange(settings.num_classes)
    random.shuffle(label)
    weight = (1 - random.random(count)) ** (-1 / (settings.tail - 1))
    mean_degree = 2 * settings.form.edges / settings.form.nodes
    # No node shall neighbour nearly all of a small graph.
    most = min(settings.form.max_degree, settings.form.most_neighbors * count)
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


def draw_features(
    random: np.random.Generator, label: np.ndarray, settings: SyntheticSettings
) -> Iterator[np.ndarray]:
    """A row for each label: noise around the mean of its class, some rows at a time."""
    width = settings.form.features
    mean = HINT * random.standard_normal((settings.num_classes, width))
    for some in range(0, len(label), CHUNK):
        labels = label[some : some + CHUNK]
        yield mean[labels] + random.standard_normal((len(labels), width))
