"""Imports point one way, optional packages stay at the rim, files stay short.

``violations(root)`` is a plain function of a source tree, so that planted faults prove it can fail.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 400
LONGEST_KERNEL = 60

LEAVES = {"errors", "checks", "paths", "sealed", "version"}
OPERATORS = LEAVES | {"graph", "jit", "ops"}
# What each part may import, itself aside. A task is handed a model, so it imports none.
MAY_IMPORT = {
    "errors": set(),
    "version": set(),
    "paths": {"errors"},
    "checks": {"errors"},
    "sealed": {"errors"},
    "graph": LEAVES,
    "jit": LEAVES,
    "ops": LEAVES | {"graph", "jit"},
    "testing": OPERATORS,
    "nn": OPERATORS,
    "models": OPERATORS | {"nn"},
    "loader": OPERATORS,
    "data": LEAVES | {"graph"},
    "tasks": OPERATORS | {"nn", "data", "loader"},
    "recipes": set(),
    "bench": OPERATORS
    | {"__init__", "testing", "nn", "models", "loader", "data", "tasks", "recipes"},
    "cli": OPERATORS | {"__init__", "nn", "models", "loader", "data", "tasks", "recipes", "bench"},
    "__init__": OPERATORS | {"nn", "models"},
    "__main__": {"cli"},
}

# Heavy or optional packages: the files that may import them.
RIM = {
    "numba": ("jit/numba_*.py", "ops/*/cpu.py"),
    "cuda": ("jit/*.py",),
    "torch_geometric": (
        "graph/convert.py",
        "data/*.py",
        "bench/*.py",
        "nn/accelerate.py",
        "nn/conv/*.py",
        "loader/*.py",
        "tasks/ranking.py",
    ),
    "ogb": ("data/*.py", "bench/*.py"),
    "tgb": ("data/*.py",),
    "sklearn": ("data/*.py",),
    "scipy": ("data/*.py", "graph/convert.py", "models/cooccurrence.py", "bench/*.py"),
    "torch_sparse": ("graph/convert.py", "bench/*.py"),
    "torch_scatter": ("bench/*.py",),
    "matplotlib": ("bench/*.py",),
    "pyarrow": ("data/*.py",),
    "tensorboard": ("tasks/tensorboard.py",),
}
# Files that are themselves loaded on first use, and subclasses of PyG's own layers and loaders.
RIM_AT_TOP = ("jit/numba_*.py", "ops/*/cpu.py", "nn/conv/*.py", "loader/*.py")


@dataclass(frozen=True)
class Import:
    """One imported module, where, and whether a function has to run first."""

    file: Path  # relative to the package
    line: int
    module: str
    inside_function: bool

    @property
    def place(self) -> str:
        return f"neighborgraph/{self.file.as_posix()}:{self.line}"

    def is_in(self, patterns: tuple[str, ...]) -> bool:
        return any(self.file.match(pattern) for pattern in patterns)


def imports_of(package: Path, path: Path) -> Iterator[Import]:
    """Every import of a file, with relative ones made absolute."""
    file = path.relative_to(package)

    def visit(node: ast.AST, inside: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, inside)
        elif isinstance(node, ast.ImportFrom):
            parts = ["neighborgraph", *file.parent.parts]
            base = parts[: len(parts) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(file, node.lineno, f"{prefix}.{alias.name}", inside)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text(), str(path)), False)


def own_violations(imp: Import) -> Iterator[str]:
    """Faults of an import from our own package."""
    target = tuple(imp.module.split(".")[1:])
    if not target:
        return
    user = imp.file.parts[0].removesuffix(".py")
    # Any other name, such as Graph, comes through the table of contents of the whole package.
    used = target[0] if target[0] in MAY_IMPORT else "__init__"
    if user not in MAY_IMPORT:
        yield f"{imp.place}: {user} has no place in MAY_IMPORT; give it one"
        return
    if used != user and used not in MAY_IMPORT[user]:
        yield f"{imp.place}: {user} must not import {used}"

    loads_device_code = imp.file.match("ops/*/op.py") and target in {
        ("ops", imp.file.parts[1], "cpu"),
        ("ops", imp.file.parts[1], "cuda"),
    }
    if imp.inside_function and not loads_device_code:
        yield f"{imp.place}: {imp.module} is imported inside a function; move the code instead"
    if not imp.inside_function and loads_device_code:
        yield f"{imp.place}: {imp.module} must be imported on first use, inside the function"

    implementations = {"reference", "cpu", "cuda"}
    if imp.file.match("ops/*/*.py") and target[:2] == ("ops", imp.file.parts[1]):
        role, other = imp.file.stem, (*target, "")[2]
        if role in implementations and other in implementations - {role}:
            yield f"{imp.place}: {role} must not import {other} of the same operator"


def rim_violations(imp: Import) -> Iterator[str]:
    """Faults of an import from a heavy or optional package."""
    top = imp.module.split(".")[0]
    if top not in RIM:
        return
    if not imp.is_in(RIM[top]):
        yield f"{imp.place}: {top} may only be imported in {', '.join(RIM[top])}"
    elif not imp.inside_function and not imp.is_in(RIM_AT_TOP):
        yield f"{imp.place}: {top} must be imported inside the function that needs it"


def folder_violations(cuda: Path) -> Iterator[str]:
    """Faults that would hide NVIDIA's namespace package ``cuda`` behind our folder of that name."""
    for path in sorted(cuda.rglob("__init__.py")):
        yield f"{path.relative_to(cuda.parent)}: cuda/ holds device code, never a Python package"
    for name in ("core", "bindings", "pathfinder"):
        if (cuda / name).exists():
            yield f"cuda/{name}: NVIDIA's namespace package owns this name"


