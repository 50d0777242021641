import json
import os
import subprocess
import sys
import threading
import warnings
from dataclasses import replace

import pytest

from neighborgraph.errors import BackendUnavailable
from neighborgraph.jit import Instance, cache
from neighborgraph.jit import compile as nvrtc_module
from neighborgraph.jit.source import read_source

INSTANCE = Instance("scale.cu", "scale<float, 4>")
ARCH = "sm_90a"

pytestmark = pytest.mark.usefixtures("nvrtc", "cache_root")


@pytest.fixture
def compilations(monkeypatch):
    """The expressions handed to the compiler so far."""
    calls = []
    compile_source = nvrtc_module.compile_source

    def counted(source, expressions, arch):
        calls.extend(expressions)
        return compile_source(source, expressions, arch)

    monkeypatch.setattr(nvrtc_module, "compile_source", counted)
    return calls


def _new_process(monkeypatch):
    """Forget what only this process knows; the disk keeps its entries."""
    monkeypatch.setattr(cache, "_memory", {})


def test_cold_compiles_and_warm_does_not(sources, compilations, monkeypatch):
    cold = cache.compile_cached(INSTANCE, ARCH, sources)
    assert compilations == [INSTANCE.expression]
    _new_process(monkeypatch)
    assert cache.compile_cached(INSTANCE, ARCH, sources) == cold
    assert compilations == [INSTANCE.expression]
    assert (
        cold
        == nvrtc_module.compile_instances(INSTANCE.source, [INSTANCE.expression], ARCH, sources)[
            INSTANCE.expression
        ]
    )


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_bad_entry_is_compiled_again_and_replaced(sources, compilations, monkeypatch, content):
    cold = cache.compile_cached(INSTANCE, ARCH, sources)
    (entry,) = cache.info().folder.iterdir()
    entry.write_bytes(content)
    for _ in range(2):
        _new_process(monkeypatch)
        assert cache.compile_cached(INSTANCE, ARCH, sources) == cold
    assert len(compilations) == 2


def test_each_instance_and_architecture_has_its_entry(sources, compilations):
    for expression in ("scale<float, 4>", "scale<float, 8>"):
        for arch in ("sm_80", "sm_90a"):
            cache.compile_cached(Instance("scale.cu", expression), arch, sources)
    assert len(compilations) == cache.info().entries == 4
    assert cache.clear() == 4


def test_key_changes_with_every_input(sources, monkeypatch):
    source = read_source("scale.cu", sources)
    key = cache.cache_key(source, "scale<float, 4>", "sm_80")
    assert key == cache.cache_key(read_source("scale.cu", sources), "scale<float, 4>", "sm_80")
    changed = [
        cache.cache_key(replace(source, name="other.cu"), "scale<float, 4>", "sm_80"),
        cache.cache_key(replace(source, digest="0" * 64), "scale<float, 4>", "sm_80"),
        cache.cache_key(source, "scale<float, 8>", "sm_80"),
        cache.cache_key(source, "scale<float, 4>", "sm_90a"),
    ]
    for target, name, value in (
        (cache, "_FORMAT", 2),
        (cache, "OPTIONS", {**nvrtc_module.OPTIONS, "lineinfo": True}),
        (cache, "__version__", "0.0.9"),
        (nvrtc_module, "compiler_version", lambda: "13.5 libnvrtc.so.13 13.5.99"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            changed.append(cache.cache_key(source, "scale<float, 4>", "sm_80"))
    assert len({key, *changed}) == 9


def test_order_of_options_does_not_change_the_key(sources, monkeypatch):
    source = read_source("scale.cu", sources)
    key = cache.cache_key(source, "scale<float, 4>", "sm_80")
    monkeypatch.setattr(cache, "OPTIONS", dict(reversed(nvrtc_module.OPTIONS.items())))
    assert cache.cache_key(source, "scale<float, 4>", "sm_80") == key


def test_edited_header_is_compiled_though_its_times_are_old(sources, compilations):
    header = sources / "common" / "twice.cuh"
    cache.compile_cached(INSTANCE, ARCH, sources)
    header.write_text(header.read_text().replace("x + x", "x * x"))
    os.utime(header, (0, 0))
    cache.compile_cached(INSTANCE, ARCH, sources)
    assert len(compilations) == 2


def test_source_edited_while_compiling_is_not_stored(sources, monkeypatch):
    compile_source = nvrtc_module.compile_source

    def edited(source, expressions, arch):
        header = sources / "common" / "twice.cuh"
        header.write_text(header.read_text().replace("x + x", "x * x"))
        return compile_source(source, expressions, arch)

    monkeypatch.setattr(nvrtc_module, "compile_source", edited)
    cache.compile_cached(INSTANCE, ARCH, sources)
    assert cache.info().entries == 0


def test_compile_error_is_not_stored(sources):
    with pytest.raises(BackendUnavailable, match="cannot compile"):
        cache.compile_cached(Instance("scale.cu", "scal<float>"), ARCH, sources)
    assert cache.info().entries == 0


def test_threads_compile_a_key_once(sources, compilations):
    barrier = threading.Barrier(8)
    results = []

    def ask():
        barrier.wait()
        results.append(cache.compile_cached(INSTANCE, ARCH, sources))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compilations) == 1
    assert len(results) == 8
    assert all(result is results[0] for result in results)


def test_without_a_folder_each_key_is_compiled_once_with_one_warning(
    sources, compilations, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEIGHBORGRAPH_CACHE", str(tmp_path / "file" / "below"))
    instances = [INSTANCE, Instance("scale.cu", "scale<float, 8>")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for instance in instances * 2:
            assert cache.compile_cached(instance, ARCH, sources).cubin
    assert len(compilations) == 2
    assert [w.category for w in caught] == [RuntimeWarning]


RACE = """
import hashlib, os, sys
from pathlib import Path
from neighborgraph.jit import Instance, cache

gate, opener = os.pipe()
answers, answer = os.pipe()
children = []
for _ in range(16):
    child = os.fork()
    if child == 0:
        os.close(opener)
        os.read(gate, 1)  # returns for all of them when the parent closes the other end
        instance = Instance("scale.cu", "scale<float, 4>")
        compiled = cache.compile_cached(instance, "sm_90a", Path(sys.argv[1]))
        content = compiled.cubin + compiled.lowered.encode()
        os.write(answer, hashlib.sha256(content).digest())
        os._exit(0)
    children.append(child)
os.close(opener)
codes = [os.waitpid(child, 0)[1] for child in children]
digests = os.read(answers, 16 * 32)
print(codes == [0] * 16, len(digests), digests[:32] * 16 == digests)
"""


def test_processes_started_at_once_agree(sources):
    answer = subprocess.run(
        [sys.executable, "-c", RACE, str(sources)], capture_output=True, text=True, check=True
    )
    assert (answer.stdout, answer.stderr) == ("True 512 True\n", "")
    (entry,) = cache.info().folder.iterdir()
    assert len(entry.name) == 64


LEAN = """
import json, sys
import neighborgraph.jit
import torch
print(json.dumps({
    "loaded": [name for name in ("numba", "llvmlite", "cuda.core") if name in sys.modules],
    "context": torch.cuda.is_initialized(),
}))
"""


def test_importing_the_package_loads_no_compiler():
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", LEAN], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == {"loaded": [], "context": False}
