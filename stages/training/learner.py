"""A network in training: one epoch of steps, one of validation, and the state that a resumed training needs."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from stages.core import lookup
from stages.core.errors import UserError
from stages.core.seeding import derive
from stages.params.schema import Run
from stages.training import mixup
from stages.training.ema import Ema
from stages.training.mixup import Targets
from stages.training.recogniser import Recogniser
from stages.training.schedules import MODES, Horizon

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Means = tuple[float, float]  # loss and accuracy over an epoch's samples, of all devices


class Learner:
    """Trains `recogniser` as `run` says. `class_weights` (n_classes,) or None weigh the loss."""

    def __init__(
        self,
        fabric: "Fabric",
        recogniser: Recogniser,
        augmentation: nn.Module | None,
        run: Run,
        class_weights: torch.Tensor | None,
        steps_per_epoch: int,
        seed: int,
    ) -> None:
        self.fabric, self.recogniser, self.run, self.seed = fabric, recogniser, run, seed
        self.augmentation = augmentation
        optimizer = lookup.build("training.optimizers", run.optimizer, recogniser.parameters())
        if "fused" in optimizer.defaults:  # one call for all weights; told as an argument, it would forbid clipping
            for group in optimizer.param_groups:
                group["fused"] = True
        self.network, self.optimizer = fabric.setup(recogniser, optimizer)  # on its device, or several: DDP
        horizon = Horizon(run.max_epochs, run.max_epochs * steps_per_epoch, MODES.get(run.monitor, "min"))
        self.schedule = lookup.build("training.schedules", run.schedule, optimizer, horizon)
        self.ema = None if run.ema_decay is None else Ema(recogniser.architecture, run.ema_decay)
        self.loss = nn.CrossEntropyLoss(class_weights, label_smoothing=run.loss.label_smoothing).to(fabric.device)
        self.step = 0

    def train_epoch(self, batches: Iterable) -> Means:
        """One optimiser step per batch. Raises `UserError` if the loss is no number."""
        self.network.train()
        sums = torch.zeros(3, dtype=torch.float64)  # loss, hits, samples
        for batch in batches:
            x, length, targets = self._augmented(*self.fabric.to_device(batch))
            logits = self.network(x, length).float()  # (B, n_classes)
            loss = self._loss(logits, targets)
            self._update(loss + self.recogniser.penalty())
            sums += self._sums(loss, logits, targets)
        return self._means(sums)

    def _augmented(
        self, packed: torch.Tensor, length: torch.Tensor, label: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Targets]:
        """Stored values (B, …) → augmented ones in the feature's units, their lengths, and what they are to give."""
        # Dropout and augmentation depend on (seed, step) alone: a resumed run draws what an unbroken one draws.
        seed = derive(self.seed, f"training step, rank {self.fabric.global_rank}", self.step)
        # On a CPU, torch.manual_seed would note a stack trace for each kind of device that is not there: 0.3 ms a step.
        (torch.default_generator.manual_seed if packed.device.type == "cpu" else torch.manual_seed)(seed)
        x = self.recogniser.unpack(packed)
        with torch.no_grad():
            if self.augmentation is not None:
                x, length = self.augmentation(x, length)
            if self.run.loss.mixup is not None:
                return mixup.mix(x, length, label, self.run.loss.mixup)
        return x, length, [(label, 1.0)]

    def _update(self, loss: torch.Tensor) -> None:
        """One step of the optimiser, and of what follows it."""
        if not math.isfinite(value := loss.item()):
            raise UserError(f"the loss is {value} at step {self.step}: lower optimizer.lr or set gradient_clip_norm")
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.run.gradient_clip_norm is not None:
            clip = {"max_norm": self.run.gradient_clip_norm, "error_if_nonfinite": False}
            self.fabric.clip_gradients(self.network, self.optimizer, **clip)
        self.optimizer.step()
        self.step += 1
        if self.schedule.per == "step":
            self.schedule.scheduler.step()
        if self.ema is not None:
            self.ema.update_parameters(self.recogniser.architecture)

    @torch.no_grad()
    def validate(self, batches: Iterable, n_classes: int) -> tuple[Means, torch.Tensor]:
        """Loss and accuracy, and the counts of (true class, predicted class) (n_classes, n_classes)."""
        self.network.eval()
        sums, counts = torch.zeros(3, dtype=torch.float64), torch.zeros(n_classes * n_classes, dtype=torch.long)
        for batch in batches:
            packed, length, label = self.fabric.to_device(batch)
            logits = self.network(self.recogniser.unpack(packed), length).float()
            sums += self._sums(self._loss(logits, [(label, 1.0)]), logits, [(label, 1.0)])
            pairs = label * n_classes + logits.argmax(1)  # (B,)
            counts += torch.bincount(pairs.cpu(), minlength=n_classes * n_classes)
        counts = self.fabric.all_reduce(counts.to(self.fabric.device), reduce_op="sum").cpu()
        return self._means(sums), counts.view(n_classes, n_classes)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside the block, the network has the averaged weights, if the run keeps an average."""
        if self.ema is None:
            yield
        else:
            with self.ema.in_place_of(self.recogniser.architecture):
                yield

    def end_epoch(self, row: dict[str, float]) -> None:
        """The schedule's step, for those that take one each epoch; `row` of the history."""
        if self.schedule.per == "epoch":
            self.schedule.scheduler.step()
        elif self.schedule.per == "monitored":
            self.schedule.scheduler.step(row[self.run.monitor])

    @property
    def learning_rate(self) -> float:
        return self.optimizer.param_groups[0]["lr"]

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the network's weights, on the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.recogniser.architecture.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts().items()} | {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = state["step"]

    def _parts(self) -> dict[str, Any]:
        parts = {"architecture": self.recogniser.architecture, "optimizer": self.optimizer}
        parts |= {"schedule": self.schedule.scheduler, "precision": self.fabric.strategy.precision}
        return parts if self.ema is None else parts | {"ema": self.ema}

    def _loss(self, logits: torch.Tensor, targets: Targets) -> torch.Tensor:
        return sum(share * self.loss(logits, label) for label, share in targets)

    def _sums(self, loss: torch.Tensor, logits: torch.Tensor, targets: Targets) -> torch.Tensor:
        """(3,) loss · B, hits, B; a hit counts as much as the class that was hit has of the sample."""
        predicted = logits.argmax(1)
        hits = sum(share * (predicted == label).sum().item() for label, share in targets)
        return torch.tensor([loss.item() * len(logits), hits, len(logits)], dtype=torch.float64)

    def _means(self, sums: torch.Tensor) -> Means:
        if self.fabric.world_size > 1:
            sums = self.fabric.all_reduce(sums.to(self.fabric.device), reduce_op="sum").cpu()
        loss, hits, count = sums.tolist()
        return loss / count, hits / count
