"""TGB's streams of links, read by TGB's own loader, and its own evaluator.

The package py-tgb keeps negatives and a cache of what it has read as pickles, which could run
anything when they are read. Around each call only what tables of numbers are made of may be
unpickled, a question is answered by an error, and what is printed goes to stderr.
"""

import importlib
import io
import pickle
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neighborgraph.data.archive import fetch_archive
from neighborgraph.data.files import build_or_refuse
from neighborgraph.data.ogb import FAULTS
from neighborgraph.data.temporal import RankedLog
from neighborgraph.errors import BackendUnavailable, DataFileError
from neighborgraph.graph import Events

SIZES = {
    "tgbl-wiki": (9_227, 157_474),
    "tgbl-review": (352_637, 4_873_540),
    "tgbl-coin": (638_486, 22_809_486),
    "tgbl-comment": (994_790, 44_314_507),
    "tgbl-flight": (18_143, 67_169_570),
}
"""Name of a stream to its published numbers of nodes and events."""
PARTS = ("val", "test")


def load_tgbl(name: str, root: Path, download: bool) -> RankedLog:
    """Read one of ``SIZES`` from ``root``/<name with an underscore>.

    TGB's loader leaves a copy of what it read beside the files, which later runs read instead.

    Raises:
        BackendUnavailable: The package py-tgb is not installed.
        DataFileError: The folder is absent, incomplete, damaged, or not what its name claims.
    """
    loader = import_tgb("linkproppred.dataset")
    folder = find_folder(name, root, download).resolve()
    try:
        with tamed():
            loaded = loader.LinkPropPredDataset(
                name, root="", meta_dict={"dir_name": str(folder)}, download=False
            )
            loaded.load_val_ns()
            loaded.load_test_ns()
    except FAULTS as error:
        raise DataFileError(
            f"TGB's loader cannot read {folder}: {type(error).__name__}: {error}. Delete the files "
            f"ml_{name}*.pkl in it if a run was killed while they were written, or if another "
            "version of pandas wrote them; else copy the folder anew"
        ) from error
    return build_or_refuse(folder, partial(assemble, name, loaded))


def find_folder(name: str, root: Path, download: bool) -> Path:
    """The complete folder of a stream, which is fetched where it is absent and that is allowed.

    Raises:
        DataFileError: It is absent, lacks files, or cannot be fetched.
    """
    folder = root / name.replace("-", "_")
    archive = import_tgb("utils.info").DATA_URL_DICT[name]
    if download and not folder.exists():
        fetch_archive(archive, folder, partial(missing_files, name))
    missing = missing_files(name, folder)
    if not missing:
        return folder
    advice = (
        f"fetch {archive} with --download, or some other way so that the unpacked files lie in "
        f"{folder}"
    )
    if folder.exists():
        raise DataFileError(
            f"{folder} is incomplete, as after a download that stopped half-way, or of an older "
            f"version: {', '.join(missing)} absent or empty. Delete it, then {advice}"
        )
    raise DataFileError(
        f"{name} not found: there is no {folder}. Pass --data-root DIR, or {advice}"
    )


def missing_files(name: str, folder: Path) -> list[str]:
    """The files of TGB's present version that a folder lacks."""
    version = import_tgb("utils.info").DATA_VERSION_DICT[name]
    end = f"_v{version}" if version > 1 else ""
    files = [f"{name}_edgelist{end}.csv", *(f"{name}_{part}_ns{end}.pkl" for part in PARTS)]
    if name == "tgbl-flight":
        files.append(f"airport_node_feat{end}.csv")
    places = {file: folder / file for file in files}
    return [file for file, path in places.items() if not path.is_file() or not path.stat().st_size]


def assemble(name: str, loaded: Any) -> RankedLog:
    """Our stream from TGB's; events of one time stay in the order of its file."""
    content = loaded.full_data
    source, destination, time = (
        torch.as_tensor(content[key].astype(np.int64))
        for key in ("sources", "destinations", "timestamps")
    )
    nodes = int(torch.maximum(source.max(), destination.max())) + 1
    if (nodes, len(time)) != SIZES[name]:
        expected = " nodes and ".join(map(str, SIZES[name]))
        raise ValueError(f"{nodes} nodes and {len(time)} events, but {name} has {expected} events")
    feature = torch.as_tensor(np.asarray(content["edge_feat"], dtype=np.float32))
    if not feature.isfinite().all():
        event = int((~feature.isfinite()).nonzero()[0, 0])
        raise ValueError(f"a feature of event {event} is NaN or infinite")
    events = Events.of(source, destination, time, nodes, feature=feature)
    val, test = (int(mask.sum()) for mask in (loaded.val_mask, loaded.test_mask))
    begin, middle = len(events) - val - test, len(events) - test
    given = loaded.negative_sampler.eval_set
    return RankedLog(
        name=name,
        events=events,
        node_ids=np.arange(nodes),
        num_sources=None,
        source=f"TGB {name}, official split and negatives",
        val_negatives=negatives_of(events.part(begin, middle), given["val"], "val"),
        test_negatives=negatives_of(events.part(middle, len(events)), given["test"], "test"),
        official=partial(evaluate_officially, name),
    )


