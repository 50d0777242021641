"""One case measured: its rows, and peers that fail."""

from collections.abc import Callable

import pytest
import torch

from neighborgraph.bench import kernels
from neighborgraph.bench.cases import Case
from neighborgraph.bench.kernels import Bench, measure_cases
from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.peers import TITLES
from neighborgraph.bench.reduction import Reduction
from neighborgraph.bench.timer import Timing
from neighborgraph.errors import BackendUnavailable
from neighborgraph.graph import Graph

CASE = Case("aggregate", "tiny", "sum", "float32", 1, 4)
CPU = torch.device("cpu")
STAGES = ["forward", "forward+backward"]


@pytest.fixture
def graph() -> Graph:
    return Graph.from_edge_index(torch.randint(30, (2, 100)), 30)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run once instead of many times."""

    def once(runs, inputs, *, seconds) -> Timing:
        runs[0]()
        return Timing(2.0, 1.0, 3.0, 1, 0.5)

    monkeypatch.setattr(kernels, "measure", once)


@pytest.fixture
def rows_with(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Measurement]]:
    """The rows of a peer that is put in the place of PyG's."""

    def rows(peer: object, case: Case = CASE) -> list[Measurement]:
        bench = Bench(case, graph, 0.1)
        monkeypatch.setattr(type(bench.form), "peers", lambda form: {"pyg": peer})
        return [row for row in bench.rows(TITLES) if row.provider == "PyG eager"]

    return rows


@pytest.mark.parametrize(
    ("op", "form", "peers"),
    [
        ("attend", "gatv2+edge", ["pyg"]),
        ("aggregate", "weighted", ["pyg", "sparse", "sparse-kept"]),
        ("aggregate", "max", ["pyg"]),
    ],
)
def test_every_provider_in_every_pass(op: str, form: str, peers: list[str], graph: Graph) -> None:
    rows = list(Bench(Case(op, "tiny", form, "float32", 2, 4), graph, 0.1).rows(peers))
    assert [(row.provider, row.stage) for row in rows] == [
        (provider, stage)
        for stage in STAGES
        for provider in ("ours", *(TITLES[peer] for peer in peers))
    ]
    assert all(row.timing and row.ratio == 1 and not row.note for row in rows)
    assert {row.form for row in rows} == {form}


def test_no_peers(graph: Graph) -> None:
    assert [row.provider for row in Bench(CASE, graph, 0.1).rows([])] == ["ours", "ours"]


def test_wrong_peer_is_not_timed(rows_with) -> None:
    for row in rows_with(lambda graph, dtype: lambda x: 2 * x):
        assert row.timing is None and row.ratio is None
        assert "not timed: its answer differs from ours by" in row.note


def test_random_peer_is_timed_and_says_so(rows_with) -> None:
    case = Case("attend", "tiny", "dot+dropout", "float32", 1, 4)
    rows = rows_with(lambda graph, dtype: lambda q, k, v: q + k + v, case)
    assert [row.note for row in rows] == ["random, so answers not compared"] * 2
    assert all(row.timing for row in rows)


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (
            BackendUnavailable("torch-geometric is not installed"),
            "torch-geometric is not installed",
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory"),
        (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (MemoryError(), "out of memory"),
        (RuntimeError("\nno compiler\nin the path"), "failed: RuntimeError: no compiler"),
        (ValueError("x" * 1000), f"failed: ValueError: {'x' * 80}"),
        (AssertionError(), "failed: AssertionError: "),
    ],
    ids=["missing", "cuda memory", "cpu memory", "memory", "compiler", "long", "silent"],
)
def test_failure_of_a_peer_is_a_row(error: Exception, note: str, rows_with) -> None:
    def failing(graph, dtype):
        raise error

    rows = rows_with(failing)
    assert [row.stage for row in rows] == STAGES
    assert [row.note for row in rows] == [note] * 2
    assert all(row.timing is None for row in rows)


def test_warnings_of_a_peer_are_its_own(rows_with) -> None:
    def warning(graph, dtype):
        torch.testing.assert_close(1, 1)
        kernels.warnings.warn("slow", stacklevel=1)
        return lambda x: x

    assert len(rows_with(warning)) == 2


