"""A table in one sealed file."""

import json
import os
from dataclasses import asdict
from typing import Any

import torch

from neighborgraph.errors import CheckpointError
from neighborgraph.ops.neighbor_cache.table import Hashed, NeighborTable, Recent
from neighborgraph.sealed import Seal

SEAL = Seal("table", "neighborgraph.neighbor_table.1", "save_table", CheckpointError)
POLICIES = {policy.__name__: policy for policy in (Recent, Hashed)}


def save_table(table: NeighborTable, path: str | os.PathLike[str]) -> None:
    """Write a table to ``path`` whole or not at all.

    Raises:
        CheckpointError: The file cannot be written; names the path and the reason.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in table.tensors().items()}
    policy = type(table.policy).__name__, asdict(table.policy)
    SEAL.write(path, tensors, policy=json.dumps(policy))


def load_table(
    path: str | os.PathLike[str], device: torch.device | str | None = None
) -> NeighborTable:
    """Read a table written by `save_table`; `NeighborTable.restore` puts it into another.

    Args:
        path: The file.
        device: Where the table is to be.

    Raises:
        CheckpointError: The file is missing, damaged, or not a table.
    """
    tensors, metadata = SEAL.read(path)
    try:
        kind, numbers = json.loads(metadata["policy"])
        parts: dict[str, Any] = {"count": None, "feature": None, **tensors}
        table = NeighborTable(POLICIES[kind](**numbers), **parts)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} does not hold a valid table: {error}") from error
    return table if device is None else table.to(device)
