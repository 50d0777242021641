import pytest
import torch

from neighborgraph.errors import BackendUnavailable
from neighborgraph.jit import arch
from neighborgraph.jit.arch import ARCHES, arch_of, driver

DEVICE = torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("capability", "name"),
    [((8, 0), "sm_80"), ((8, 9), "sm_89"), ((9, 0), "sm_90a"), ((10, 0), "sm_100a")],
)
def test_name_by_compute_capability(monkeypatch, capability, name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert arch_of(DEVICE) == name


@pytest.mark.parametrize("capability", [(7, 5), (6, 1)])
def test_older_gpus_are_refused(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    expected = rf"8\.0 or newer is needed, this device has {capability[0]}\.{capability[1]}"
    with pytest.raises(BackendUnavailable, match=expected):
        arch_of(DEVICE)


def test_driver_of_a_torch_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    probe = driver()
    assert not probe.available
    assert "built without CUDA" in probe.reason


def test_driver_with_every_gpu_hidden(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    # torch documents cases where this stays true; the number of devices decides.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    probe = driver()
    assert not probe.available
    assert "CUDA_VISIBLE_DEVICES" in probe.reason


def test_driver_with_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(arch, "_driver_version", lambda: "13.0")
    assert driver() == arch.Driver(available=True, version="13.0")


def test_an_absent_driver_library_has_no_version(monkeypatch):
    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(arch.ctypes, "CDLL", absent)
    assert arch._driver_version() == ""


@pytest.mark.cuda
def test_driver_and_arch_of_this_machine():
    probe = driver()
    assert probe.available
    assert float(probe.version) >= 12
    major, minor = torch.cuda.get_device_capability(DEVICE)
    assert arch_of(DEVICE).rstrip("a") == f"sm_{major}{minor}"


def test_arches_are_those_compiled_for():
    assert ARCHES == ("sm_80", "sm_90a", "sm_100a")
