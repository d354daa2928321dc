"""Training as a whole: best epoch, loss, EMA, clipping, checkpoints and resuming."""

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_training as small
import torch
from scipy.special import log_softmax
from sklearn.utils.class_weight import compute_class_weight
from small_training import FixedBatches, SmallNetwork, batches, changed, equal_weights, recogniser, trained, values
from torch import nn

from stages.core.errors import UserError
from stages.params.schema import Loss
from stages.training.devices import connect
from stages.training.fit import HISTORY_COLUMNS, class_weights
from stages.training.learner import Learner


def accuracy(weights: dict[str, torch.Tensor], validation: FixedBatches) -> float:
    """Return the accuracy of the weights, computed without the training code."""
    model = recogniser()
    model.architecture.load_state_dict(weights)
    model.eval()
    correct = [(model(x.float() / 255).argmax(1) == label).float() for x, _, label in validation]
    return torch.cat(correct).mean().item()


def test_learns_easy_classes_and_prints_every_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    outcome = trained(tmp_path)
    assert outcome.history[-1]["validation_accuracy"] >= 0.95
    assert outcome.history[-1]["train_loss"] < outcome.history[0]["train_loss"]
    assert [tuple(row) for row in outcome.history] == [HISTORY_COLUMNS] * 5
    assert values(outcome, "epoch") == [1, 2, 3, 4, 5]
    assert outcome.is_global_zero
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 5
    assert "best so far" in lines[0]


def test_best_epoch_is_the_first_of_the_best_and_its_weights_have_its_accuracy(tmp_path: Path):
    noisy = batches(60, 3, noise=90.0, size=17)  # batches of unequal size: a mean over batches would be wrong
    outcome = trained(tmp_path, changed(max_epochs=8), validation=noisy)
    accuracies = values(outcome, "validation_accuracy")
    assert outcome.best_epoch == 1 + accuracies.index(max(accuracies))
    assert accuracy(outcome.best_weights, noisy) == pytest.approx(max(accuracies))
    assert accuracy(outcome.final_weights, noisy) == pytest.approx(accuracies[-1])


def test_ema_weights_are_validated_and_kept(tmp_path: Path):
    noisy = batches(60, 3, noise=90.0, size=17)
    run = changed(max_epochs=6, optimizer={"name": "sgd_nesterov", "lr": 0.3}, ema_decay=0.95)
    outcome = trained(tmp_path / "ema", run, validation=noisy)
    accuracies = values(outcome, "validation_accuracy")
    assert accuracy(outcome.best_weights, noisy) == pytest.approx(max(accuracies))
    assert accuracy(outcome.final_weights, noisy) == pytest.approx(accuracies[-1])
    plain = trained(tmp_path / "plain", run.model_copy(update={"ema_decay": None}), validation=noisy)
    assert values(plain, "train_loss") == values(outcome, "train_loss")  # the EMA does not change the training steps
    name = "layers.1.weight"
    assert not torch.allclose(plain.final_weights[name], outcome.final_weights[name])


def test_best_epoch_of_a_monitored_loss_is_its_minimum(tmp_path: Path):
    run = changed(monitor="validation_loss", optimizer={"name": "adam", "lr": 0.3}, max_epochs=6)
    outcome = trained(tmp_path, run, validation=batches(60, 3, noise=120.0))
    losses = values(outcome, "validation_loss")
    assert outcome.best_epoch == 1 + losses.index(min(losses))


def test_early_stopping_waits_for_the_given_epochs(tmp_path: Path):
    outcome = trained(tmp_path, changed(max_epochs=40, early_stopping=2))
    assert len(outcome.history) == outcome.best_epoch + 2 < 40


def test_schedules_step_with_every_epoch_or_every_batch(tmp_path: Path):
    outcome = trained(tmp_path / "a", changed(schedule={"name": "step", "step_epochs": 2, "gamma": 0.1}))
    assert values(outcome, "learning_rate") == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001])
    rates = values(trained(tmp_path / "b", changed(schedule={"name": "one_cycle", "warmup": 0.4})), "learning_rate")
    assert rates.index(max(rates)) == 1  # 40 % of five epochs
    assert rates[-1] < 0.01 / 25


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": {"class_weights": "balanced", "label_smoothing": 0.1, "mixup": 0.4}, "ema_decay": 0.8},
        {"gradient_clip_norm": 1.0, "precision": "bf16-mixed"},
        {"optimizer": {"name": "sgd_nesterov", "lr": 0.05}, "schedule": {"name": "cosine"}},
    ],
)
def test_every_recipe_learns(tmp_path: Path, changes: dict[str, object]):
    assert trained(tmp_path, changed(**changes)).history[-1]["validation_accuracy"] > 0.9


