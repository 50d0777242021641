"""The installed package has the version that the source names."""

from importlib.metadata import version

from neighborgraph.version import __version__


def test_installed_version_is_the_source_s() -> None:
    assert version("neighborgraph") == __version__