def test_our_own_failure_is_not_hidden(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(form, graph, dtype):
        def run(x):
            raise RuntimeError("a defect")

        return run

    monkeypatch.setattr(Reduction, "ours", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        list(Bench(CASE, graph, 0.1).rows([]))


def test_our_lack_of_memory_is_a_row(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(form, graph, dtype):
        def run(x):
            raise MemoryError

        return run

    monkeypatch.setattr(Reduction, "ours", greedy)
    rows = list(Bench(CASE, graph, 0.1).rows(["sparse"]))
    assert {row.note for row in rows} == {"out of memory"}
    assert all(row.ratio is None for row in rows)


def test_inputs_are_not_zero_and_repeat(graph: Graph) -> None:
    case = Case("attend", "tiny", "dot", "float16", 2, 4)
    (inputs, grad), (again, _) = (Bench(case, graph, 0.1).sets[0] for _ in range(2))
    assert list(inputs) == ["q", "k", "v"]
    assert grad.shape == (30, 2, 4)
    assert all(t.any() and t.dtype == torch.float16 for t in (*inputs.values(), grad))
    assert all(torch.equal(inputs[name], again[name]) for name in inputs)
    assert not torch.equal(inputs["k"], inputs["v"])


def test_host_rows(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        kernels, "measure_host", lambda run, device: run() and Timing.of([0.05] * 3)
    )
    rows = list(Bench(CASE, graph, 0.1).host_rows())
    assert [(row.stage, row.note) for row in rows] == [
        (f"host {stage}", "50.0 µs a call") for stage in STAGES
    ]


@pytest.fixture
def tiny_graphs(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the graphs that were asked for, all of which are the same tiny one."""
    made: list[str] = []

    def make(name: str, device: torch.device) -> Graph:
        made.append(name)
        return graph

    monkeypatch.setattr(kernels, "graph_like", make)
    return made


def test_a_graph_is_made_once_and_what_comes_next_is_said(tiny_graphs: list[str]) -> None:
    cases = [
        Case("aggregate", "a", "sum", "float32", 1, 4),
        Case("aggregate", "a", "max", "float32", 1, 4),
        Case("aggregate", "b", "sum", "float32", 1, 4),
    ]
    said: list[str] = []
    rows = list(measure_cases(cases, CPU, ["sparse"], 0.1, said.append))
    assert tiny_graphs == ["a", "b"]
    assert said[1] == "[2/3] aggregate max on a, float32 1x4, 100 edges"
    assert len(rows) == 4 + 2 + 4


def test_what_is_not_installed_is_said_once(
    tiny_graphs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    cases = [Case("aggregate", name, "sum", "float32", 1, 4) for name in "ab"]
    rows = list(measure_cases(cases, CPU, ["pyg", "sparse"], 0.1, lambda line: None))
    assert [row.graph for row in rows if row.provider == "PyG eager"] == ["a", "a"]
    assert [row.graph for row in rows if row.provider == "torch.sparse"] == ["a", "a", "b", "b"]


def test_inputs_that_do_not_fit_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def large(name: str, device: torch.device) -> Graph:
        raise MemoryError

    monkeypatch.setattr(kernels, "graph_like", large)
    with pytest.raises(
        BackendUnavailable, match=r"aggregate sum on tiny.* do not fit in memory; c"
    ):
        list(measure_cases([CASE], CPU, [], 0.1, lambda line: None))


@pytest.mark.cuda
@pytest.mark.parametrize("form", ["dot+edge", "gat", "gatv2+dropout"])
def test_cuda_rows(form: str, tiny_graphs: list[str], graph: Graph) -> None:
    del tiny_graphs
    case = Case("attend", "tiny", form, "float16", 2, 64)
    bench = Bench(case, graph.to("cuda"), 0.1)
    assert len(bench.sets) == kernels.SETS
    rows = list(bench.rows(["pyg", "floor"]))
    assert {row.stage for row in rows} == {*STAGES, "grad q", "backward"}
    assert {row.provider for row in rows} == {"ours", "PyG eager", "floor"}
    assert all(row.timing for row in rows)
    assert {row.stage for row in bench.host_rows()} == {f"host {stage}" for stage in STAGES}
