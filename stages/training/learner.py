"""One training step and one validation step, for Lightning to run on any device."""

from collections.abc import Callable

import lightning.pytorch as lightning
import torch
from torch import nn
from torchmetrics import MeanMetric

from stages.core import lookup
from stages.core.errors import UserError
from stages.core.seeding import derive
from stages.params.schema import Run
from stages.training import mixup
from stages.training.mixup import Targets
from stages.training.recogniser import Recogniser
from stages.training.schedules import MODES, Horizon, Schedule

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Teacher = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Learner(lightning.LightningModule):
    """Trains `recogniser` as `run` says. `class_weights` (n_classes,) or None weigh the loss."""

    def __init__(
        self,
        recogniser: Recogniser,
        augmentation: nn.Module | None,
        run: Run,
        class_weights: torch.Tensor | None,
        max_epochs: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.recogniser, self.augmentation, self.run, self.seed = recogniser, augmentation, run, seed
        self.loss = nn.CrossEntropyLoss(class_weights, label_smoothing=run.loss.label_smoothing)
        self.max_epochs = max_epochs
        self.schedule: Schedule | None = None
        self.teacher: Teacher | None = None  # WeightAverage sets it
        self._waiting_schedule_state: dict | None = None
        # train and validation, each means of loss and hits that stay right over several devices
        # (a loss that is no number must show, which by default torchmetrics would leave out of the mean)
        parts = ("train_", "validation_")
        self.mean_loss = nn.ModuleDict({part: MeanMetric(nan_strategy="disable") for part in parts})
        self.hits = nn.ModuleDict({part: MeanMetric(nan_strategy="disable") for part in parts})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser; the schedule steps in our own hooks: Lightning saves ReduceLROnPlateau before its step."""
        optimizer = lookup.build("training.optimizers", self.run.optimizer, self.recogniser.parameters())
        if "fused" in optimizer.defaults:  # one call for all weights; told as an argument, it would forbid clipping
            for group in optimizer.param_groups:
                group["fused"] = True
        total_steps = int(self.trainer.estimated_stepping_batches)
        horizon = Horizon(self.max_epochs, total_steps, MODES.get(self.run.monitor, "min"))
        self.schedule = lookup.build("training.schedules", self.run.schedule, optimizer, horizon)
        if self._waiting_schedule_state is not None:
            self.schedule.scheduler.load_state_dict(self._waiting_schedule_state)
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["schedule"] = self.schedule.scheduler.state_dict()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self._waiting_schedule_state = checkpoint["schedule"]

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        # Dropout and augmentation depend on (seed, step) alone: a resumed run draws what an unbroken one draws.
        seed = derive(self.seed, f"training step, rank {self.global_rank}", self.global_step)
        # On a CPU, torch.manual_seed would note a stack trace for each kind of device that is not there: 0.3 ms a step.
        (torch.default_generator.manual_seed if self.device.type == "cpu" else torch.manual_seed)(seed)

    def training_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        packed, length, label = batch
        x = self.recogniser.unpack(packed)
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            x, length = self.augmentation(x, length) if self.augmentation is not None else (x, length)
            if self.run.loss.mixup is None:
                targets = [(label, 1.0)]
            else:
                x, length, targets = mixup.mix(x, length, label, self.run.loss.mixup)
        loss, _, logits = self._score(x, length, targets, "train_")
        loss = self._taught(loss, logits, x, length) + self.recogniser.penalty()
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss is {loss.item()} at step {self.global_step}: lower optimizer.lr or set gradient_clip_norm"
            )
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        if self.schedule.per == "step":
            self.schedule.scheduler.step()

    def validation_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        """The predicted classes (B,), for callbacks."""
        packed, length, label = batch
        return self._score(self.recogniser.unpack(packed), length, [(label, 1.0)], "validation_")[1]

    def on_validation_epoch_end(self) -> None:
        figures = {}
        for part in self.mean_loss:
            figures[f"{part}loss"] = self.mean_loss[part].compute()
            figures[f"{part}accuracy"] = self.hits[part].compute()
            self.mean_loss[part].reset()
            self.hits[part].reset()
        figures["learning_rate"] = self.optimizers().param_groups[0]["lr"]
        self.log_dict(figures)
        if self.schedule.per == "epoch":
            self.schedule.scheduler.step()
        elif self.schedule.per == "monitored":
            self.schedule.scheduler.step(figures[self.run.monitor])

    def _taught(self, loss: torch.Tensor, logits: torch.Tensor, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """`loss`, of the labels, mixed with that of the teacher's answers, which count for more from epoch to epoch.

        Kim, Ji, Yoon, Hwang, "Self-knowledge distillation with progressive refinement of targets", ICCV 2021,
        equations 2 and 4; the teacher is the moving average of the weights rather than those of the epoch before.
        """
        share = 0.0 * self.current_epoch / self.max_epochs
        if share == 0:
            return loss
        if self.teacher is None:  # params are checked for it; a study may draw one without the other
            raise UserError("loss.self_distillation needs ema_decay")
        answer = self.teacher(self.recogniser.standardise(x), length)
        return (1 - share) * loss + share * nn.functional.cross_entropy(logits, answer)

    def _score(self, x: torch.Tensor, length: torch.Tensor, targets: Targets, part: str) -> tuple[torch.Tensor, ...]:
        """The loss, the predicted classes (B,), the logits (B, n_classes)."""
        logits = self.recogniser(x, length).float()
        predicted = logits.detach().argmax(1)
        loss = sum(share * self.loss(logits, label) for label, share in targets)
        self.mean_loss[part].update(loss.detach(), len(x))
        self.hits[part].update(sum(share * (predicted == label).float() for label, share in targets))
        return loss, predicted, logits
