"""The benchmark of building a Graph."""

import torch

from neighborgraph.bench.build import BUILDERS, TRANSPOSE, build_rows


def test_rows() -> None:
    rows = list(build_rows(1000, torch.device("cpu"), 0.01))
    assert [(row.provider, row.stage) for row in rows] == [
        (provider, stage) for stage in TRANSPOSE for provider in BUILDERS
    ]
    assert all(row.edges == 1000 and row.nodes == 20 and row.timing for row in rows)
    assert all(row.note.endswith("s, 1,000 edges") for row in rows)
    assert [row.ratio == 1 for row in rows if row.provider == "checked"] == [True, True]
