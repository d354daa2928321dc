"""What happens at the end of an epoch: a line and a history row, the best weights kept, a checkpoint to resume from."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn
from torch.optim.swa_utils import AveragedModel

from stages.training.recogniser import ask_once
from stages.training.schedules import MODES

HISTORY_COLUMNS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")


class Progress(Callback):
    """History rows, and the best epoch's weights by the monitored figure of the validation part."""

    def __init__(self, monitor: str, say: Callable[[str], None]) -> None:
        self.monitor, self.say = monitor, say
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.best_weights: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        figures = {name: float(trainer.callback_metrics[name]) for name in HISTORY_COLUMNS[1:]}
        self.history.append({"epoch": trainer.current_epoch + 1, **figures})
        if self._is_best():
            self.best_epoch = trainer.current_epoch + 1
            weights = module.recogniser.architecture.state_dict()
            self.best_weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
        if trainer.is_global_zero:
            self.say(self._line(trainer.max_epochs))

    def _is_best(self) -> bool:
        if self.monitor == "last_epoch":
            return True
        values = [row[self.monitor] for row in self.history]
        earlier = values[:-1]
        return not earlier or (values[-1] < min(earlier) if MODES[self.monitor] == "min" else values[-1] > max(earlier))

    def _line(self, max_epochs: int | None) -> str:
        row = self.history[-1]
        return (
            f"epoch {row['epoch']:>3}/{max_epochs}   "
            f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}   "
            f"validation loss {row['validation_loss']:.4f} accuracy {row['validation_accuracy']:.4f}   "
            f"lr {row['learning_rate']:.2e}{'   best so far' if self.best_epoch == row['epoch'] else ''}"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "best_epoch": self.best_epoch, "best_weights": self.best_weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history, self.best_epoch, self.best_weights = state["history"], state["best_epoch"], state["best_weights"]


class WeightAverage(Callback):
    """The exponential moving average, over training steps, of all weights and of the statistics of normalisations.

    It takes the weights' place while they are validated, and for good when training ends. Must stand behind
    `Progress`, which keeps what was validated. Not Lightning's own WeightAveraging: that gives the weights back before
    `Progress` sees them, and does not put the average in their place if a run resumes from its last epoch.
    """

    def __init__(self, decay: float, architecture: nn.Module) -> None:
        self.average = AveragedModel(architecture, avg_fn=partial(_moved, decay), use_buffers=True).eval()
        ask_once(self.average.module)

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.average.to(module.device)
        module.teacher = self.answer

    @torch.no_grad()
    def answer(self, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """(B, …) standardised, (B,) → probabilities (B, n_classes) of the average, by one view."""
        return self.average(x, length).float().softmax(1)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: object) -> None:
        self.average.update_parameters(module.recogniser.architecture)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._swap(module)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._swap(module)

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        module.recogniser.architecture.load_state_dict(self.average.module.state_dict())

    def _swap(self, module: LightningModule) -> None:
        now = module.recogniser.architecture.state_dict()
        for averaged, current in zip(self.average.module.state_dict().values(), now.values(), strict=True):
            kept = current.clone()
            current.copy_(averaged)
            averaged.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return self.average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average.load_state_dict(state)


def _moved(decay: float, averaged: torch.Tensor, current: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """`averaged`, of `count` steps, moved towards `current`; faster at first, to forget the weights it began with.

    The warm-up, (1 + count) / (10 + count), is that of TensorFlow's ExponentialMovingAverage.
    """
    if not current.is_floating_point():  # how many batches a normalisation has seen
        return current
    return averaged.lerp(current, 1 - ((1 + count) / (10 + count)).clamp(max=decay))


class Watch(Callback):
    """Tells every new history row of `progress`, behind which it must stand; what is raised there ends the training."""

    def __init__(self, progress: Progress, tell: Callable[[dict[str, float]], None]) -> None:
        self.progress, self.tell = progress, tell

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.tell(self.progress.history[-1])


class ResumePoint(Callback):
    """The whole state after an epoch, `every_s` seconds from the last at the earliest; the file is whole or the former.

    Not Lightning's `save_last`: with a monitor, that is written on a new best only. Must stand last among the
    callbacks, so that it saves what the others know of this epoch.
    """

    def __init__(self, path: Path, every_s: float) -> None:
        self.path, self.every_s = path, every_s
        self._saved_s = time.monotonic()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        # Killed after the epoch that ended training: Lightning forgets that it was to stop.
        for stopping in trainer.early_stopping_callbacks:
            trainer.should_stop |= _has_stopped(stopping)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        due = time.monotonic() - self._saved_s >= self.every_s
        if not trainer.strategy.broadcast(due):  # saving is for all devices or none: their clocks may differ
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".part")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            temporary.replace(self.path)
        trainer.strategy.barrier()
        self._saved_s = time.monotonic()


def _has_stopped(stopping: EarlyStopping) -> bool:
    return stopping.wait_count >= stopping.patience
