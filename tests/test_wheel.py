"""The wheel carries kernels and recipes, and an installed copy finds them."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the project's own build backend without a network."""
    folder = tmp_path_factory.mktemp("dist")
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    run(sys.executable, "-c", build, str(folder), cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder the wheel is installed in, without its dependencies."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    run(*pip, "--no-deps", "--no-index", "--target", str(folder), str(wheel), cwd=folder)
    return folder


def run(*command: str, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run_installed(folder: Path, code: str) -> str:
    """Output of code in an interpreter that sees the installed copy before any other."""
    first = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    return run(sys.executable, "-c", first + code, cwd=folder)


def expected_files() -> set[str]:
    """What the wheel must hold, read from the checkout."""
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "neighborgraph").rglob("*")
        if path.suffix in {".py", ".toml", ".typed"} or path.name == "py.typed"
    }
    kernels = {
        f"neighborgraph/_cuda/{path.relative_to(ROOT / 'cuda').as_posix()}"
        for path in (ROOT / "cuda").rglob("*.cu*")
    }
    assert kernels
    return package | kernels


def test_wheel_holds_package_recipes_and_kernels(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert expected_files() - names == set()
    outside = {name.split("/")[0] for name in names} - {"neighborgraph"}
    assert all(name.endswith(".dist-info") for name in outside)


def test_installed_package_finds_its_own_kernels(installed: Path) -> None:
    code = "from neighborgraph.jit.source import kernel_folder; print(kernel_folder())"
    folder = Path(run_installed(installed, code).strip())
    assert folder == installed / "neighborgraph" / "_cuda"
    assert any(folder.glob("*.cu"))


def test_installed_command_lists_models_and_recipes(installed: Path) -> None:
    code = "from neighborgraph.cli import main; sys.exit(main(['ls']))"
    text = run_installed(installed, code)
    for name in ("dagnn", "gcn", "mlp", "digits"):
        assert name in text
