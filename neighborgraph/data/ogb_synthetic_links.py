"""The files of made-up ``ogbl-*`` data sets: edges, mostly within groups, and some held out.

The split is by chance, but where each edge has negatives of its own: there one edge of each chosen
source validates and one tests, as in the real one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neighborgraph.data.ogb_files import CHUNK, write_rows, write_split, write_table
from neighborgraph.data.ogb_format import LINK_FORMATS, PARTS, LinkFormat
from neighborgraph.data.ogb_graph import (
    ROUNDS,
    SyntheticSettings,
    draw_edges,
    draw_features,
    draw_nodes,
)
from neighborgraph.errors import ConfigError

YEARS = ((1980, 2018), (2018, 2019), (2019, 2020))
"""Half-open ranges of the years of the edges that train, validate and test."""
MORE_PAPERS = 0.6
"""Chance that two who wrote a paper together wrote no other that year."""
FEWEST_EDGES = 3
"""Edges that a source has of which two are held out."""


@dataclass(frozen=True)
class Pairs:
    """All pairs that have an edge, in either direction.

    Attributes:
        nodes: n.
        keys: The smaller end times n, plus the larger one; sorted.
    """

    nodes: int
    keys: np.ndarray

    @staticmethod
    def of(nodes: int, edges: np.ndarray) -> "Pairs":
        """The pairs of edges [m, 2]."""
        return Pairs(nodes, np.sort(edges.min(1) * nodes + edges.max(1)))

    def have(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Whether a and b are joined, or the same."""
        key = np.minimum(a, b) * self.nodes + np.maximum(a, b)
        place = np.searchsorted(self.keys, key)
        return (self.keys[np.minimum(place, len(self.keys) - 1)] == key) | (a == b)


def write_link_files(settings: SyntheticSettings, folder: Path) -> None:
    """Draw everything and write the files of one data set, but for its release note."""
    form, random = LINK_FORMATS[settings.name], np.random.default_rng(settings.seed)
    nodes = draw_nodes(random, settings)
    different = round(form.edges * (1 - form.repeated)) + sum(form.part_sizes[1:])
    edges = draw_edges(random, nodes, settings.num_edges(different), settings)
    hold_out = hold_out_of_sources if form.own_negatives else hold_out_by_chance
    train, val, test = hold_out(random, edges, form)
    train = with_repeats(random, train, form.repeated)

    raw = folder / "raw"
    write_table(raw, settings.num_nodes, train)
    if form.features:
        write_rows(raw / "node-feat.csv.gz", draw_features(random, nodes.label, settings), "%.4f")
    if form.node_file is not None:
        years = random.integers(*YEARS[0], size=settings.num_nodes)
        years[test[:, 0]] = YEARS[2][0]
        write_rows(raw / f"{form.node_file}.csv.gz", [years[:, None]], "%d")
    joined = Pairs.of(settings.num_nodes, edges)
    for number, part in enumerate((train, val, test)):
        values = {
            file: draw_edge_values(random, file, number, len(part)) for file in form.edge_files
        }
        content = {file.removeprefix("edge_"): column for file, column in values.items()}
        if form.own_negatives:
            content |= {"source_node": part[:, 0], "target_node": part[:, 1]}
        else:
            content["edge"] = part
        if number == 0:
            for file, column in values.items():
                write_rows(raw / f"{file}.csv.gz", [column[:, None]], "%d")
        else:
            name = "target_node_neg" if form.own_negatives else "edge_neg"
            wanted = form.negatives[number - 1]
            content[name] = draw_negatives(random, joined, part, wanted, settings)
        write_split(folder / "split" / form.split / f"{PARTS[number]}.pt", content)


def with_repeats(random: np.random.Generator, edges: np.ndarray, fraction: float) -> np.ndarray:
    """[m, 2] edges among which ``fraction`` join a pair once more, in any order."""
    count = round(len(edges) * fraction / (1 - fraction))
    again = edges[random.integers(len(edges), size=count)]
    return random.permutation(np.concatenate([edges, again]))


def hold_out_by_chance(
    random: np.random.Generator, edges: np.ndarray, form: LinkFormat
) -> list[np.ndarray]:
    """Edges that train, validate and test, in the proportions of the real one."""
    held = [size / (sum(form.part_sizes) - form.repeated * form.edges) for size in form.part_sizes]
    val, test = (max(1, round(share * len(edges))) for share in held[1:])
    return [edges[val + test :], edges[:val], edges[val : val + test]]


def hold_out_of_sources(
    random: np.random.Generator, edges: np.ndarray, form: LinkFormat
) -> list[np.ndarray]:
    """Edges that train, validate and test: of some sources one validates and one tests."""
    order = np.argsort(edges[:, 0], kind="stable")  # of a source in the order of drawing
    _, first, degree = np.unique(edges[order, 0], return_index=True, return_counts=True)
    able = first[degree >= FEWEST_EDGES]
    wanted = max(1, round(form.part_sizes[1] / sum(form.part_sizes) * len(edges)))
    chosen = random.permutation(able)[:wanted]
    val, test = order[chosen], order[chosen + 1]
    train = np.setdiff1d(np.arange(len(edges)), np.concatenate([val, test]))
    return [edges[train], edges[val], edges[test]]


def draw_edge_values(random: np.random.Generator, file: str, part: int, count: int) -> np.ndarray:
    """[m] years of a part's range, or numbers of papers written together."""
    if file == "edge_year":
        return random.integers(*YEARS[part], size=count)
    return random.geometric(MORE_PAPERS, size=count)


def draw_negatives(
    random: np.random.Generator,
    joined: Pairs,
    part: np.ndarray,
    real: int,
    settings: SyntheticSettings,
) -> np.ndarray:
    """Targets for each edge of a part, as many as in the real one; or pairs, fewer by the scale."""
    hits = LINK_FORMATS[settings.name].hits
    if hits is None:
        return draw_targets(random, joined, part[:, 0], real)
    return draw_apart(random, joined, max(hits, round(settings.scale * real)), settings)


def draw_apart(
    random: np.random.Generator, joined: Pairs, count: int, settings: SyntheticSettings
) -> np.ndarray:
    """[count, 2] different pairs of nodes without an edge.

    Raises:
        ConfigError: There are not so many.
    """
    found = np.empty(0, dtype=np.int64)
    for _ in range(ROUNDS):
        a, b = random.integers(joined.nodes, size=(2, 2 * (count - len(found)) + 64))
        apart = ~joined.have(a, b)
        key = np.minimum(a, b)[apart] * joined.nodes + np.maximum(a, b)[apart]
        new = random.permutation(np.setdiff1d(key, found))
        found = np.concatenate([found, new[: count - len(found)]])
        if len(found) == count:
            return np.stack([found // joined.nodes, found % joined.nodes], axis=1)
    raise ConfigError(
        f"{settings.name} at --scale {settings.scale} has too few nodes for {count} pairs without "
        "an edge; choose a larger --scale"
    )


def draw_targets(
    random: np.random.Generator, joined: Pairs, source: np.ndarray, count: int
) -> np.ndarray:
    """[P, count] nodes that the source of each row has no edge with; a node may come again."""
    targets = random.integers(joined.nodes, size=(len(source), count))
    step = max(1, CHUNK // count)
    for first in range(0, len(source), step):
        some, block = source[first : first + step, None], targets[first : first + step]
        sources = np.broadcast_to(some, block.shape)
        while (wrong := joined.have(sources, block)).any():
            block[wrong] = random.integers(joined.nodes, size=int(wrong.sum()))
    return targets
