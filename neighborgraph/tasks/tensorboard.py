"""TensorBoard as an onlooker of a training; the package is imported only when asked for."""

from pathlib import Path

from neighborgraph.errors import BackendUnavailable, ConfigError
from neighborgraph.tasks.progress import Moment


class TensorBoard:
    """Writes each number of an evaluation as a scalar of its epoch."""

    def __init__(self, folder: Path) -> None:
        """Open a folder of event files.

        Args:
            folder: Where TensorBoard will look; one a run.

        Raises:
            BackendUnavailable: The package is not installed.
            ConfigError: The folder cannot be written.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise BackendUnavailable(
                "--tensorboard needs the package tensorboard: "
                "pip install 'neighborgraph[tensorboard]'"
            ) from error
        try:
            self.writer = SummaryWriter(str(folder))
        except OSError as error:
            raise ConfigError(
                f"cannot write to {folder}: {error.strerror}; choose another --tensorboard"
            ) from error

    def __call__(self, moment: Moment) -> None:
        """Write one evaluation."""
        for name, value in moment.items():
            if name != "epoch":
                self.writer.add_scalar(name, value, int(moment["epoch"]))
        self.writer.flush()

    def close(self) -> None:
        """End the file."""
        self.writer.close()
