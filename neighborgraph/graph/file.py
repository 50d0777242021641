"""A graph in one sealed file: its edges in the caller's order; the sorted forms are rebuilt."""

import os

from neighborgraph.errors import DataFileError
from neighborgraph.graph.csr import Graph
from neighborgraph.sealed import Seal

SEAL = Seal("graph", "neighborgraph.graph.1", "save_graph", DataFileError)


def save_graph(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write ``graph`` to ``path`` whole or not at all.

    Raises:
        DataFileError: The file cannot be written; names the path and the reason.
    """
    tensors = {"edge_index": graph.edge_index.to("cpu").int().contiguous()}
    if graph.weight is not None:
        tensors["weight"] = graph.weight.detach().cpu().contiguous()
    SEAL.write(path, tensors, num_rows=str(graph.num_rows), num_cols=str(graph.num_cols))


def load_graph(path: str | os.PathLike[str], *, transpose: bool = True) -> Graph:
    """Read a graph written by `save_graph`, checking its digest and its structure.

    Args:
        path: The file.
        transpose: False leaves out the transpose: less memory, no backward pass.

    Raises:
        DataFileError: The file is missing, damaged, or not a graph.
    """
    tensors, metadata = SEAL.read(path)
    try:
        size = (int(metadata["num_cols"]), int(metadata["num_rows"]))
        return Graph.from_edge_index(
            tensors["edge_index"], size, weight=tensors.get("weight"), transpose=transpose
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DataFileError(f"{path} does not hold a valid graph: {error}") from error
