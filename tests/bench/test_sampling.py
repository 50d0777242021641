"""The benchmark of mini-batches."""

import torch

from neighborgraph.bench.sampling import DEFAULT_GRAPHS, STAGES, sampling_rows


def test_rows() -> None:
    rows = list(sampling_rows("cora", torch.device("cpu"), 0.01, peers=False))
    assert [row.stage for row in rows] == list(STAGES)
    for row in rows:
        assert (row.op, row.provider, row.graph) == ("sample", "ours", "cora-clustered")
        assert row.form == "15-10-5"
        assert row.ratio == 1
        assert row.timing is not None
        assert row.note.startswith("1024 seeds, ")


def test_every_device_has_a_graph() -> None:
    assert set(DEFAULT_GRAPHS) == {"cpu", "cuda"}
