"""OGB's node data sets, read by OGB's own loader, and its own evaluator.

The package ogb 1.3.6 was made for an older Torch and for people at a keyboard. What it needs to
work without either is set up around each call and undone after it: the three classes of PyG that
its cache holds, and NumPy's arrays of numbers, are allowed to be unpickled (nothing else is), a
question is answered by an error, what it prints goes to stderr, and it asks no server whether there
is a newer one.
"""

import importlib
import io
import pickle
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from neighborgraph.data.archive import fetch_archive
from neighborgraph.data.dataset import MultiLabelDataset, NodeDataset, Split
from neighborgraph.data.files import build_or_refuse
from neighborgraph.data.ogb_files import is_synthetic, read_count
from neighborgraph.data.ogb_format import (
    NODE_FORMATS,
    Format,
    NodeFormat,
    folder_name,
    missing_files,
)
from neighborgraph.data.split import fixed
from neighborgraph.errors import BackendUnavailable, DataFileError
from neighborgraph.graph import Graph, to_undirected

T = TypeVar("T")
SYNTHETIC = "synthetic-"
"""In front of the name of a made-up data set, so that every record and table says so."""
LEADERBOARD_SEEDS = 10
"""Runs that OGB's leaderboards ask for: the seeds 0 .. 9."""
FAULTS = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OSError,
    pickle.UnpicklingError,
    zlib.error,
)
"""What reading a damaged folder may raise."""


def load_ogbn(name: str, root: Path, download: bool) -> NodeDataset:
    """Read one of ``NODE_FORMATS`` from ``root``/<name with an underscore>.

    Edges are made undirected and self-loops dropped. OGB's loader leaves a copy of what it read in
    the folder ``processed``, which later runs read instead.

    Raises:
        BackendUnavailable: The package ogb is not installed.
        DataFileError: The folder is absent, incomplete, damaged, or not what its name claims.
    """
    form = NODE_FORMATS[name]

    def read(ogb: ModuleType) -> tuple[Any, dict[str, Tensor]]:
        loaded = ogb.PygNodePropPredDataset(name, root=str(root))
        return loaded[0], loaded.get_idx_split()

    folder = find_folder(name, form, root, download)
    promise = build_or_refuse(folder, partial(read_promise, name, form, folder))
    content, split = read_tamed(folder, "nodeproppred", read)
    return build_or_refuse(folder, partial(assemble, name, form, promise, content, split))


def read_tamed(folder: Path, module: str, read: Callable[[ModuleType], T]) -> T:
    """What ``read`` gets from a module of OGB's, which must be a data set.

    Raises:
        BackendUnavailable: The package ogb is not installed.
        DataFileError: OGB's loader cannot read the folder.
    """
    ogb = import_ogb(module)
    try:
        with tamed():
            return read(ogb)
    except FAULTS as error:
        raise DataFileError(
            f"OGB's loader cannot read {folder}: {type(error).__name__}: {error}. Delete "
            f"{folder / 'processed'} if a run was killed while it was written; else copy the "
            "folder anew"
        ) from error


def find_folder(name: str, form: Format, root: Path, download: bool) -> Path:
    """The complete folder of a data set, which is fetched where it is absent and that is allowed.

    Raises:
        DataFileError: It is absent, lacks files, or cannot be fetched.
    """
    # OGB's loader prefers the second where there is one.
    folder = root / folder_name(name)
    if (root / f"{folder_name(name)}_pyg").exists():
        folder = root / f"{folder_name(name)}_pyg"
    if download and not folder.exists():
        fetch_archive(form.archive, folder, lambda found: missing_files(found, form))
    missing = list(missing_files(folder, form))
    if not missing:
        return folder
    advice = (
        f"fetch {form.archive} with --download, or some other way so that the unpacked files lie "
        f"in {folder}; or make one up with neighborgraph data synth {name} --scale 0.01 "
        f"--out {root}"
    )
    if folder.exists():
        raise DataFileError(
            f"{folder} is incomplete, as after a download that stopped half-way: "
            f"{', '.join(missing)} absent or empty. Delete it, then {advice}"
        )
    raise DataFileError(
        f"{name} not found: there is no {folder}. Pass --data-root DIR, or {advice}"
    )


@dataclass(frozen=True)
class Promise:
    """What a folder says about itself before it is read.

    Attributes:
        synthetic: Whether it is made up.
        nodes: n.
        edges: Rows of the edge list.
    """

    synthetic: bool
    nodes: int
    edges: int


def read_promise(name: str, form: Format, folder: Path) -> Promise:
    """What a folder says; one that is not made up must have the published sizes."""
    nodes = read_count(folder / "raw" / "num-node-list.csv.gz")
    edges = read_count(folder / "raw" / "num-edge-list.csv.gz")
    promise = Promise(is_synthetic(folder), nodes, edges)
    if not promise.synthetic and (nodes, edges) != (form.nodes, form.edges):
        raise ValueError(
            f"{nodes} nodes and {edges} edges, but {name} has {form.nodes} and {form.edges}"
        )
    return promise


