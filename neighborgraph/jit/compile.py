"""NVRTC: template instances of one CUDA source to machine code, without a GPU or a driver."""

import importlib
import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

from neighborgraph.errors import BackendUnavailable, InputError
from neighborgraph.jit.source import Source, read_source

# The folder of an in-memory source is the working folder, whose headers must never win over
# ours: hence no_source_include.
OPTIONS = {
    "std": "c++17",
    "device_as_default_execution_space": True,
    "no_source_include": True,
}
_EXPRESSION = re.compile(r"[A-Za-z_][A-Za-z0-9_<>, :]*")
_ARCH = re.compile(r"sm_[0-9]{2,3}[af]?")
_TOOLKIT_WHEELS = ("nvidia-cuda-nvrtc", "nvidia-cuda-runtime")
_INSTALL = "install it with: pip install 'neighborgraph[cuda]'"


@dataclass(frozen=True)
class Instance:
    """One kernel: a file and the template arguments it is compiled with.

    Attributes:
        source: File in the folder of CUDA sources, such as ``"attend_forward.cu"``.
        expression: C++ name of the kernel, such as ``"attend_forward<Half, 8, 16, 1>"``.
    """

    source: str
    expression: str


@dataclass(frozen=True)
class Compiled:
    """Machine code that holds a kernel.

    Attributes:
        cubin: The code, for one architecture.
        lowered: The kernel's mangled name inside it.
        log: Warnings of the compiler; empty when the code came from the disk.
    """

    cubin: bytes = field(repr=False)
    lowered: str
    log: str = field(default="", compare=False)


def compile_instances(
    source: str, expressions: Sequence[str], arch: str, folder: Path | None = None
) -> dict[str, Compiled]:
    """Compile several template instances of one file in one program.

    Args:
        source: File in ``folder``.
        expressions: C++ names of the kernels, template arguments included.
        arch: Architecture such as ``"sm_90a"``.
        folder: Folder of CUDA sources; the project's own by default.

    Returns:
        The machine code by expression; all instances share one ``cubin``.

    Raises:
        InputError: An expression or ``arch`` holds a character that no instance needs.
        BackendUnavailable: The compiler is not installed, a source is missing, or the code does
            not compile; the message then holds the compiler's log.
    """
    return compile_source(read_source(source, folder), expressions, arch)


def compile_source(source: Source, expressions: Sequence[str], arch: str) -> dict[str, Compiled]:
    """Compile a source already read; see :func:`compile_instances`."""
    _expect_names(expressions, arch)
    core, log = cuda_core(), _Log()
    version = compiler_version()
    folders = [str(source.folder), *_toolkit_headers()]
    options = core.ProgramOptions(name=source.name, arch=arch, include_path=folders, **OPTIONS)
    try:
        program = core.Program(source.text, "c++", options)
        code = program.compile("cubin", name_expressions=tuple(expressions), logs=log)
    # cuda.core's own error classes are private, and a missing part of NVRTC raises others.
    except Exception as error:
        raise BackendUnavailable(
            f"NVRTC {version} cannot compile {', '.join(expressions)} of {source.name} for {arch}: "
            f"{error}"
        ) from error
    names = {name: lowered.decode() for name, lowered in code.symbol_mapping.items()}
    return {name: Compiled(code.code, names[name], log.text) for name in expressions}


def cuda_core() -> ModuleType:
    """The package cuda.core, imported here and nowhere else.

    Raises:
        BackendUnavailable: It is not installed.
    """
    # By name: a checker that sees this project's own folder of CUDA sources takes it for NVIDIA's
    # package, which has the same name.
    try:
        return importlib.import_module("cuda.core")
    except ImportError as error:
        raise BackendUnavailable(
            f"cuda.core is needed to compile GPU kernels ({error}); {_INSTALL}"
        ) from error


@cache
def compiler_version() -> str:
    """NVRTC's version, with the patch level where the library or its wheel tells it.

    The library itself answers only major.minor; a patch release may emit other code.

    Raises:
        BackendUnavailable: NVRTC is not installed.
    """
    cuda_core()
    try:
        library = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("nvrtc")
        _, major, minor = importlib.import_module("cuda.bindings.nvrtc").nvrtcVersion()
    # A library that cannot be found raises a RuntimeError, one that cannot be loaded an OSError.
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendUnavailable(
            f"the CUDA compiler NVRTC cannot be loaded ({error}); {_INSTALL}"
        ) from error
    file = Path(library.abs_path or "").resolve().name
    return " ".join([f"{major}.{minor}", file, *_wheel_versions()])


def _wheel_versions() -> list[str]:
    """Versions of the wheels that carry the compiler and its headers, where installed."""
    found = []
    for name in _TOOLKIT_WHEELS:
        for wheel in (name, f"{name}-cu12"):
            try:
                found.append(f"{wheel}={importlib.metadata.version(wheel)}")
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def _toolkit_headers() -> list[str]:
    """The folder of ``cuda_fp16.h`` and ``cuda_bf16.h``, which NVRTC does not find by itself."""
    pathfinder = importlib.import_module("cuda.pathfinder")
    folder = pathfinder.find_nvidia_header_directory("cudart")
    return [] if folder is None else [folder]


def _expect_names(expressions: Sequence[str], arch: str) -> None:
    """Refuse text that could be more than a name: it is pasted into the program."""
    for expression in expressions:
        lone_colon = ":" in expression.replace("::", "")
        if not _EXPRESSION.fullmatch(expression) or lone_colon:
            raise InputError(
                f"expression must be a C++ name with template arguments (letters, digits, _, <, >, "
                f"commas, spaces and ::), got {expression!r}"
            )
    if not _ARCH.fullmatch(arch):
        raise InputError(f"arch must look like 'sm_80' or 'sm_90a', got {arch!r}")


class _Log:
    """Where NVRTC writes its warnings; cuda.core asks for an object with ``write``."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text
