"""What every test gets: fixed seeds, private caches, and GPU tests only where there is a GPU."""

import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled kernels beside the other test caches and share the cores among workers."""
    os.environ.setdefault("NEIGHBORGRAPH_CACHE", str(config.rootpath / ".pytest_cache" / "kernels"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect GPU tests where there is no GPU: a skip would look like a test that could run."""
    if torch.cuda.is_available():
        return
    needs_gpu = [item for item in items if item.get_closest_marker("cuda")]
    if needs_gpu:
        config.hook.pytest_deselected(items=needs_gpu)
        items[:] = [item for item in items if not item.get_closest_marker("cuda")]


@pytest.fixture(autouse=True)
def seed() -> None:
    """Start every test from the same random state, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def waiting_refused() -> Callable[[], AbstractContextManager[None]]:
    """A context in which waiting for the GPU is an error."""

    @contextmanager
    def refuse() -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the first use says that the mode is a prototype
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return refuse


@pytest.fixture
def nvrtc() -> None:
    """Skips where the compiler is not installed; nothing else may skip these tests."""
    try:
        present = importlib.util.find_spec("cuda.core") is not None
    except ModuleNotFoundError:
        present = False
    if not present:
        pytest.skip("cuda.core is not installed: pip install 'neighborgraph[cuda]'")