def test_equal_logits_have_the_loss_log_3_with_smoothing_or_weights(tmp_path: Path):
    class ZeroLogits(SmallNetwork):
        def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
            return super().forward(x) * 0

    for smoothing, weights in ((0.0, torch.tensor([1.0, 2.0, 3.0])), (0.3, None)):
        run = changed(loss={"class_weights": "none", "label_smoothing": smoothing}, max_epochs=1)
        outcome = trained(tmp_path / str(smoothing), run, model=recogniser(ZeroLogits()), weights=weights)
        assert outcome.history[0]["train_loss"] == pytest.approx(np.log(3), abs=1e-6)


def test_loss_and_accuracy_of_mixed_samples_weight_both_labels():
    """The loss is PyTorch's for class probabilities; a correct prediction counts as much as its label."""
    x, length, label = batches(16, 3).batches[0]
    other, targets = label.roll(1), [(label, 0.3), (label.roll(1), 0.7)]
    shares = 0.3 * nn.functional.one_hot(label, 3) + 0.7 * nn.functional.one_hot(other, 3)
    with torch.no_grad():
        fabric = connect(small.MACHINE, small.RUN.precision)
        learner = Learner(fabric, recogniser().eval(), None, small.RUN, None, small.STEPS_PER_EPOCH, seed=7)
        logits = learner.recogniser(x / 255, length)
        loss = learner._loss(logits, targets)
        expected = nn.functional.cross_entropy(logits, shares.float())
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    correct = shares[range(16), logits.argmax(1)].sum().item()
    assert learner._sums(loss, logits, targets).tolist() == pytest.approx([16 * expected.item(), correct, 16], abs=1e-4)


WEIGHTS = (None, torch.tensor([0.5, 1.0, 4.0]))


def loss_of(logits: torch.Tensor, label: torch.Tensor, smoothing: float, weights: torch.Tensor | None) -> float:
    run = changed(loss={"class_weights": "none", "label_smoothing": smoothing})
    fabric = connect(small.MACHINE, run.precision)
    learner = Learner(fabric, recogniser(), None, run, weights, small.STEPS_PER_EPOCH, seed=7)
    return learner._loss(logits, [(label, 1.0)]).item()


@pytest.mark.parametrize("weights", WEIGHTS, ids=["equal", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_of_shares_is_the_cross_entropy(smoothing: float, weights: torch.Tensor | None):
    """Computed with NumPy. Certain shares give the loss of the labels, with class weights and smoothing, too."""
    rng = np.random.default_rng(4)
    logits, shares = rng.normal(size=(8, 3)), rng.dirichlet(np.ones(3), 8)
    weight = np.ones(3) if weights is None else weights.numpy()
    target = (1 - smoothing) * shares + smoothing / 3
    expected = -(weight * target * log_softmax(logits, 1)).sum() / (shares @ weight).sum()
    tensors = torch.tensor(logits).float(), torch.tensor(shares).float()
    assert loss_of(*tensors, smoothing, weights) == pytest.approx(expected, rel=1e-5)
    label = torch.tensor(rng.integers(0, 3, 8))
    certain = nn.functional.one_hot(label, 3).float()
    of_labels = loss_of(tensors[0], label, smoothing, weights)
    assert loss_of(tensors[0], certain, smoothing, weights) == pytest.approx(of_labels, rel=1e-6)


@pytest.mark.parametrize("mixup", [None, 0.4])
def test_training_with_certain_shares_equals_training_with_labels(tmp_path: Path, mixup: float | None):
    run = changed(loss={**small.MIXUP, "mixup": mixup, "label_smoothing": 0.1}, max_epochs=2)
    run = run.model_copy(update={"optimizer": {"name": "sgd_nesterov", "lr": 0.05}})
    plain = trained(tmp_path / "plain", run, weights=WEIGHTS[1])
    shared = trained(tmp_path / "shared", run, weights=WEIGHTS[1], shares=lambda y: nn.functional.one_hot(y, 3).float())
    for column in ("train_loss", "train_accuracy", "validation_loss"):
        assert values(shared, column) == pytest.approx(values(plain, column), rel=1e-4)


def test_shares_of_votes_become_the_probabilities(tmp_path: Path):
    """All images of a class have the shares .7, .3, 0 of the classes from it on; the network predicts these."""
    rows = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.7, 0.3], [0.3, 0.0, 0.7]])
    outcome = trained(tmp_path, changed(max_epochs=40), shares=lambda label: rows[label])
    entropy = -(0.7 * np.log(0.7) + 0.3 * np.log(0.3))
    assert outcome.history[-1]["train_loss"] == pytest.approx(entropy, abs=0.05)
    assert outcome.history[-1]["validation_accuracy"] > 0.95
    model = recogniser()
    model.architecture.load_state_dict(outcome.final_weights)
    x, _, label = batches(45, 2).batches[0]
    np.testing.assert_allclose(model.eval()(x / 255).softmax(1).detach(), rows[label], atol=0.12)


