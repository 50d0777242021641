"""What a record says about its machine."""

import re
from importlib.metadata import packages_distributions

import torch

from neighborgraph.bench import machine


def test_versions_name_the_packages() -> None:
    found = {name for names in packages_distributions().values() for name in names}
    installed = found & set(machine.OPTIONAL_PACKAGES)
    assert machine.versions().keys() == {"neighborgraph", "python", *machine.PACKAGES, *installed}
    assert machine.versions()["torch"] == torch.__version__


def test_commit_is_a_digest_or_nothing() -> None:
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", machine.commit())


def test_commit_outside_of_a_checkout(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "a" / "b" / "machine.py"))
    assert machine.commit() == ""


def test_cpu() -> None:
    device = torch.device("cpu")
    assert machine.device_name(device).startswith("cpu (")
    # A process that has imported torch holds between 50 MB and 100 GB.
    assert 50 < machine.peak_memory_mb(device) < 100_000