def assemble(
    name: str, form: NodeFormat, promise: Promise, content: Any, split: dict[str, Tensor]
) -> NodeDataset:
    """Our data set from PyG's."""
    edges = stored_edges(form, promise, content)
    if content.y.is_floating_point():
        node = int(content.y.isnan().any(dim=1).nonzero()[0])
        raise ValueError(f"node {node} has no label")
    columns = form.classes if form.on_edges else 1
    if content.y.shape != (content.num_nodes, columns):
        raise ValueError(f"labels of shape {list(content.y.shape)} for {content.num_nodes} nodes")
    x = mean_of_edges(content) if form.on_edges else content.x
    edges = edges[:, edges[0] != edges[1]]
    dataset = MultiLabelDataset if form.on_edges else NodeDataset
    known_as, source = name_and_source(name, promise)
    return dataset(
        name=known_as,
        graph=to_undirected(Graph.from_edge_index(edges, num_nodes=content.num_nodes)),
        x=x.float(),
        y=content.y if form.on_edges else content.y.view(-1),
        num_classes=form.classes,
        split_rule=fixed(Split(split["train"], split["valid"], split["test"])),
        source=source,
        official=partial(evaluate_officially, name),
    )


def stored_edges(form: Format, promise: Promise, content: Any) -> Tensor:
    """[2, m] the edges as they are in the file, which are as many as were announced."""
    edges = content.edge_index
    if form.both_directions:
        # The loader puts the reverse of an edge right behind it; a Graph finds its own.
        edges = edges[:, ::2]
    if (content.num_nodes, edges.shape[1]) != (promise.nodes, promise.edges):
        raise ValueError(
            f"{content.num_nodes} nodes and {edges.shape[1]} edges were read where "
            f"{promise.nodes} and {promise.edges} were announced; if the files were replaced, "
            "delete the folder processed"
        )
    return edges


def name_and_source(name: str, promise: Promise) -> tuple[str, str]:
    """What a data set is called, and where it is from; one that is made up says so twice."""
    if promise.synthetic:
        return f"{SYNTHETIC}{name}", f"SYNTHETIC, in the format of {name}, official split"
    return name, f"OGB {name}, official split"


def mean_of_edges(content: Any) -> Tensor:
    """[n, F] mean of the features of a node's edges, as OGB's examples do; zero without any."""
    receiver, features = content.edge_index[1], content.edge_attr.float()
    total = features.new_zeros(content.num_nodes, features.shape[1])
    count = receiver.bincount(minlength=content.num_nodes).clamp(min=1)
    return total.index_add_(0, receiver, features) / count[:, None]


def evaluate_officially(name: str, labels: Tensor, predictions: Tensor) -> float:
    """What OGB's Evaluator finds: an accuracy, or a mean area under the ROC curve.

    Args:
        name: The data set.
        labels: [n] int64 labels, or [n, T] of 0 and 1.
        predictions: [n] int64 predicted classes, or [n, T] scores.

    Raises:
        BackendUnavailable: The package ogb is not installed.
    """
    evaluator = import_ogb().Evaluator(name)
    if labels.dim() == 1:
        labels, predictions = labels[:, None], predictions[:, None]
    answer = evaluator.eval({"y_true": labels, "y_pred": predictions})
    return float(answer[evaluator.eval_metric])


def import_ogb(module: str = "nodeproppred") -> ModuleType:
    """A module of OGB's, loaded without the thread that asks a server for a newer version.

    Args:
        module: ``nodeproppred`` or ``linkproppred``.

    Raises:
        BackendUnavailable: The package ogb, or one that it needs, is not installed.
    """
    before = {name: sys.modules[name] for name in ("outdated",) if name in sys.modules}
    # What is None here cannot be imported, and ogb then starts no thread.
    sys.modules["outdated"] = None  # pyright: ignore[reportArgumentType]
    try:
        return importlib.import_module(f"ogb.{module}")
    except ImportError as error:
        raise BackendUnavailable(
            f"data sets of OGB need the package ogb ({error}): pip install 'neighborgraph[ogb]'"
        ) from error
    finally:
        del sys.modules["outdated"]
        sys.modules.update(before)


@contextmanager
def tamed() -> Iterator[None]:
    """OGB's loader reads its own cache, asks nobody anything, and keeps stdout free."""
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    stdin = sys.stdin
    with ExitStack() as stack:
        allowed = [DataEdgeAttr, DataTensorAttr, GlobalStorage, *arrays_of_numbers()]
        stack.enter_context(torch.serialization.safe_globals(allowed))
        stack.enter_context(redirect_stdout(sys.stderr))
        stack.enter_context(warnings.catch_warnings())
        # pandas 3 hands out arrays that cannot be written to; nobody writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        sys.stdin = io.StringIO()
        try:
            yield
        finally:
            sys.stdin = stdin


def arrays_of_numbers() -> list[Any]:
    """What a pickled NumPy array of numbers is made of; the split of edges is in such files."""
    rebuild = np.empty(0).__reduce__()[0]
    # NumPy 1 kept the function elsewhere, and old files say so.
    places = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    numbers = (np.int64, np.int32, np.float64, np.float32)
    kinds = (type(np.dtype(number)) for number in numbers)
    return [*((rebuild, place) for place in places), np.ndarray, np.dtype, *kinds]