def test_mixup_raises_the_training_loss_only(tmp_path: Path):
    plain = trained(tmp_path / "plain").history[-1]
    mixed = trained(tmp_path / "mixed", changed(loss={**small.MIXUP, "mixup": 1.0})).history[-1]
    assert mixed["train_loss"] > plain["train_loss"] + 0.2
    assert mixed["validation_accuracy"] > 0.9


def test_a_large_class_weight_decides_ambiguous_images(tmp_path: Path):
    ambiguous = FixedBatches([(torch.full_like(x, 60), length, label) for x, length, label in batches(45, 2)])
    outcome = trained(tmp_path, weights=torch.tensor([0.01, 0.01, 1.0]), validation=ambiguous)
    model = recogniser()
    model.architecture.load_state_dict(outcome.final_weights)
    assert model.eval()(ambiguous.batches[0][0].float() / 255).argmax(1).unique().tolist() == [2]


@pytest.mark.parametrize("counts", [[10, 10, 10], [436, 7215, 4830]])
def test_balanced_class_weights_equal_scikit_learns(counts: list[int]):
    loss = Loss(class_weights="balanced", label_smoothing=0.0)
    label = np.repeat(np.arange(3), counts)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=label)
    weights = class_weights(loss, ["a", "b", "c"], np.array(counts))
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


def test_class_weights_by_name_follow_the_order_of_classes():
    loss = Loss(class_weights={"sad": 3.0, "angry": 1.0, "happy": 2.0}, label_smoothing=0.0)
    assert class_weights(loss, ["angry", "happy", "sad"], np.ones(3)).tolist() == [1.0, 2.0, 3.0]
    assert class_weights(small.RUN.loss, ["angry"], np.ones(1)) is None


def longest_gradient(tmp_path: Path, clip: float | None) -> float:
    model, norms = recogniser(), []
    original = torch.optim.SGD.step

    def measure(self: torch.optim.SGD, *rest: object) -> None:
        gradients = [weight.grad.norm() for weight in model.parameters() if weight.grad is not None]
        norms.append(torch.stack(gradients).norm().item())
        original(self, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", measure)
        optimizer = {"name": "sgd_nesterov", "lr": 1.0, "momentum": 0.0}
        trained(tmp_path, changed(optimizer=optimizer, gradient_clip_norm=clip, max_epochs=1), model=model)
    return max(norms)


def test_gradients_are_clipped_to_the_norm(tmp_path: Path):
    assert longest_gradient(tmp_path / "unclipped", None) > 0.3
    assert longest_gradient(tmp_path / "clipped", 0.05) <= 0.05 + 1e-5


def test_a_loss_that_is_not_finite_is_a_one_line_error(tmp_path: Path):
    run = changed(optimizer={"name": "sgd_nesterov", "lr": 1e30})
    with pytest.raises(UserError, match=r"^the loss is (nan|inf) at step.*$"):
        trained(tmp_path, run)


def test_a_missing_device_is_a_one_line_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"^machine: .*$"):
        trained(tmp_path, machine=small.MACHINE.model_copy(update={"accelerator": "gpu", "devices": 64}))


class Penalised(SmallNetwork):
    def penalty(self) -> torch.Tensor:
        return 100 * self.layers[1].weight.square().sum()


def test_a_penalty_is_minimised_but_not_part_of_the_reported_loss(tmp_path: Path):
    plain, penalised = recogniser(), recogniser(Penalised())
    trained(tmp_path / "plain", model=plain)
    outcome = trained(tmp_path / "penalised", model=penalised)
    assert penalised.architecture.penalty() < 0.05 * 100 * plain.architecture.layers[1].weight.square().sum()
    assert outcome.history[0]["train_loss"] < 10


class Pretrained(SmallNetwork):
    """Its pretrained weights choose the brightest third."""

    n_loads = 0

    def load_pretrained(self) -> None:
        self.n_loads += 1
        self.layers = nn.Sequential(nn.AvgPool2d((6, 2)), nn.Flatten())
        self.layers.append(nn.Linear(3, 3))
        self.layers[2].weight.data = 10 * torch.eye(3)


