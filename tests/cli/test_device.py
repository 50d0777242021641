"""--device: what is chosen, and what is refused before anything starts."""

import pytest
import torch

from neighborgraph.cli import device
from neighborgraph.cli.device import choose_device
from neighborgraph.errors import BackendUnavailable, ConfigError
from neighborgraph.jit import Driver


def pretend(monkeypatch, driver: Driver, gpus: int = 1, compiler: bool = True) -> None:
    monkeypatch.setattr(device, "driver", lambda: driver)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(device, "kernels_can_be_built", lambda: compiler)


def test_cpu_needs_nothing(monkeypatch) -> None:
    pretend(monkeypatch, Driver(False, "none"), compiler=False)
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(None) == torch.device("cpu")


def test_usable_gpu_is_the_default(monkeypatch) -> None:
    pretend(monkeypatch, Driver(True))
    assert choose_device(None) == torch.device("cuda")
    assert choose_device("cuda:0") == torch.device("cuda:0")


def test_gpu_without_compiler_is_not_the_default(monkeypatch) -> None:
    pretend(monkeypatch, Driver(True), compiler=False)
    assert choose_device(None) == torch.device("cpu")
    with pytest.raises(BackendUnavailable, match=r"needs the package cuda-core: pip install"):
        choose_device("cuda")


def test_absent_gpu(monkeypatch) -> None:
    pretend(monkeypatch, Driver(False, "torch finds no NVIDIA GPU"))
    with pytest.raises(BackendUnavailable, match=r"--device cuda: torch finds no .*--device cpu"):
        choose_device("cuda")


def test_number_out_of_range(monkeypatch) -> None:
    pretend(monkeypatch, Driver(True), gpus=2)
    with pytest.raises(BackendUnavailable, match="--device cuda:9: this machine has 2 GPUs"):
        choose_device("cuda:9")


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:", "cuda:-1", "cuda:99999", "mps", ""])
def test_unknown_name(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown device"):
        choose_device(name)
