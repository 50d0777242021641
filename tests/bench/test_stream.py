"""The benchmark of streams, on one so short that it takes seconds."""

import torch

from neighborgraph.bench import stream
from neighborgraph.bench.stream import made_up, stream_rows
from neighborgraph.data.streams import load_tiny_events


def test_rows(monkeypatch) -> None:
    monkeypatch.setattr(stream, "BATCH_SIZES", (50,))
    rows = list(stream_rows(torch.device("cpu"), 0.01, load_tiny_events().events))
    assert [(row.form, row.stage) for row in rows] == [
        (name, stage) for name in ("nat", "nat-sum") for stage in ("training batch", "scored batch")
    ]
    for row in rows:
        assert row.timing is not None
        assert row.timing.median_ms > 0
        assert row.note.startswith("batch 50, ")


def test_made_up_stream_repeats_itself() -> None:
    events = made_up()
    assert (len(events), events.num_nodes) == (59_835, 1_899)
    pair = events.source * events.num_nodes + events.destination
    assert 0.3 < pair.unique().numel() / len(events) < 0.7
    assert (events.time.diff() > 0).all()
