"""The kit that runs PyG's own tests reaches PyG's modules and notices a wrong class."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

KIT = Path(__file__).parent / "pyg"


def load(file: str, name: str) -> ModuleType:
    """A file of the kit as a module."""
    spec = importlib.util.spec_from_file_location(name, KIT / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


swap = load("swap.py", "pyg_kit_swap")
kit = load("__main__.py", "pyg_kit_main")

TESTS = """
import torch
import torch_geometric.nn

def outputs(layer):
    return layer(torch.ones(3, 2), torch.tensor([[0, 1], [1, 2]]))

def test_layer():
    assert outputs(torch_geometric.nn.GCNConv(2, 2)).any()

def test_model():
    assert outputs(torch_geometric.nn.GCN(2, 4, 1)).any()

def test_another_layer():
    assert outputs(torch_geometric.nn.SAGEConv(2, 2)).any()

def test_rounding():
    assert torch.allclose(torch.tensor(3e-8), torch.tensor(0.0))
    assert not torch.allclose(torch.tensor(3e-6), torch.tensor(0.0))
    assert not torch.allclose(torch.tensor(3e-8), torch.tensor(0.0), atol=1e-8)

def test_that_fails_anyhow():
    assert False
"""

PLANTED = """
import torch_geometric.nn

class GCNConv(torch_geometric.nn.GCNConv):
    def forward(self, x, edge_index, edge_weight=None):
        return 0 * x[:, : self.out_channels]
"""


def test_a_planted_class_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test_tiny.py").write_text(TESTS)
    (tmp_path / "planted.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pair = "torch_geometric.nn.GCNConv=planted.GCNConv"
    found = kit.compare(tmp_path, "test_tiny.py", [pair], tmp_path / "results")
    assert found.new_failures == ["test.test_tiny::test_layer", "test.test_tiny::test_model"]
    assert found.shared_failures == ["test.test_tiny::test_that_fails_anyhow"]
    assert str(found) == (
        "PyG: 1 failed, 4 passed; ours: 3 failed, 2 passed (1 comparisons up to rounding)"
    )


def test_every_module_of_a_package_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs:
        pass

    class Ours:
        pass

    modules = {name: ModuleType(name) for name in ("pack", "pack.nn", "pack.nn.conv", "packed")}
    for name, module in modules.items():
        module.Theirs = module.Alias = Theirs
        module.other = 3
        monkeypatch.setitem(sys.modules, name, module)
    assert swap.swap_all({Theirs: Ours}, "pack") == 6
    assert [module.Alias for module in modules.values()] == [Ours, Ours, Ours, Theirs]
    assert all(module.other == 3 for module in modules.values())


@pytest.mark.parametrize(
    ("theirs", "ours", "new"),
    [
        ({"a": "passed"}, {"a": "passed"}, []),
        ({"a": "passed"}, {"a": "failed"}, ["a"]),
        ({"a": "skipped"}, {"a": "failed"}, ["a"]),
        ({"a": "failed"}, {"a": "failed"}, []),
        ({"a": "failed"}, {"a": "passed"}, []),
        ({"a": "passed", "b": "passed"}, {"a": "passed"}, ["b"]),
        ({"a": "passed"}, {"a": "passed", "b": "failed"}, ["b"]),
        ({}, {}, ["no test ran"]),
        ({"a": "failed"}, {}, ["no test ran"]),
    ],
)
def test_what_counts_as_new(theirs: dict, ours: dict, new: list[str]) -> None:
    assert kit.Comparison(theirs, ours).new_failures == new


def test_outcomes_of_a_record(tmp_path: Path) -> None:
    cases = "".join(
        f'<testcase classname="test.a" name="{name}">{inside}</testcase>'
        for name, inside in [
            ("one", ""),
            ("two[1]", "<failure/>"),
            ("three", "<error/>"),
            ("four", "<skipped/>"),
        ]
    )
    record = tmp_path / "record.xml"
    record.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert kit.outcomes(record) == {
        "test.a::one": "passed",
        "test.a::two[1]": "failed",
        "test.a::three": "failed",
        "test.a::four": "skipped",
    }
    assert kit.outcomes(tmp_path / "absent.xml") == {}


def test_every_layer_and_loader_is_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(KIT)
    pairs = [tuple(map(swap.named, pair.split("="))) for pair in kit.swaps()]
    assert len(pairs) == 11
    for theirs, ours in pairs:
        assert theirs.__name__ == ours.__name__
        assert theirs.__module__.startswith("torch_geometric.")
        assert any(base.__module__.startswith("neighborgraph.") for base in ours.__mro__)