def length_violations(root: Path) -> Iterator[str]:
    """Files in which a second idea is hiding."""
    for folder in ("neighborgraph", "cuda", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".py", ".cu", ".cuh", ".toml"}:
                lines = path.read_text().count("\n")
                if lines > LONGEST_FILE:
                    yield f"{path.relative_to(root)}: {lines} lines, more than {LONGEST_FILE}"


def kernel_violations(root: Path) -> Iterator[str]:
    """GPU kernels that do not fit on a page, counted from ``template`` to the closing brace."""
    for path in sorted((root / "cuda").glob("*.cu")):
        for definition in re.finditer(
            r"^template.*?^}", path.read_text(), re.DOTALL | re.MULTILINE
        ):
            text = definition[0]
            lines = text.count("\n") + 1
            if "__global__" in text and lines > LONGEST_KERNEL:
                name = re.search(r"(\w+)\(\s+const", text.replace("__launch_bounds__(", ""))
                named = name[1] if name else text.splitlines()[0]
                yield f"cuda/{path.name}: {named} has {lines} lines, more than {LONGEST_KERNEL}"


def violations(root: Path) -> list[str]:
    """Everything wrong with the structure of the checkout at ``root``."""
    package = root / "neighborgraph"
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        for imp in imports_of(package, path):
            is_own = imp.module.split(".")[0] == "neighborgraph"
            found += own_violations(imp) if is_own else rim_violations(imp)
    found += [*folder_violations(root / "cuda"), *length_violations(root)]
    return [*found, *kernel_violations(root)]


def test_the_project_has_no_violations() -> None:
    found = violations(ROOT)
    assert not found, "\n".join(found)


PLANTED = [
    ("graph/csr.py", "from neighborgraph.ops import attend", "graph must not import ops"),
    ("jit/launch.py", "import neighborgraph.graph.csr", "jit must not import graph"),
    ("jit/launch.py", "from ..graph import Graph", "jit must not import graph"),
    ("ops/attend/op.py", "from neighborgraph import nn", "ops must not import nn"),
    ("tasks/base.py", "from neighborgraph.models import DAGNN", "tasks must not import models"),
    ("models/gcn.py", "from neighborgraph.tasks import fit", "models must not import tasks"),
    ("nn/gate.py", "from neighborgraph.testing import x", "nn must not import testing"),
    ("nn/gate.py", "from neighborgraph import Graph", "nn must not import __init__"),
    ("surprise.py", "from neighborgraph.graph import Graph", "has no place in MAY_IMPORT"),
    ("ops/attend/cuda.py", "from .reference import attend", "cuda must not import reference"),
    ("ops/attend/cpu.py", "from neighborgraph.ops.attend import cuda", "must not import cuda"),
    ("ops/attend/op.py", "from neighborgraph.ops.attend import cpu", "on first use"),
    ("data/ogb.py", "def f():\n    from neighborgraph.graph import Graph", "inside a function"),
    ("ops/attend/op.py", "def f():\n    from . import reference", "inside a function"),
    ("ops/sum/op.py", "def f():\n    from ..attend import cpu", "inside a function"),
    ("graph/csr.py", "def f():\n    import numba", "numba may only be imported in"),
    ("ops/attend/cuda.py", "def f():\n    from cuda.core import Program", "cuda may only be"),
    ("jit/compile.py", "from cuda.core import Program", "cuda must be imported inside"),
    ("models/gcn.py", "import torch_geometric.nn", "torch_geometric may only be imported in"),
    ("data/planetoid.py", "import torch_geometric", "torch_geometric must be imported inside"),
    ("tasks/metrics.py", "def f():\n    import ogb", "ogb may only be imported in"),
    ("graph/csr.py", "x = 1\n" * 401, "401 lines, more than 400"),
    ("../cuda/__init__.py", "", "never a Python package"),
    ("../cuda/core/lanes.cuh", "", "owns this name"),
    ("../tests/test_long.py", "x = 1\n" * 401, "401 lines, more than 400"),
    (
        "../cuda/long.cu",
        "template <class T>\n__global__ void f(\n    const int* x) {\n" + "    x;\n" * 57 + "}\n",
        "cuda/long.cu: f has 61 lines, more than 60",
    ),
]


@pytest.mark.parametrize(("file", "text", "expected"), PLANTED)
def test_planted_violation_is_found(tmp_path: Path, file: str, text: str, expected: str) -> None:
    path = tmp_path / "neighborgraph" / file
    (tmp_path / "neighborgraph").mkdir()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    found = violations(tmp_path)
    assert len(found) == 1
    assert expected in found[0]


ALLOWED = [
    ("ops/attend/op.py", "def on_cpu():\n    from neighborgraph.ops.attend import cpu"),
    ("ops/attend/op.py", "from neighborgraph.graph import Graph"),
    ("ops/attend/cpu.py", "import numba\nfrom neighborgraph.jit.numba_kernel import run_rows"),
    ("jit/compile.py", "def f():\n    from cuda.core import Program"),
    ("nn/conv/gat.py", "from torch_geometric.nn import GATConv"),
    ("bench/kernels.py", "from neighborgraph.testing import awkward_graphs"),
    ("__init__.py", "from neighborgraph.ops import attend\n__version__ = '1'"),
    ("cli/run.py", "from neighborgraph import bench, __version__"),
]


@pytest.mark.parametrize(("file", "text"), ALLOWED)
def test_allowed_import_is_not_reported(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / "neighborgraph" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert violations(tmp_path) == []
