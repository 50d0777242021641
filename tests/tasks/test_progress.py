"""Progress: stopping rules by hand, and which checkpoints it refuses."""

from pathlib import Path

import pytest
import torch

from neighborgraph.errors import CheckpointError
from neighborgraph.tasks.base import Evaluation
from neighborgraph.tasks.checkpoint import Checkpoints
from neighborgraph.tasks.progress import Progress
from neighborgraph.tasks.settings import TrainingSettings


def progress(
    folder: Path | None = None, width: int = 3, seed: int = 0, names: type = torch.nn.Linear
) -> Progress:
    model = names(2, width)
    checkpoints = None if folder is None else Checkpoints(folder)
    return Progress(model, torch.optim.Adam(model.parameters()), checkpoints, {"seed": seed})


def note(losses: list[float]) -> Progress:
    reached = progress()
    for loss in losses:
        reached.note(Evaluation(loss, {"test_acc": loss}), 0.5, 1.0)
    return reached


def test_earliest_of_equal_losses_is_best() -> None:
    reached = note([3.0, 1.0, 1.0, 2.0])
    assert (reached.best_epoch, reached.best_loss) == (2, 1.0)
    assert reached.best_metrics == {"test_acc": 1.0}


@pytest.mark.parametrize(
    ("losses", "settings", "more"),
    [
        ([1.0] * 5, TrainingSettings(epochs=5), False),
        ([1.0] * 4, TrainingSettings(epochs=5), True),
        ([1.0, 2.0, 3.0], TrainingSettings(epochs=9, patience=3), True),
        ([1.0, 2.0, 3.0, 4.0], TrainingSettings(epochs=9, patience=3), False),
        # The window looks at 1, 1 before 2, but only past half of the epochs.
        ([1.0, 1.0, 2.0], TrainingSettings(epochs=9, window=2), True),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 2.0], TrainingSettings(epochs=9, window=2), False),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], TrainingSettings(epochs=9, window=2), True),
        ([9.0, 9.0, 9.0, 1.0, 3.0, 2.0], TrainingSettings(epochs=9, window=2), True),
        ([9.0, 9.0, 9.0, 1.0, 3.0, 2.1], TrainingSettings(epochs=9, window=2), False),
    ],
)
def test_stopping_rules(losses: list[float], settings: TrainingSettings, more: bool) -> None:
    assert note(losses).wants_more(settings) is more


def test_epochs_that_nobody_evaluated_count_for_patience() -> None:
    settings = TrainingSettings(epochs=9, patience=3, evaluate_every=2)
    reached = progress()
    for epoch in range(1, 6):
        assert reached.wants_more(settings)
        reached.note(Evaluation(float(epoch), {}) if epoch % 2 == 0 else None, 0.5, float(epoch))
    assert not reached.wants_more(settings)  # best after epoch 2, now 5
    assert [moment["epoch"] for moment in reached.history] == [2, 4]
    assert reached.seconds == 5.0


def test_nothing_saved_is_nothing_to_resume(tmp_path: Path) -> None:
    assert not progress().resume()
    assert not progress(tmp_path).resume()


def test_another_run_is_refused_by_its_differing_key(tmp_path: Path) -> None:
    progress(tmp_path, seed=1).save()
    with pytest.raises(CheckpointError, match="another run: seed is 1 there and 2 here"):
        progress(tmp_path, seed=2).resume()


def test_another_width_is_refused_with_both_shapes(tmp_path: Path) -> None:
    progress(tmp_path, width=3).save()
    with pytest.raises(CheckpointError, match=r"weight is \[3, 2\] .* there and \[4, 2\] .* here"):
        progress(tmp_path, width=4).resume()


def test_other_parameters_are_refused_by_name(tmp_path: Path) -> None:
    progress(tmp_path).save()

    def without_bias(a: int, b: int) -> torch.nn.Module:
        return torch.nn.Linear(a, b, bias=False)

    with pytest.raises(CheckpointError, match="another model: bias are not in both"):
        progress(tmp_path, names=without_bias).resume()  # pyright: ignore[reportArgumentType]


def test_a_skipped_checkpoint_is_said(tmp_path: Path, caplog) -> None:
    reached = progress(tmp_path)
    reached.save()
    reached.note(Evaluation(1.0, {}), 0.5, 1.0)
    reached.save()
    (Checkpoints(tmp_path).newest_first()[0] / "state.json").unlink()
    again = progress(tmp_path)
    assert again.resume()
    assert again.epoch == 0
    assert "skipped a damaged checkpoint: step-0000000001" in caplog.text
