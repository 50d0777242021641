"""The benchmark of tables of neighbours."""

import pytest
import torch

from neighborgraph.bench.neighbor_cache import (
    DEFAULT_STREAMS,
    FORMS,
    STREAMS,
    chosen_streams,
    filled,
    neighbor_cache_rows,
)
from neighborgraph.errors import ConfigError
from neighborgraph.ops import Recent

CPU = torch.device("cpu")


def test_rows() -> None:
    rows = list(neighbor_cache_rows(STREAMS["tiny"], CPU, 0.01, ["pyg", "floor", "scatter"]))
    assert [(row.form, row.stage, row.provider) for row in rows] == [
        (form, stage, title)
        for form, stages in FORMS.items()
        for stage, providers in stages.items()
        for title, _ in providers.values()
    ]
    for row in rows:
        assert row.timing is not None
        assert (row.op, row.graph, row.nodes, row.edges) == ("neighbor_cache", "tiny", 300, 50)
        assert (row.ratio == 1) == (row.provider == "ours")
        assert row.note.startswith("300 x 4, 50 events: ")
        assert ("slots/s" in row.note) == ("look-up" in row.stage)
    alone = list(neighbor_cache_rows(STREAMS["tiny"], CPU, 0.01, []))
    assert [row.provider for row in alone] == ["ours"] * 7


def test_rates_are_those_of_the_times() -> None:
    row = next(neighbor_cache_rows(STREAMS["tiny"], CPU, 0.01, []))
    assert row.timing is not None
    rate = float(row.note.split(": ")[1].split()[0])
    assert rate == pytest.approx(50 / row.timing.median_ms / 1e3, rel=0.01)


def test_tables_are_filled_and_batches_differ() -> None:
    stream = STREAMS["tiny"]
    ends = stream.ends(CPU)
    assert len({part.sum().item() for part in ends}) == len(ends)
    assert all(0 <= part.min() and part.max() < 300 for part in ends)
    play = filled(Recent(stream.slots), stream, ends)
    assert play.next == stream.fillings * stream.batch
    play.step(ends[0])
    assert play.table.last_event.item() == play.next - 1


def test_streams_by_name() -> None:
    assert chosen_streams([], "cpu") == [STREAMS[name] for name in DEFAULT_STREAMS["cpu"]]
    assert set(DEFAULT_STREAMS) == {"cpu", "cuda"}
    assert [stream.name for stream in chosen_streams(["tiny"], "cuda")] == ["tiny"]
    with pytest.raises(ConfigError, match="unknown stream 'wid'; did you mean 'wide'"):
        chosen_streams(["wid"], "cpu")