def negatives_of(events: Events, given: Mapping[tuple, Any], part: str) -> Tensor:
    """[p, Q] the destinations that each event is ranked among; those of fewer end in -1."""
    if not isinstance(given, dict):
        raise TypeError(f"the negatives of {part} are a {type(given).__name__}, and no dict")
    columns = (events.source.tolist(), events.destination.tolist(), events.time.tolist())
    try:
        rows = [given[key] for key in zip(*columns, strict=True)]
    except KeyError as error:
        raise ValueError(f"{part} has no negatives for the event {error.args[0]}") from error
    found = np.full((len(rows), max(map(len, rows), default=0)), -1, dtype=np.int64)
    for place, row in zip(found, rows, strict=True):
        place[: len(row)] = row
    negatives = torch.from_numpy(found)
    counts = torch.tensor([len(row) for row in rows])
    is_given = torch.arange(found.shape[1]) < counts[:, None]
    wrong = is_given & ((negatives < 0) | (negatives >= events.num_nodes))
    if wrong.any():
        place, column = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"negative {int(negatives[place, column])} of event {place} of {part} is outside "
            f"[0, {events.num_nodes})"
        )
    return negatives


def evaluate_officially(name: str, edges: Tensor, negatives: Tensor) -> float:
    """What TGB's Evaluator finds: the mean of its reciprocal ranks.

    Args:
        name: The stream.
        edges: [P] scores of events.
        negatives: [P, Q] scores of their negatives, minus infinity where there are fewer.

    Raises:
        BackendUnavailable: The package py-tgb is not installed.
    """
    evaluator = import_tgb("linkproppred.evaluate").Evaluator(name)
    scores = {"y_pred_pos": edges, "y_pred_neg": negatives}
    return float(evaluator.eval({**scores, "eval_metric": ["mrr"]})["mrr"])


def import_tgb(module: str) -> ModuleType:
    """A module of TGB's.

    Raises:
        BackendUnavailable: The package py-tgb, or one that it needs, is not installed.
    """
    try:
        return importlib.import_module(f"tgb.{module}")
    except ImportError as error:
        raise BackendUnavailable(
            f"streams of TGB need the package py-tgb ({error}): pip install 'neighborgraph[tgb]'"
        ) from error


@contextmanager
def tamed() -> Iterator[None]:
    """TGB's loader unpickles numbers alone, asks nobody anything, and keeps stdout free."""
    loader, sampler = (import_tgb(f"linkproppred.{m}") for m in ("dataset", "negative_sampler"))
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(sys.stderr))
        stack.enter_context(warnings.catch_warnings())
        # It leaves files to be closed by the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        stack.enter_context(replaced(sys, "stdin", io.StringIO()))
        read = partial(unpickle, loader.pd)
        for owner in (loader, sampler):
            stack.enter_context(replaced(owner, "load_pkl", read))
        stack.enter_context(replaced(loader.pd, "read_pickle", read))
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another value of an attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def unpickle(pandas: ModuleType, path: str) -> Any:
    """What a pickle holds, if that is made of numbers, arrays, tables, dicts and tuples alone."""
    with open(path, "rb") as file:
        return NumbersOnly(file, parts_of_tables(pandas)).load()


class NumbersOnly(pickle.Unpickler):
    """Refuses whatever is not among the allowed pairs of module and name."""

    def __init__(self, file: Any, allowed: frozenset[tuple[str, str]]) -> None:
        super().__init__(file)
        self.allowed = allowed

    def find_class(self, module: str, name: str) -> Any:  # noqa: D102
        module = module.replace("numpy.core.", "numpy._core.")  # as NumPy 1 called it
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no number or table")
        return super().find_class(module, name)


class Recorder(pickle.Unpickler):
    """Keeps which pairs of module and name were asked for."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.asked: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:  # noqa: D102
        self.asked.add((module, name))
        return super().find_class(module, name)


@cache
def parts_of_tables(pandas: ModuleType) -> frozenset[tuple[str, str]]:
    """What arrays, numbers and tables are made of by the pandas and NumPy that are installed."""
    array = np.arange(3)
    table = pandas.DataFrame({"u": array, "ts": array / 2})
    examples = (array, array.reshape(3, 1)[::2], np.int64(1), np.float64(1), table)
    asked: set[tuple[str, str]] = set()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        for example in examples:
            recorder = Recorder(io.BytesIO(pickle.dumps(example, protocol)))
            recorder.load()
            asked |= recorder.asked
    return frozenset(asked)
