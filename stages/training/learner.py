"""Training and validation of one epoch, and the state that a resumed training needs."""

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
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

Means = tuple[float, float]  # loss and accuracy over an epoch's samples on all devices


class Learner:
    """Trains `recogniser` with the settings of `run`. `class_weights`: (n_classes,) weights of the loss, or None."""

    def __init__(
        self,
        fabric: "Fabric",
        recogniser: Recogniser,
        augmentation: Callable | None,
        run: Run,
        class_weights: torch.Tensor | None,
        steps_per_epoch: int,
        seed: int,
    ) -> None:
        self.fabric, self.recogniser, self.run, self.seed = fabric, recogniser, run, seed
        self.augmentation = augmentation
        optimizer = lookup.build("training.optimizers", run.optimizer, recogniser.parameters())
        if "fused" in optimizer.defaults:  # one kernel for all weights; passed as an argument, it would forbid clipping
            for group in optimizer.param_groups:
                group["fused"] = True
        self.network, self.optimizer = fabric.setup(recogniser, optimizer)  # on its device; in DDP on several
        horizon = Horizon(run.max_epochs, run.max_epochs * steps_per_epoch, MODES.get(run.monitor, "min"))
        self.schedule = lookup.build("training.schedules", run.schedule, optimizer, horizon)
        self.ema = None if run.ema_decay is None else Ema(recogniser.architecture, run.ema_decay)
        self.loss = nn.CrossEntropyLoss(class_weights, label_smoothing=run.loss.label_smoothing).to(fabric.device)
        self.step = 0

    def train_epoch(self, batches: Iterable) -> Means:
        """Train on every batch; return the mean loss and accuracy. Raises `UserError` if the loss is not finite."""
        self.network.train()
        sums = torch.zeros(3, dtype=torch.float64)  # loss, correct, samples
        for batch in batches:
            x, length, targets = self._augmented(*self.fabric.to_device(batch))
            logits = self.network(x, length).float()  # (B, n_classes)
            loss = self._loss(logits, targets)
            self._update((loss + self.recogniser.penalty()) * self._share(targets))
            sums += self._sums(loss, logits, targets)
        return self._means(sums)

    def _augmented(
        self, packed: torch.Tensor, length: torch.Tensor, label: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Targets]:
        """Return a batch of stored values (B, …) as augmented values in the feature's units, lengths and targets."""
        # Dropout and augmentation depend only on (seed, step), so that a resumed training repeats an uninterrupted one.
        seed = derive(self.seed, f"training step, rank {self.fabric.global_rank}", self.step)
        # torch.manual_seed takes 0.3 ms more on a CPU: it records a stack trace for each kind of absent device.
        (torch.default_generator.manual_seed if packed.device.type == "cpu" else torch.manual_seed)(seed)
        x = self.recogniser.unpack(packed)
        with torch.no_grad():
            if self.augmentation is not None:
                x, length = self.augmentation(x, length)
            if self.run.loss.mixup is not None:
                return mixup.mix(x, length, label, self.run.loss.mixup)
        return x, length, [(label, 1.0)]

    def _share(self, targets: Targets) -> float:
        """Return the factor with which the mean of all devices' gradients is that of their samples together.

        It is 1 but for the last batch of an epoch, of which devices may have different numbers of samples, and for
        class weights, with which a sample counts as much as its class.
        """
        if self.fabric.world_size == 1:
            return 1.0
        own = sum(share * self._weight_of(label) for label, share in targets)
        total = self.fabric.all_reduce(torch.tensor(own, device=self.fabric.device), reduce_op="sum").item()
        return own * self.fabric.world_size / total

    def _weight_of(self, label: torch.Tensor) -> float:
        weight = self.loss.weight
        if weight is None:
            return float(len(label))
        return float((weight[label] if label.dim() == 1 else label @ weight).sum())

    def _update(self, loss: torch.Tensor) -> None:
        """Do one step of the optimiser, the schedule and the EMA."""
        if not math.isfinite(value := loss.item()):
            raise UserError(f"the loss is {value} at step {self.step}: lower optimizer.lr or set gradient_clip_norm")
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if (norm := self.run.gradient_clip_norm) is not None:
            self.fabric.clip_gradients(self.network, self.optimizer, max_norm=norm, error_if_nonfinite=False)
        self.optimizer.step()
        self.step += 1
        if self.schedule.per == "step":
            self.schedule.scheduler.step()
        if self.ema is not None:
            self.ema.update_parameters(self.recogniser.architecture)

    @torch.no_grad()
    def validate(self, batches: Iterable, n_classes: int) -> tuple[Means, torch.Tensor]:
        """Return mean loss and accuracy, and the counts of (true class, predicted class) (n_classes, n_classes)."""
        self.network.eval()
        self._share_statistics()
        sums, counts = torch.zeros(3, dtype=torch.float64), torch.zeros(n_classes * n_classes, dtype=torch.long)
        for batch in batches:
            packed, length, label = self.fabric.to_device(batch)
            with self.fabric.autocast():  # without DDP, which waits for processes that have fewer batches
                logits = self.recogniser(self.recogniser.unpack(packed), length).float()
            sums += self._sums(self._loss(logits, [(label, 1.0)]), logits, [(label, 1.0)])
            pairs = label * n_classes + logits.argmax(1)  # (B,)
            counts += torch.bincount(pairs.cpu(), minlength=n_classes * n_classes)
        counts = self.fabric.all_reduce(counts.to(self.fabric.device), reduce_op="sum").cpu()
        return self._means(sums), counts.view(n_classes, n_classes)

    def _share_statistics(self) -> None:
        """Give every process the statistics of batch normalisation of the first one, whose weights are kept."""
        if self.fabric.world_size > 1:
            for statistics in self.recogniser.architecture.buffers():
                torch.distributed.broadcast(statistics, 0)

    def averaged(self) -> AbstractContextManager:
        """Give the network the EMA weights inside the block, if the run uses an EMA."""
        return nullcontext() if self.ema is None else self.ema.applied_to(self.recogniser.architecture)

    def end_epoch(self, row: dict[str, float]) -> None:
        """Do the step of a schedule that steps once per epoch; `row` is the epoch's history row."""
        if self.schedule.per == "epoch":
            self.schedule.scheduler.step()
        elif self.schedule.per == "monitored":
            self.schedule.scheduler.step(row[self.run.monitor])

    @property
    def learning_rate(self) -> float:
        return self.optimizer.param_groups[0]["lr"]

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the network's weights on the CPU."""
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
        return sum(share * self._loss_of(logits, label) for label, share in targets)

    def _loss_of(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        loss, weight = self.loss(logits, label), self.loss.weight
        if label.dim() == 1 or weight is None:
            return loss
        # PyTorch divides by the sum of the samples' class weights for classes, but by B for shares of classes.
        return loss * len(label) / (label @ weight).sum()

    def _sums(self, loss: torch.Tensor, logits: torch.Tensor, targets: Targets) -> torch.Tensor:
        """Return (3,) loss · B, correct, B; a correct prediction counts as much as its label's weight in the sample.

        Of shares of classes, the class with the largest share is the correct one.
        """
        predicted = logits.argmax(1)
        classes = ((label if label.dim() == 1 else label.argmax(1), share) for label, share in targets)
        correct = sum(share * (predicted == label).sum().item() for label, share in classes)
        return torch.tensor([loss.item() * len(logits), correct, len(logits)], dtype=torch.float64)

    def _means(self, sums: torch.Tensor) -> Means:
        if self.fabric.world_size > 1:
            sums = self.fabric.all_reduce(sums.to(self.fabric.device), reduce_op="sum").cpu()
        loss, correct, count = sums.tolist()
        return loss / count, correct / count
