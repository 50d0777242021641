"""What is asked for is in range, and the drawn graph has it."""

import numpy as np
import pytest

from neighborgraph.data.ogb_graph import SyntheticSettings, draw_edges, draw_features, draw_nodes
from neighborgraph.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": 0.0}, r"--scale 0.0 is outside \[0.000236, 10\]"),
        ({"scale": float("nan")}, "--scale nan is outside"),
        ({"homophily": 1.5}, r"--homophily 1.5 is outside \[0, 1\]"),
        ({"tail": 2.0}, r"--tail 2.0 is outside \(2, 10\]"),
        ({"classes": 41}, r"--classes 41 is outside \[2, 40\]"),
    ],
)
def test_settings_out_of_range(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SyntheticSettings(**{"name": "ogbn-arxiv", "scale": 0.1, **settings})


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match="no OGB format for 'ogbn-mag'"):
        SyntheticSettings("ogbn-mag", 0.1)


def test_what_nothing_was_said_about() -> None:
    arxiv, ddi = SyntheticSettings("ogbn-arxiv", 0.1), SyntheticSettings("ogbl-ddi", 0.1)
    assert (arxiv.num_nodes, arxiv.num_classes, arxiv.share_inside) == (16_934, 40, 0.65)
    assert (ddi.num_nodes, ddi.num_classes, ddi.share_inside) == (427, 8, 0.4)
    assert arxiv.num_edges(1_166_243) == 116_624
    assert ddi.num_edges(1_334_889) == 14_586  # 0.16 of all pairs
    assert SyntheticSettings("ogbl-ddi", 1.0).num_edges(1_334_889) == 1_334_889


def test_nodes_edges_and_features() -> None:
    settings, random = SyntheticSettings("ogbl-collab", 0.01, classes=5), np.random.default_rng(0)
    nodes = draw_nodes(random, settings)
    assert set(nodes.label) == set(range(5))
    assert np.array_equal(nodes.label[nodes.order], np.sort(nodes.label))
    edges = draw_edges(random, nodes, 3000, settings)
    assert edges.shape == (3000, 2)
    assert (edges[:, 0] != edges[:, 1]).all()
    assert len(np.unique(np.sort(edges, axis=1), axis=0)) == 3000
    inside = nodes.label[edges[:, 0]] == nodes.label[edges[:, 1]]
    assert inside.sum() == 2400
    features = np.concatenate(list(draw_features(random, nodes.label, settings)))
    assert features.shape == (2359, 128)
    centres = [features[nodes.label == label].mean(axis=0) for label in range(5)]
    distance = [((features[:200] - centre) ** 2).sum(axis=1) for centre in centres]
    assert np.mean(np.argmin(distance, axis=0) == nodes.label[:200]) > 0.9
