import ctypes
import struct
import threading
from types import SimpleNamespace

import pytest
import torch

from neighborgraph.errors import BackendUnavailable, DeviceError, DtypeError, InputError
from neighborgraph.jit import Compiled, Driver, Instance, Kernel, launch, load
from neighborgraph.jit.cache import compile_cached

INSTANCE = Instance("scale.cu", "scale<float, 4>")
GPU = torch.device("cuda", 0)
BLOCK = 128


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(launch, "_kernels", {})


@pytest.fixture
def parts(monkeypatch):
    """A stand-in for cuda.core, the driver and torch.cuda that records what is launched."""
    launched, answers = [], []
    function = SimpleNamespace(arguments_info=[SimpleNamespace(size=8)] * 4, handle=123)
    core = SimpleNamespace(
        ObjectCode=SimpleNamespace(
            from_cubin=lambda cubin: SimpleNamespace(get_kernel=lambda name: function)
        ),
        Device=lambda index: SimpleNamespace(set_current=lambda: launched.append(("bind", index))),
    )

    def submit(handle, *sizes_and_stream_and_pointers):
        *sizes, shared, stream, pointers, extra = sizes_and_stream_and_pointers
        assert (shared, extra) == (0, None)
        values = [ctypes.string_at(pointer, 8) for pointer in pointers]
        launched.append((handle, sizes, stream, values))
        return answers.pop() if answers else 0

    monkeypatch.setattr(launch, "cuda_core", lambda: core)
    monkeypatch.setattr(launch, "launch_function", lambda: submit)
    monkeypatch.setattr(launch, "_thread", threading.local())
    monkeypatch.setattr(torch._C, "_cuda_getDevice", lambda: 0, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda index: 7, raising=False)
    return SimpleNamespace(launched=launched, function=function, answers=answers)


def _kernel():
    return Kernel(INSTANCE, Compiled(b"", "scale"), 0)


def _no_kernel(*args):
    raise AssertionError("cuda.core must not be asked for a kernel here")


def test_without_a_driver_the_reason_is_given_and_cuda_core_left_alone(monkeypatch):
    monkeypatch.setattr(launch, "driver", lambda: Driver(False, "no GPU here"))
    monkeypatch.setattr(launch, "Kernel", _no_kernel)
    monkeypatch.setattr(launch, "cuda_core", _no_kernel)
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match=r"scale<float, 4> needs a GPU: no GPU here"):
            load(INSTANCE, GPU)


@pytest.mark.parametrize("device", [torch.device("cpu"), torch.device("cuda")])
def test_device_must_be_one_gpu(device):
    with pytest.raises(DeviceError, match=f"CUDA device with an index, got {device}"):
        load(INSTANCE, device)


def test_arguments_become_pointers_and_numbers(parts):
    tensor, kernel = torch.zeros(3), _kernel()
    for _ in range(2):
        kernel.launch(5, BLOCK, tensor, None, -(2**40), 0.5)
    values = [struct.pack(f"={code}", x) for code, x in zip("qqqd", _values(tensor), strict=True)]
    call = (123, [5, 1, 1, BLOCK, 1, 1], 7, values)
    assert parts.launched == [("bind", 0), call, call]


def _values(tensor):
    return tensor.data_ptr(), 0, -(2**40), 0.5


def test_an_empty_grid_launches_nothing(parts):
    _kernel().launch(0, BLOCK, None, None, 0, 0.0)
    assert parts.launched == []


def test_a_refusal_of_the_driver_is_raised(parts):
    parts.answers.append(700)
    with pytest.raises(BackendUnavailable, match=r"refused to launch scale.* CUDA error 700"):
        _kernel().launch(1, BLOCK, None, None, 0, 0.0)


