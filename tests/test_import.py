"""Importing the package is quick, quiet and lean; each check runs in a fresh interpreter."""

import json
import subprocess
import sys

SECONDS_BEYOND_TORCH = 3.0
LOADED_ON_FIRST_USE = (
    "numba",
    "cuda.core",
    "torch_geometric",
    "ogb",
    "sklearn",
    "scipy",
    "matplotlib",
)

PROBE = """
import json, sys, time
import torch
torch_brings = set(sys.modules)
before = time.perf_counter()
import neighborgraph
seconds = time.perf_counter() - before
print(json.dumps({
    "seconds": seconds,
    "modules": sorted(set(sys.modules) - torch_brings),
    "cuda_initialized": torch.cuda.is_initialized(),
    "public": sorted(neighborgraph.__all__),
    "missing": [n for n in neighborgraph.__all__ if not hasattr(neighborgraph, n)],
}))
"""


def probe(*options: str) -> dict:
    """What a fresh interpreter reports after importing the package, and nothing else printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", PROBE],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_import_is_lean_and_quick() -> None:
    seen = probe()
    assert "neighborgraph.graph" in seen["modules"]
    assert [name for name in LOADED_ON_FIRST_USE if name in seen["modules"]] == []
    assert seen["cuda_initialized"] is False
    assert seen["seconds"] < SECONDS_BEYOND_TORCH


def test_every_public_name_exists() -> None:
    seen = probe("-O")
    assert seen["missing"] == []
    assert {"Graph", "aggregate", "attend"} <= set(seen["public"])
