"""One timed row: what ran, on what and how fast; a line of JSON and a line of a table."""

import importlib.metadata
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from neighborgraph.bench import machine
from neighborgraph.bench.timer import Timing
from neighborgraph.errors import DataFileError


@dataclass(frozen=True)
class Circumstances:
    """What all rows of one run of a benchmark share.

    Attributes:
        hardware: The GPU, or the CPU and the number of threads.
        versions: Package to version.
        commit: Of the checkout, with ``-dirty`` when it was changed; empty outside of one.
        date: UTC, ISO 8601.
        command: What was typed.
    """

    hardware: str
    versions: dict[str, str]
    commit: str
    date: str
    command: str

    @staticmethod
    def of(device: torch.device) -> "Circumstances":
        """Here and now."""
        versions = machine.versions()
        try:
            versions["torch-geometric"] = importlib.metadata.version("torch-geometric")
        except importlib.metadata.PackageNotFoundError:
            versions["torch-geometric"] = "not installed"
        date = datetime.now(UTC).isoformat(timespec="seconds")
        return Circumstances(hardware(device), versions, machine.commit(), date, typed_command())


@dataclass(frozen=True)
class Measurement:
    """One row.

    Attributes:
        op: Name of the operator.
        provider: Who computed it.
        graph: Name of the graph.
        form: Which score or reduction.
        nodes: Receivers of the graph.
        edges: Its edges.
        dtype: Of the features, or of the node numbers.
        heads: Heads H of the features; 0 where there are none.
        width: Channels D of a head; 0 where there are none.
        stage: Which pass was timed; ``pass`` in a record.
        timing: The times; None when there are none.
        ratio: Median over ours in the same pass; None when one of them is missing.
        note: Why there are no times, or what to know of them.
    """

    op: str
    provider: str
    graph: str
    nodes: int
    edges: int
    form: str
    dtype: str
    heads: int
    width: int
    stage: str
    timing: Timing | None
    ratio: float | None
    note: str

    def record(self, circumstances: Circumstances) -> dict[str, object]:
        """All fields by their names in a record."""
        fields = asdict(self)
        times = fields.pop("timing") or dict.fromkeys(Timing.__annotations__)
        fields["pass"] = fields.pop("stage")
        return fields | times | asdict(circumstances)

    @staticmethod
    def of(fields: Mapping[str, Any]) -> "Measurement":
        """The row behind a record."""
        names = [name for name in Measurement.__annotations__ if name not in ("stage", "timing")]
        timing = None
        if fields["median_ms"] is not None:
            timing = Timing(**{name: fields[name] for name in Timing.__annotations__})
        return Measurement(
            **{name: fields[name] for name in names}, stage=fields["pass"], timing=timing
        )


HEADER = (
    *("op", "form", "graph", "dtype", "H x D", "pass", "provider"),
    *("median ms", "p20 - p80", "peak extra MiB", "x ours", "note"),
)


def table(rows: Sequence[Measurement]) -> str:
    """All rows under one header: aligned for a terminal, and valid Markdown."""
    cells = [HEADER, *(row_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADER))]
    lines = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def row_cells(row: Measurement) -> tuple[str, ...]:
    """One row as text."""
    shape = f"{row.heads} x {row.width}" if row.heads else "-"
    what = row.op, row.form, row.graph, row.dtype, shape, row.stage, row.provider
    timing = row.timing
    if timing is None:
        return (*what, "-", "-", "-", "-", row.note)
    return (
        *what,
        figure(timing.median_ms),
        f"{figure(timing.p20_ms)} - {figure(timing.p80_ms)}",
        "-" if timing.peak_extra_mb is None else figure(timing.peak_extra_mb),
        "-" if row.ratio is None else f"{row.ratio:.2f}",
        row.note,
    )


def figure(value: float) -> str:
    """Three significant digits, and never an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def page(
    rows: Sequence[Measurement], circumstances: Circumstances, record: str = "", picture: str = ""
) -> str:
    """A Markdown page: where and how it was measured, then the table.

    Args:
        rows: The measurements.
        circumstances: What they share.
        record: Name of the file, in the page's own folder, that holds them as JSON lines; empty
            where there is none.
        picture: Name of the plot beside it, likewise.
    """
    versions = ", ".join(f"{name} {version}" for name, version in circumstances.versions.items())
    return (
        "---\norphan: true\n---\n\n"  # reached by links, in no table of contents
        f"# Kernel times of {circumstances.date[:10]}\n\n"
        f"- Hardware: {circumstances.hardware}\n"
        f"- Versions: {versions}\n"
        f"- Commit: {circumstances.commit or 'unknown'}\n"
        f"- Command: `{circumstances.command}`\n"
        + (f"- Records: [{record}]({record})\n" if record else "")
        + (f"\n![The rows below, drawn]({picture})\n" if picture else "")
        + f"\n{table(rows)}\n"
    )


def append_record(path: Path, row: Measurement, circumstances: Circumstances) -> None:
    """Add one JSON line to a file at once, so that a run that is killed keeps its rows.

    Raises:
        DataFileError: The file cannot be written.
    """
    with writing(path), path.open("a") as file:
        file.write(json.dumps(row.record(circumstances)) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file and the folders that lead to it.

    Raises:
        DataFileError: It cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of which file it is that an operating system complains."""
    try:
        yield
    except OSError as error:
        raise DataFileError(f"cannot write {path}: {error.strerror}") from error


def hardware(device: torch.device) -> str:
    """The GPU's name, or the CPU's and the number of threads that Torch and our kernels use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = "CPU"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
                break
    return f"{name}, {torch.get_num_threads()} threads"


def typed_command() -> str:
    """The command line without the path of this installation."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = [Path(sys.argv[0]).name]
    if spec is not None:
        program = ["python", "-m", spec.name.removesuffix(".__main__")]
    return shlex.join([*program, *sys.argv[1:]])
