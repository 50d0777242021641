"""A table in one safetensors file, verified by a digest when it is read back."""

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from neighborgraph.errors import CheckpointError
from neighborgraph.graph.file import digest
from neighborgraph.ops.neighbor_cache.table import Hashed, NeighborTable, Recent

FORMAT = "neighborgraph.neighbor_table.1"
POLICIES = {policy.__name__: policy for policy in (Recent, Hashed)}


def save_table(table: NeighborTable, path: str | os.PathLike[str]) -> None:
    """Write a table to ``path`` whole or not at all.

    Raises:
        CheckpointError: The file cannot be written; names the path and the reason.
    """
    target = Path(path)
    tensors = {name: t.detach().cpu().contiguous() for name, t in table.tensors().items()}
    policy = type(table.policy).__name__, asdict(table.policy)
    metadata = {"format": FORMAT, "policy": json.dumps(policy)}
    metadata["sha256"] = digest(tensors, metadata)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, metadata)
        os.replace(temporary, target)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CheckpointError(f"cannot write the table to {target}: {error}") from error


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
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read a table from {path}: {error}") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a table written by save_table (format {FORMAT})")
    if metadata.pop("sha256", None) != digest(tensors, metadata):
        raise CheckpointError(f"{path} is damaged: its content does not match its SHA-256")
    try:
        kind, numbers = json.loads(metadata["policy"])
        parts: dict[str, Any] = {"count": None, "feature": None, **tensors}
        table = NeighborTable(POLICIES[kind](**numbers), **parts)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} does not hold a valid table: {error}") from error
    return table if device is None else table.to(device)
