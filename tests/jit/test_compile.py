import importlib
import importlib.metadata
import sys

import pytest

from neighborgraph.errors import BackendUnavailable, InputError
from neighborgraph.jit import ARCHES, compile_instances
from neighborgraph.jit import compile as nvrtc_module

EXPRESSIONS = ["scale<float, 4>", "scale<__half,2>", "scale<__nv_bfloat16, 1>"]


@pytest.mark.usefixtures("nvrtc")
@pytest.mark.parametrize("arch", ARCHES)
def test_instances_of_one_file_share_a_cubin(sources, arch, capfd):
    compiled = compile_instances("scale.cu", EXPRESSIONS, arch, sources)
    assert list(compiled) == EXPRESSIONS
    cubin = compiled[EXPRESSIONS[0]].cubin
    assert cubin.startswith(b"\x7fELF")
    for instance in compiled.values():
        assert instance.cubin is cubin
        assert instance.lowered.encode() + b"\0" in cubin
        assert instance.log == ""
    assert len({instance.lowered for instance in compiled.values()}) == len(EXPRESSIONS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("nvrtc")
def test_architectures_give_different_code(sources):
    codes = {
        compile_instances("scale.cu", EXPRESSIONS[:1], a, sources)[EXPRESSIONS[0]].cubin
        for a in ARCHES
    }
    assert len(codes) == len(ARCHES)


@pytest.mark.usefixtures("nvrtc")
def test_compile_error_shows_the_file_the_expression_and_the_log(sources):
    file = sources / "scale.cu"
    file.write_text(file.read_text().replace("return;", "return wrong;"))
    with pytest.raises(BackendUnavailable) as caught:
        compile_instances("scale.cu", ["scale<float, 4>"], "sm_80", sources)
    message = str(caught.value)
    assert "cannot compile scale<float, 4> of scale.cu for sm_80" in message
    assert 'scale.cu(9): error: identifier "wrong" is undefined' in message


@pytest.mark.usefixtures("nvrtc")
def test_unknown_kernel_name_is_an_error(sources):
    with pytest.raises(BackendUnavailable, match='"scal" is undefined'):
        compile_instances("scale.cu", ["scal<float, 4>"], "sm_80", sources)


@pytest.mark.usefixtures("nvrtc")
def test_gpu_unknown_to_the_compiler_names_its_version(sources):
    with pytest.raises(BackendUnavailable, match=r"NVRTC \d+\.\d+.* for sm_999"):
        compile_instances("scale.cu", ["scale<float, 4>"], "sm_999", sources)


@pytest.mark.usefixtures("nvrtc")
def test_warnings_reach_the_log(sources):
    file = sources / "scale.cu"
    file.write_text(file.read_text().replace("if (i >= n)", "int unused = 0; if (i >= n)"))
    compiled = compile_instances("scale.cu", ["scale<float, 4>"], "sm_80", sources)
    assert '"unused" was declared but never referenced' in compiled["scale<float, 4>"].log


@pytest.mark.usefixtures("nvrtc")
@pytest.mark.parametrize("variable", ["CPATH", "CPLUS_INCLUDE_PATH", None])
def test_headers_elsewhere_never_win_over_ours(sources, tmp_path, monkeypatch, variable):
    decoy = tmp_path / "decoy"
    (decoy / "common").mkdir(parents=True)
    (decoy / "common" / "twice.cuh").write_text("#error decoy\n")
    monkeypatch.chdir(decoy)
    if variable:
        monkeypatch.setenv(variable, str(decoy))
    assert compile_instances("scale.cu", ["scale<float, 4>"], "sm_80", sources)


@pytest.mark.parametrize(
    "expression",
    ["", "4scale", "scale<float>; int x", "scale<(1)>", 'scale<"a">', "a\nb", "a:b", "a{}", "é<1>"],
)
def test_text_that_is_more_than_a_name_is_refused(sources, expression):
    with pytest.raises(InputError, match="expression must be a C\\+\\+ name"):
        compile_instances("scale.cu", [expression], "sm_80", sources)


def test_qualified_names_are_accepted():
    nvrtc_module._expect_names(["space::kernel<space::Half, 8, 16>"], "sm_80")


@pytest.mark.parametrize("arch", ["sm_90 -G", "sm_90;", "compute_90", "90a", "", "sm_80\n"])
def test_text_that_is_no_architecture_is_refused(sources, arch):
    with pytest.raises(InputError, match="arch must look like 'sm_80'"):
        compile_instances("scale.cu", ["scale<float, 4>"], arch, sources)


def test_absent_cuda_core_names_the_extra(sources, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.core", None)
    with pytest.raises(BackendUnavailable, match=r"cuda\.core is needed .*neighborgraph\[cuda\]"):
        compile_instances("scale.cu", ["scale<float, 4>"], "sm_80", sources)


@pytest.mark.usefixtures("nvrtc")
def test_absent_compiler_names_the_extra(sources, monkeypatch):
    def absent(name):
        raise RuntimeError(f"no {name} on this machine")

    pathfinder = importlib.import_module("cuda.pathfinder")
    monkeypatch.setattr(pathfinder, "load_nvidia_dynamic_lib", absent)
    nvrtc_module.compiler_version.cache_clear()
    with pytest.raises(BackendUnavailable, match=r"no nvrtc on this.*neighborgraph\[cuda\]"):
        compile_instances("scale.cu", ["scale<float, 4>"], "sm_80", sources)


@pytest.mark.usefixtures("nvrtc")
def test_compiler_version_holds_the_patch_level():
    major_minor, library, *wheels = nvrtc_module.compiler_version().split()
    assert library.startswith("libnvrtc")
    for wheel in wheels:
        name, version = wheel.split("=")
        assert importlib.metadata.version(name) == version
    assert major_minor.count(".") == 1
