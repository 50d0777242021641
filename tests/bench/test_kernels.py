"""The kernel benchmark: its rows, its options, and peers that fail."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from neighborgraph.bench import kernels
from neighborgraph.bench.kernels import Bench, Case, main
from neighborgraph.bench.peers import PEERS
from neighborgraph.bench.timer import Timing
from neighborgraph.errors import BackendUnavailable
from neighborgraph.graph import Graph

CASE = Case("aggregate", "tiny", "float32", 1, 4)


@pytest.fixture
def graph() -> Graph:
    return Graph.from_edge_index(torch.randint(30, (2, 100)), 30)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run once instead of many times."""

    def once(run, inputs, *, seconds) -> Timing:
        run()
        return Timing(2.0, 1.0, 3.0, 1, 0.5)

    monkeypatch.setattr(kernels, "measure", once)


def rows_with(peer: object, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> list:
    monkeypatch.setitem(PEERS, "aggregate", {"peer": peer})
    return [row for row in Bench(CASE, graph).rows(True) if row.provider == "peer"]


@pytest.mark.parametrize("op", ["attend", "aggregate"])
def test_every_provider_in_every_pass(op: str, graph: Graph) -> None:
    rows = list(Bench(Case(op, "tiny", "float32", 2, 4), graph).rows(True))
    expected = {
        (provider, stage)
        for provider in ("ours", *PEERS[op])
        for stage in ("forward", "forward+backward")
    }
    assert {(row.provider, row.stage) for row in rows} == expected
    assert all(row.timing and row.ratio == 1 and not row.note for row in rows)


def test_only_ours(graph: Graph) -> None:
    assert {row.provider for row in Bench(CASE, graph).rows(False)} == {"ours"}


def test_wrong_peer_is_not_timed(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    for row in rows_with(lambda graph, dtype: lambda x: 2 * x, graph, monkeypatch):
        assert row.timing is None and row.ratio is None
        assert "not timed: its answer differs from ours by" in row.note


def test_missing_peer_is_a_row(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(graph, dtype):
        raise BackendUnavailable("torch-geometric is not installed")

    rows = rows_with(missing, graph, monkeypatch)
    assert [row.note for row in rows] == ["torch-geometric is not installed"] * 2


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_out_of_memory_is_a_row(
    error: Exception, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(graph, dtype):
        raise error

    rows = rows_with(greedy, graph, monkeypatch)
    assert [row.note for row in rows] == ["out of memory"] * 2


def test_other_errors_are_not_hidden(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph, dtype):
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        rows_with(broken, graph, monkeypatch)


def test_inputs_are_not_zero_and_repeat(graph: Graph) -> None:
    case = Case("attend", "tiny", "float16", 2, 4)
    (inputs, grad), (again, _) = case.features(graph), case.features(graph)
    assert list(inputs) == ["q", "k", "v"]
    assert all(t.any() and t.dtype == torch.float16 for t in (*inputs.values(), grad))
    assert all(torch.equal(inputs[name], again[name]) for name in inputs)
    assert not torch.equal(inputs["k"], inputs["v"])


def options(*arguments: str):
    parser = kernels.argparse.ArgumentParser()
    kernels.configure(parser)
    return parser.parse_args(arguments)


def test_typed_options_replace_defaults() -> None:
    typed = "attend --device cuda --graphs cora reddit-random --dtype bfloat16 --heads 2 --width 8"
    cases = kernels.chosen_cases(options(*typed.split()))
    names = ["cora-clustered", "reddit-random"]
    assert cases == [Case("attend", name, "bfloat16", 2, 8) for name in names]


def test_default_cases_make_each_graph_once() -> None:
    cases = kernels.chosen_cases(options("attend", "aggregate", "--device", "cuda"))
    assert set(cases) == set(kernels.DEFAULT_CASES["cuda"])
    names = [case.graph for case in cases]
    changes = 1 + sum(a != b for a, b in itertools.pairwise(names))
    assert changes == len(set(names))


def test_command_writes_table_record_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, page = tmp_path / "run.jsonl", tmp_path / "run.md"
    arguments = ["aggregate", "--graphs", "cora", "--heads", "1", "--width", "4"]
    assert main([*arguments, "--json", str(record), "--markdown", str(page)]) == 0
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert len(rows) == 2 * (1 + len(PEERS["aggregate"]))
    assert {row["graph"] for row in rows} == {"cora-clustered"}
    printed = capsys.readouterr().out
    assert printed.strip() in page.read_text()
    assert "PyG scatter" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attend", "--graphs", "corra"], "unknown graph 'corra'"),
        (["attend", "--heads", "0"], "--heads 0 must be at least 1"),
        (["attend", "--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_user_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.cuda
def test_cuda_rows(graph: Graph) -> None:
    rows = list(Bench(Case("attend", "tiny", "float16", 1, 64), graph.to("cuda")).rows(True))
    assert {row.stage for row in rows} == {"forward", "forward+backward", "grad q", "grad k, v"}
    assert {row.provider for row in rows} == {"ours", "PyG eager", "floor"}
