import pytest

from neighborgraph.errors import BackendUnavailable
from neighborgraph.jit import source
from neighborgraph.jit.source import kernel_folder, read_source


def test_reads_the_text(sources):
    read = read_source("scale.cu", sources)
    assert read.text == (sources / "scale.cu").read_text()
    assert (read.name, read.folder) == ("scale.cu", sources)


def test_digest_is_the_same_in_another_folder(sources, tmp_path):
    moved = tmp_path / "moved"
    sources.rename(moved)
    before = read_source("scale.cu", moved).digest
    moved.rename(sources)
    assert read_source("scale.cu", sources).digest == before


@pytest.mark.parametrize("changed", ["scale.cu", "common/twice.cuh", "common/deep.cuh"])
def test_digest_follows_every_included_file(sources, changed):
    (sources / "common" / "deep.cuh").write_text("// deep\n")
    header = sources / "common" / "twice.cuh"
    header.write_text(header.read_text() + '  #  include "common/deep.cuh"\n')
    before = read_source("scale.cu", sources).digest
    file = sources / changed
    file.write_text(file.read_text() + "\n")
    assert read_source("scale.cu", sources).digest != before


def test_digest_ignores_files_not_included(sources):
    before = read_source("scale.cu", sources).digest
    (sources / "common" / "other.cuh").write_text("// other\n")
    assert read_source("scale.cu", sources).digest == before


def test_digest_sees_text_move_between_files(tmp_path):
    (tmp_path / "a.cu").write_text('#include "b.cuh"\n')
    (tmp_path / "b.cuh").write_text("\n\n")
    before = read_source("a.cu", tmp_path).digest
    (tmp_path / "a.cu").write_text('#include "b.cuh"\n\n')
    (tmp_path / "b.cuh").write_text("\n")
    assert read_source("a.cu", tmp_path).digest != before


def test_circular_includes_end(tmp_path):
    (tmp_path / "a.cuh").write_text('#include "b.cuh"\n')
    (tmp_path / "b.cuh").write_text('#include "a.cuh"\n')
    assert len(read_source("a.cuh", tmp_path).digest) == 64


def test_missing_file_is_named(sources):
    with pytest.raises(BackendUnavailable, match=r"CUDA source absent\.cu cannot be read"):
        read_source("absent.cu", sources)


def test_missing_include_names_both_files(sources):
    (sources / "common" / "twice.cuh").unlink()
    expected = r"common/twice\.cuh, included by scale\.cu, cannot be read"
    with pytest.raises(BackendUnavailable, match=expected):
        read_source("scale.cu", sources)


def test_installed_sources_win_over_the_checkout(tmp_path, monkeypatch):
    package = tmp_path / "neighborgraph"
    monkeypatch.setattr(source, "_PACKAGE", package)
    with pytest.raises(BackendUnavailable, match=r"CUDA sources are missing.*_cuda"):
        kernel_folder()
    (tmp_path / "cuda").mkdir()
    assert kernel_folder() == tmp_path / "cuda"
    (package / "_cuda").mkdir(parents=True)
    assert kernel_folder() == package / "_cuda"
