"""Every error a user can cause, as a class that says which kind of mistake it was."""


class NeighborgraphError(Exception):
    """Base of all errors raised on purpose; the command line prints them as one line."""


class InputError(NeighborgraphError, ValueError):
    """An argument's shape, value or structure is outside what the function accepts."""


class IdError(InputError, IndexError):
    """An id points to no node; also an IndexError, like what Torch and PyG raise for it."""


class EdgeRowsError(InputError, RuntimeError, IndexError):
    """Values of edges are not as many as the edges; Torch and PyG raise either of the other two."""


class DtypeError(NeighborgraphError, TypeError):
    """An argument has a type or dtype that is never converted silently."""


class DeviceError(NeighborgraphError, RuntimeError):
    """Tensors lie on different devices, or on one the operation cannot run on."""


class BackendUnavailable(NeighborgraphError, RuntimeError):
    """A GPU, a compiler or an optional package is missing; the message names it and the cure."""


class DataFileError(NeighborgraphError, RuntimeError):
    """A data file is absent, truncated or not what its name claims."""


class CheckpointError(NeighborgraphError, RuntimeError):
    """A checkpoint is missing, damaged, or belongs to another run."""


class ConfigError(NeighborgraphError, ValueError):
    """A recipe, an override or a command-line value is not valid."""


class TrainingError(NeighborgraphError, ArithmeticError):
    """A training cannot go on, for example because its loss is not a number."""
