"""Every example runs with --tiny, and is short."""

import subprocess
import sys
from pathlib import Path

import pytest

WHILE_PYG_LOADS = "ignore:`torch.jit:DeprecationWarning"
"""What its own code is warned of."""
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_number_of_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 80
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", WHILE_PYG_LOADS, str(path), "--tiny"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert any(name in done.stdout for name in ("accuracy", "recall@20", "average precision"))
    assert list(tmp_path.iterdir()) == []