def test_threads_do_not_mix_their_arguments(parts):
    kernel, calls = _kernel(), 200

    def work(number):
        for _ in range(calls):
            kernel.launch(1, BLOCK, None, None, number, float(number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = [values[2:] for handle, *_, values in _launches(parts)]
    assert len(pairs) == 4 * calls
    for integer, real in pairs:
        assert struct.unpack("=q", integer) == struct.unpack("=d", real)


def _launches(parts):
    return [call for call in parts.launched if call[0] != "bind"]


def test_a_number_of_another_type_than_before_is_refused(parts):
    kernel = _kernel()
    kernel.launch(1, BLOCK, None, None, 0, 0.0)
    with pytest.raises(DtypeError, match="launched with other types before"):
        kernel.launch(1, BLOCK, None, None, 0.5, 0.0)
    assert len(_launches(parts)) == 1


@pytest.mark.parametrize("value", [True, "3", torch.float32])
def test_other_types_are_refused(parts, value):
    with pytest.raises(DtypeError, match=f"argument 2 of .* got {type(value).__name__}"):
        _kernel().launch(1, BLOCK, None, None, value, 0.0)
    assert _launches(parts) == []


def test_a_wrong_number_of_arguments_is_refused(parts):
    kernel = _kernel()
    with pytest.raises(InputError, match="takes 4 arguments, got 3"):
        kernel.launch(1, BLOCK, None, None, 0)
    kernel.launch(1, BLOCK, None, None, 0, 0.0)
    with pytest.raises(InputError, match="takes 4 arguments, got 5"):
        kernel.launch(1, BLOCK, None, None, 0, 0.0, 1)
    assert len(_launches(parts)) == 1


def test_a_narrow_parameter_is_refused(parts):
    parts.function.arguments_info[2] = SimpleNamespace(size=4)
    with pytest.raises(InputError, match=r"parameter 2 of scale<float, 4> .* has 4 bytes"):
        _kernel()


@pytest.fixture
def loaded(sources, cache_root, monkeypatch):
    """Loads instances of the small kernel on a GPU."""
    monkeypatch.setattr(
        launch, "compile_cached", lambda instance, arch: compile_cached(instance, arch, sources)
    )
    return lambda expression="scale<float, 4>", device=GPU: load(
        Instance("scale.cu", expression), device
    )


def _scale(kernel, x, shift=None, factor=0.5):
    out = torch.empty_like(x)
    kernel.launch(-(-x.numel() // BLOCK), BLOCK, out, x, shift, x.numel(), factor)
    return out


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("float", torch.float32), ("__half", torch.float16), ("__nv_bfloat16", torch.bfloat16)],
)
def test_values_and_arguments_on_the_gpu(loaded, name, dtype):
    x = torch.arange(1000, device=GPU).remainder(8).to(dtype)
    shift = torch.full_like(x, 3)
    kernel = loaded(f"scale<{name}, 4>")
    assert torch.equal(_scale(kernel, x), x * 4)
    assert torch.equal(_scale(kernel, x, shift), x * 4 + 3)
    assert torch.equal(_scale(kernel, x, factor=0.125), x)
    assert loaded(f"scale<{name}, 4>") is kernel


@pytest.mark.cuda
def test_the_current_stream_is_used(loaded):
    kernel, x = loaded(), torch.zeros(1 << 20, device=GPU)
    side = torch.cuda.Stream(GPU)
    torch.cuda.synchronize(GPU)
    with torch.cuda.stream(side):
        torch.cuda._sleep(50_000_000)  # a launch on any other stream would read zeros
        x.fill_(2.0)
        out = _scale(kernel, x)
    side.synchronize()
    assert torch.equal(out, torch.full_like(out, 8.0))


@pytest.mark.cuda
def test_a_thread_without_a_context_can_launch(loaded):
    kernel, x = loaded(), torch.ones(256, device=GPU)
    out, results = torch.empty_like(x), []

    def work():
        kernel.launch(2, BLOCK, out, x, None, 256, 0.5)
        results.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    torch.cuda.synchronize(GPU)
    assert results == [True]
    assert torch.equal(out, x * 4)


@pytest.mark.cuda
def test_launches_are_captured_but_first_loads_are_not(loaded):
    kernel, x = loaded(), torch.ones(256, device=GPU)
    out = torch.empty_like(x)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kernel.launch(2, BLOCK, out, x, None, 256, 0.5)
        with pytest.raises(DeviceError, match="call it once before capture"):
            loaded("scale<float, 5>")
    x.fill_(3.0)
    graph.replay()
    torch.cuda.synchronize(GPU)
    assert torch.equal(out, torch.full_like(out, 12.0))


@pytest.mark.cuda
def test_a_damaged_cubin_names_the_driver(loaded, monkeypatch):
    broken = Compiled(b"\x7fELF damaged", "scale")
    monkeypatch.setattr(launch, "compile_cached", lambda instance, arch: broken)
    with pytest.raises(BackendUnavailable, match=r"driver, which supports CUDA \d+\.\d+, did not"):
        loaded()


@pytest.mark.cuda
def test_a_second_device_takes_the_code_from_the_cache(loaded, monkeypatch):
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    loaded()
    monkeypatch.setattr("neighborgraph.jit.cache.nvrtc.compile_source", _no_kernel)
    second = torch.device("cuda", 1)
    x = torch.ones(256, device=second)
    assert torch.equal(_scale(loaded(device=second), x), x * 4)
    assert torch.cuda.current_device() == 0
