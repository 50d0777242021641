"""A graph in one safetensors file, verified by a digest when it is read back.

The edges in the caller's order and the weights are stored; the sorted forms are rebuilt.
safetensors has no checksum of its own, so one flipped bit would load as another graph: the
metadata carries a SHA-256 over everything.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from neighborgraph.errors import DataFileError
from neighborgraph.graph.csr import Graph

FORMAT = "neighborgraph.graph.1"


def save_graph(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write ``graph`` to ``path`` whole or not at all.

    Raises:
        DataFileError: The file cannot be written; names the path and the reason.
    """
    target = Path(path)
    tensors = {"edge_index": graph.edge_index.to("cpu").int().contiguous()}
    if graph.weight is not None:
        tensors["weight"] = graph.weight.detach().cpu().contiguous()
    metadata = {
        "format": FORMAT,
        "num_rows": str(graph.num_rows),
        "num_cols": str(graph.num_cols),
    }
    metadata["sha256"] = digest(tensors, metadata)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, metadata)
        os.replace(temporary, target)
    except (OSError, SafetensorError) as error:
        # Where nothing could be written there may be nothing to remove, not even a folder.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise DataFileError(f"cannot write the graph to {target}: {error}") from error


def load_graph(path: str | os.PathLike[str], *, transpose: bool = True) -> Graph:
    """Read a graph written by `save_graph`, checking its digest and its structure.

    Args:
        path: The file.
        transpose: False leaves out the transpose: less memory, no backward pass.

    Raises:
        DataFileError: The file is missing, damaged, or not a graph.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise DataFileError(f"cannot read a graph from {path}: {error}") from error
    if metadata.get("format") != FORMAT:
        raise DataFileError(f"{path} is not a graph written by save_graph (format {FORMAT})")
    if metadata.pop("sha256", None) != digest(tensors, metadata):
        raise DataFileError(f"{path} is damaged: its content does not match its SHA-256")
    try:
        size = (int(metadata["num_cols"]), int(metadata["num_rows"]))
        return Graph.from_edge_index(
            tensors["edge_index"], size, weight=tensors.get("weight"), transpose=transpose
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DataFileError(f"{path} does not hold a valid graph: {error}") from error


def digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """SHA-256 over the metadata and every tensor's name, dtype, shape and bytes."""
    total = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        total.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
