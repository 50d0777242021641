"""The benchmark of a long stream, on one so short that it takes a second."""

import pytest
import torch

from neighborgraph.bench.long_stream import (
    DEFAULT_LENGTHS,
    LONG_STREAMS,
    PIECES,
    STRETCHES,
    LongStream,
    chosen_long_streams,
    long_stream_rows,
)
from neighborgraph.errors import ConfigError

TINY = LONG_STREAMS["tiny"]


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)], ids=["cpu", "cuda"]
)
def test_rows(device: str) -> None:
    rows = list(long_stream_rows(TINY, torch.device(device)))
    seen = [TINY.events // STRETCHES * (number + 1) for number in range(STRETCHES)]
    assert [(row.form, row.edges) for row in rows] == [
        (form, count) for form in ("recent", "hashed 0.9") for count in seen
    ]
    for row in rows:
        assert row.timing is not None and row.timing.runs == PIECES
        assert row.note.startswith(f"{row.edges:,} events seen: ")
        rate = float(row.note.split(": ")[1].split()[0])
        assert rate == pytest.approx(50 / row.timing.median_ms / 1e3, rel=0.01)
        assert ("GPU" in row.note) == (device == "cuda")
    used = [float(row.note.split("events/s, ")[1].split("%")[0]) for row in rows[:STRETCHES]]
    assert used == sorted(used) and used[0] < 70 and used[-1] > 99


@pytest.mark.cuda
def test_memory_of_a_gpu_does_not_grow() -> None:
    rows = list(long_stream_rows(TINY, torch.device("cuda")))
    for form in ("recent", "hashed 0.9"):
        peaks = {row.timing.peak_extra_mb for row in rows if row.form == form and row.timing}
        assert len(peaks) == 1


def test_every_event_of_a_stream_is_in_a_piece() -> None:
    for stream in LONG_STREAMS.values():
        assert STRETCHES * PIECES * stream.batches * stream.batch == stream.events


def test_ends_have_a_power_law() -> None:
    stream = LongStream("drawn", 10_000, 4, 200_000, 0)
    ends = stream.draw(torch.Generator().manual_seed(1))
    assert ends.shape == (2, 200_000)
    counts = torch.bincount(ends.flatten(), minlength=stream.nodes).sort(descending=True).values
    assert counts.shape == (10_000,)  # no end is out of range
    share = counts.cumsum(0) / counts.sum()
    for rank in (1, 10, 100, 1_000):  # u^2.5 is below r / n with probability (r / n)^(1 / 2.5)
        assert share[rank - 1].item() == pytest.approx((rank / 1e4) ** 0.4, rel=0.05)
    busy = torch.bincount(ends.flatten()).topk(10).indices
    assert busy.max() > 5_000  # spread over the ids


def test_streams_by_name() -> None:
    for device, name in DEFAULT_LENGTHS.items():
        assert chosen_long_streams([], device) == [LONG_STREAMS[name]]
    assert chosen_long_streams(["tiny"], "cuda") == [TINY]
    with pytest.raises(ConfigError, match="unknown stream 'milion'; did you mean 'million'"):
        chosen_long_streams(["milion"], "cpu")