def test_pretrained_weights_are_loaded_at_the_start_but_not_on_resume(tmp_path: Path):
    first, second = recogniser(Pretrained()), recogniser(Pretrained())
    outcome = trained(tmp_path, changed(max_epochs=1), model=first)
    assert first.architecture.n_loads == 1
    assert outcome.history[0]["train_accuracy"] > 0.9
    second.architecture.load_pretrained()
    assert len(trained(tmp_path, changed(max_epochs=2), model=second).history) == 2
    assert second.architecture.n_loads == 1  # the call above


def test_augmentation_is_applied_to_unstandardised_training_batches_only(tmp_path: Path):
    calls = []

    def record(x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append((x.min().item(), x.max().item(), x.requires_grad))
        return x, length

    trained(tmp_path, changed(max_epochs=2), augmentation=record)
    assert len(calls) == 2 * small.STEPS_PER_EPOCH
    assert all(low >= 0 and high <= 1 and not grad for low, high, grad in calls)


def test_results_do_not_depend_on_the_global_random_state(tmp_path: Path):
    first = trained(tmp_path / "a")
    again = trained(tmp_path / "b", model=(torch.rand(17), recogniser())[1])
    assert first.history == again.history
    assert equal_weights(first.final_weights, again.final_weights)


def test_a_longer_training_continues_a_shorter_one(tmp_path: Path):
    whole = trained(tmp_path / "whole", changed(max_epochs=6))
    trained(tmp_path / "parts", changed(max_epochs=2))
    resumed = trained(tmp_path / "parts", changed(max_epochs=6))
    assert (resumed.history, resumed.best_epoch) == (whole.history, whole.best_epoch)
    assert equal_weights(whole.best_weights, resumed.best_weights)


def noise(failing_call: int = 0) -> Callable:
    """Return an augmentation that adds random noise and fails at a certain call; 0: never."""
    calls = itertools.count(1)

    def add(x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if next(calls) == failing_call:
            raise ConnectionResetError
        return x + 0.01 * torch.rand_like(x), length

    return add


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": {"name": "step", "step_epochs": 1, "gamma": 0.5}},
        {"schedule": {"name": "plateau", "patience_epochs": 1}, "loss": small.MIXUP, "ema_decay": 0.8},
        {"schedule": {"name": "cosine"}, "precision": "bf16-mixed"},
        {"schedule": {"name": "one_cycle"}},
    ],
)
def test_an_interrupted_training_continues_as_if_it_had_not_been(tmp_path: Path, changes: dict):
    run = changed(monitor="validation_loss", early_stopping=4, **changes)
    whole = trained(tmp_path / "whole", run, augmentation=noise())
    with pytest.raises(ConnectionResetError):
        trained(tmp_path / "parts", run, augmentation=noise(3 * small.STEPS_PER_EPOCH + 4))
    resumed = trained(tmp_path / "parts", run, augmentation=noise())
    assert resumed.history == whole.history
    assert equal_weights(whole.final_weights, resumed.final_weights)


@pytest.mark.parametrize(("every_s", "expected"), [(0.0, [1, 2, 3, 4, 5]), (1.5, [2, 4]), (100.0, [])])
def test_checkpoints_keep_their_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_s: float, expected: list[int]
):
    """Each epoch takes one second of a simulated clock."""
    epochs, save, train_epoch = [], torch.save, Learner.train_epoch
    clock = SimpleNamespace(seconds=0.0, monotonic=lambda: clock.seconds)

    def recording_save(state: dict, path: Path) -> None:
        epochs.append(len(state["history"]))
        save(state, path)

    def timed_epoch(self: Learner, batches: FixedBatches) -> tuple[float, float]:
        clock.seconds += 1
        return train_epoch(self, batches)

    monkeypatch.setattr("stages.training.fit.torch.save", recording_save)
    monkeypatch.setattr("stages.training.fit.time", clock)
    monkeypatch.setattr(Learner, "train_epoch", timed_epoch)
    trained(tmp_path, machine=small.MACHINE.model_copy(update={"checkpoint_every_s": every_s}))
    assert epochs == expected


def test_checkpoints_of_other_settings_are_deleted(tmp_path: Path):
    for name in ("old/last.ckpt", "mine/notes.txt"):
        (tmp_path / "checkpoints" / name).parent.mkdir(parents=True)
        (tmp_path / "checkpoints" / name).write_text("")
    trained(tmp_path)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"own-1", "mine"}
