"""What a planted bug is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One planted bug.

    Attributes:
        name: What is wrong.
        file: Where.
        right: The text as it is; it occurs once in the file.
        wrong: The text with the bug.
        tests: Files or folders of tests to ask, in this order.
    """

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]

    @property
    def needs_gpu(self) -> bool:
        """Whether the code runs on a GPU alone."""
        return self.file.startswith("cuda/")
