"""Which cases are measured: the defaults, or what was typed."""

import itertools

import pytest

from neighborgraph.bench.cases import DEFAULTS, SINGLE, Case, chosen_cases
from neighborgraph.bench.graphs import full_name
from neighborgraph.errors import ConfigError

BOTH = ["attend", "aggregate"]
ALL = [*BOTH, "layers", "models"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_default_cases_are_real_and_make_each_graph_once(device: str) -> None:
    cases = chosen_cases(ALL, device)
    assert sorted(map(str, cases)) == sorted(map(str, DEFAULTS[device]))
    assert all(full_name(case.graph) == case.graph for case in cases)
    assert all(str(case.parsed) == case.form for case in cases)
    names = [case.graph for case in cases]
    changes = 1 + sum(a != b for a, b in itertools.pairwise(names))
    assert changes == len(set(names))


def test_defaults_of_a_gpu_hold_what_the_limits_are_about() -> None:
    cases = {str(case) for case in DEFAULTS["cuda"]}
    assert {
        "attend dot on arxiv-clustered, float16 1x128",
        "attend dot+edge on mesh, float16 16x64",
        "attend gatv2+edge on arxiv-clustered, float16 4x32",
        "attend dot on skewed, float32 1x128",
        "attend dot on uniform, float32 1x128",
        "attend dot on products-random, float16 1x128",
        "aggregate softmax on arxiv-clustered, float32 1x64",
        "layers TransformerConv on products-clustered, float32 4x32",
        "layers SAGEConv+fresh on minibatch, float32 1x128",
    } <= cases


def test_one_operator() -> None:
    cases = chosen_cases(["aggregate"], "cpu")
    assert {case.op for case in cases} == {"aggregate"}
    assert len(cases) == 5


def test_typed_options_are_combined() -> None:
    cases = chosen_cases(
        ["attend"],
        "cuda",
        graphs=["cora", "reddit-random"],
        scores=["gat", "dot+edge"],
        dtypes=["bfloat16", "float32"],
        heads=["2x8"],
    )
    assert cases == [
        Case("attend", graph, form, dtype, 2, 8)
        for graph in ("cora-clustered", "reddit-random")
        for dtype in ("bfloat16", "float32")
        for form in ("gat", "dot+edge")
    ]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_not_typed_is_one_case(device: str) -> None:
    assert chosen_cases(ALL, device, scores=["dot"]) == [SINGLE[device, op] for op in ALL]


def test_a_layer_has_its_own_shape() -> None:
    cases = chosen_cases(["layers"], "cuda", layers=["GATConv", "GCNConv+fresh"], graphs=["mesh"])
    assert cases == [
        Case("layers", "mesh", "GATConv", "float32", 4, 32),
        Case("layers", "mesh", "GCNConv+fresh", "float32", 1, 128),
    ]
    with pytest.raises(
        ConfigError, match="--heads is not for layers, which have widths of their own"
    ):
        chosen_cases(["layers"], "cpu", heads=["4x8"])


def test_cases_of_one_graph_stand_together_and_once() -> None:
    cases = chosen_cases(BOTH, "cpu", graphs=["cora", "mesh", "cora-clustered"])
    assert [(case.graph, case.op) for case in cases] == [
        (graph, op) for graph in ("cora-clustered", "mesh") for op in BOTH
    ]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"graphs": ["corra"]}, "unknown graph 'corra'"),
        ({"scores": ["dto"]}, "unknown score 'dto'"),
        ({"reductions": ["sum"]}, "--reductions is for aggregate; type neighborgraph bench aggr"),
        ({"layers": ["GATConv"]}, "--layers is for layers; type neighborgraph bench layers"),
        ({"dtypes": ["float61"]}, r"unknown dtype 'float61'; known are .*'float64'\?"),
        ({"heads": ["4"]}, "--heads '4' must look like 4x32"),
        ({"heads": ["0x8"]}, "--heads '0x8' must look like 4x32"),
        ({"heads": ["-1x8"]}, "--heads '-1x8' must look like 4x32"),
        ({"heads": ["8x99999"]}, "--heads '8x99999' must look like 4x32"),
    ],
)
def test_refusals(typed: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen_cases(["attend"], "cpu", **typed)
