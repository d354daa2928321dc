"""Training as a whole, on pictures that a child could tell apart."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from stages.core.errors import UserError
from stages.params.schema import Loss, Machine, Run
from stages.training.devices import connect
from stages.training.fit import HISTORY_COLUMNS, Outcome, class_weights, fit, resume_folder
from stages.training.learner import Learner
from stages.training.recogniser import Recogniser

MACHINE = Machine(workers=1, threads=1, accelerator="cpu", devices=1, strategy="auto", nodes=1)
RUN = Run(
    corpus="faces",
    dataset="faces",
    model={"name": "none"},
    recipe="none",
    loss={"class_weights": "none", "label_smoothing": 0.0},
    optimizer={"name": "adam", "lr": 0.01},
    gradient_clip_norm=None,
    schedule={"name": "constant"},
    batch_size=16,
    max_epochs=5,
    early_stopping=None,
    monitor="validation_accuracy",
    augmentation=None,
    precision="32-true",
    loading="memory",
)
AVERAGED = {"loss": {**RUN.loss.model_dump(), "mixup": 0.4}, "ema_decay": 0.8}


def changed(**change: object) -> Run:
    return Run(**{**RUN.model_dump(), **change})


class Listed:
    """Batches that are the same each epoch."""

    def __init__(self, batches: list[tuple[torch.Tensor, ...]]) -> None:
        self.batches = batches

    def set_epoch(self, epoch: int) -> None:
        pass

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        return iter(self.batches)


def batches(count: int, seed: int, noise: float = 10.0, size: int = 16) -> Listed:
    """Three classes: the left, middle or right third of a 6x6 picture is bright."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(count) % 3)
    x = rng.normal(60, noise, (count, 1, 6, 6))
    for number, of in enumerate(label):
        x[number, :, :, 2 * of : 2 * of + 2] += 80
    packed = torch.from_numpy(np.clip(x, 0, 255).astype(np.uint8))
    columns = (packed, torch.zeros(count, dtype=torch.long), torch.from_numpy(label))
    return Listed(list(zip(*(column.split(size) for column in columns), strict=True)))


class Small(nn.Module):
    """Something of everything that behaves differently in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(36, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3)
        )

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        return self.layers(x)


def recogniser(architecture: nn.Module | None = None) -> Recogniser:
    torch.manual_seed(1)
    mean, sd = torch.full((1, 1, 1), 0.35), torch.full((1, 1, 1), 0.2)
    return Recogniser(architecture or Small(), mean, sd, 1 / 255, 0.0)


def trained(
    tmp_path: Path,
    run: Run = RUN,
    *,
    model: Recogniser | None = None,
    weights: torch.Tensor | None = None,
    train: Listed | None = None,
    validation: Listed | None = None,
    augmentation: nn.Module | None = None,
    machine: Machine = MACHINE,
    **sizes: int,
) -> Outcome:
    return fit(
        model or recogniser(),
        augmentation,
        train or batches(sizes.get("count", 96), 1),
        validation or batches(45, 2),
        run,
        classes=["angry", "happy", "sad"],
        weights=weights,
        machine=machine,
        seed=7,
        resume_folder=tmp_path / "resume",
        log_folder=tmp_path / "logs" / "run",
    )


def accuracy(weights: dict[str, torch.Tensor], validation: Listed) -> float:
    """Worked out here, without the trainer."""
    model = recogniser()
    model.architecture.load_state_dict(weights)
    model.eval()
    hits = [(model(x.float() / 255).argmax(1) == label).float() for x, _, label in validation]
    return torch.cat(hits).mean().item()


def test_learns_what_is_easy_and_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    outcome = trained(tmp_path)
    assert outcome.history[-1]["validation_accuracy"] >= 0.95
    assert outcome.history[-1]["train_loss"] < outcome.history[0]["train_loss"]
    assert [tuple(row) for row in outcome.history] == [HISTORY_COLUMNS] * 5
    assert [row["epoch"] for row in outcome.history] == [1, 2, 3, 4, 5]
    assert outcome.is_global_zero
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(said) == 5
    assert said[0].startswith("epoch   1/5 ")
    assert "best so far" in said[0]


def test_best_epoch_is_the_first_of_the_best_and_its_weights_give_its_accuracy(tmp_path: Path):
    noisy = batches(60, 3, noise=90.0, size=17)  # batches of unequal size: a mean over batches would be wrong
    outcome = trained(tmp_path, changed(max_epochs=8), validation=noisy)
    figures = [row["validation_accuracy"] for row in outcome.history]
    assert outcome.best_epoch == 1 + figures.index(max(figures))
    assert accuracy(outcome.best_weights, noisy) == pytest.approx(max(figures))
    assert accuracy(outcome.final_weights, noisy) == pytest.approx(figures[-1])


def test_averaged_weights_are_what_is_validated_and_kept(tmp_path: Path):
    noisy = batches(60, 3, noise=90.0, size=17)
    run = changed(max_epochs=6, optimizer={"name": "sgd_nesterov", "lr": 0.3}, ema_decay=0.95)
    outcome = trained(tmp_path / "averaged", run, validation=noisy)
    figures = [row["validation_accuracy"] for row in outcome.history]
    assert accuracy(outcome.best_weights, noisy) == pytest.approx(max(figures))
    assert accuracy(outcome.final_weights, noisy) == pytest.approx(figures[-1])
    plain = trained(tmp_path / "plain", run.model_copy(update={"ema_decay": None}), validation=noisy)
    # the steps themselves are the same, so the statistics of each epoch's training batches are, too
    assert [row["train_loss"] for row in plain.history] == [row["train_loss"] for row in outcome.history]
    name = "layers.1.weight"
    assert not torch.allclose(plain.final_weights[name], outcome.final_weights[name])


def test_averaged_weights_of_a_finished_training_are_the_final_ones(tmp_path: Path):
    """Killed after the last epoch: nothing is left to train, and the average still takes the weights' place."""
    run = changed(max_epochs=2, ema_decay=0.9)
    whole, again = trained(tmp_path, run), trained(tmp_path, run)
    assert whole.final_weights.keys() == again.final_weights.keys()
    assert all(torch.equal(whole.final_weights[key], again.final_weights[key]) for key in whole.final_weights)


def test_monitoring_the_loss_looks_for_its_least(tmp_path: Path):
    run = changed(monitor="validation_loss", optimizer={"name": "adam", "lr": 0.3}, max_epochs=6)
    outcome = trained(tmp_path, run, validation=batches(60, 3, noise=120.0))
    figures = [row["validation_loss"] for row in outcome.history]
    assert outcome.best_epoch == 1 + figures.index(min(figures))


def test_early_stopping_waits_as_long_as_it_says(tmp_path: Path):
    outcome = trained(tmp_path, changed(max_epochs=40, early_stopping=2))
    assert len(outcome.history) == outcome.best_epoch + 2 < 40


def test_learning_rate_in_the_history_is_the_one_the_epoch_ran_at(tmp_path: Path):
    schedule = {"name": "step", "step_epochs": 2, "gamma": 0.1}
    outcome = trained(tmp_path, changed(schedule=schedule))
    expected = [0.01, 0.01, 0.001, 0.001, 0.0001]
    assert [row["learning_rate"] for row in outcome.history] == pytest.approx(expected)


def test_one_cycle_steps_with_every_batch(tmp_path: Path):
    outcome = trained(tmp_path, changed(schedule={"name": "one_cycle", "warmup": 0.4}))
    rates = [row["learning_rate"] for row in outcome.history]
    assert rates.index(max(rates)) == 1  # 40% of five epochs
    assert rates[-1] < 0.01 / 25


@pytest.mark.parametrize(
    "change",
    [
        {"loss": {"class_weights": "none", "label_smoothing": 0.1}},
        {"loss": {"class_weights": "balanced", "label_smoothing": 0.0, "mixup": 0.4}},
        {"precision": "bf16-mixed"},
        {"gradient_clip_norm": 1.0},
        {"gradient_clip_norm": 1.0, "precision": "bf16-mixed"},
        {"optimizer": {"name": "sgd_nesterov", "lr": 0.05}},
        {"schedule": {"name": "plateau", "patience_epochs": 1}},
        {"schedule": {"name": "cosine"}},
        {"ema_decay": 0.9},
        AVERAGED,
    ],
)
def test_every_way_of_training_learns(tmp_path: Path, change: dict[str, object]):
    assert trained(tmp_path, changed(**change)).history[-1]["validation_accuracy"] > 0.9


def test_smoothing_and_weights_enter_the_loss(tmp_path: Path):
    """Untrained logits are all 0 here: cross entropy is log 3 with or without smoothing, and weights cancel."""

    class Zero(Small):
        def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
            return super().forward(x) * 0

    for smoothing, weights in ((0.0, torch.tensor([1.0, 2.0, 3.0])), (0.3, None)):
        run = changed(loss={"class_weights": "none", "label_smoothing": smoothing}, max_epochs=1)
        outcome = trained(tmp_path / str(smoothing), run, model=recogniser(Zero()), weights=weights)
        assert outcome.history[0]["train_loss"] == pytest.approx(np.log(3), abs=1e-6)


def learner(run: Run = RUN) -> Learner:
    """Not trained yet, on the CPU."""
    return Learner(connect(MACHINE, run.precision), recogniser().eval(), None, run, None, 6, seed=7)


def test_a_blend_is_judged_by_what_it_has_of_either():
    """As PyTorch judges by shares of classes; a hit counts as much as the class that was hit."""
    x, length, label = batches(16, 3).batches[0]
    other, targets = label.roll(1), [(label, 0.3), (label.roll(1), 0.7)]
    shares = 0.3 * nn.functional.one_hot(label, 3) + 0.7 * nn.functional.one_hot(other, 3)
    with torch.no_grad():
        found = learner()
        logits = found.recogniser(x / 255, length)
        loss = found._loss(logits, targets)
        expected = nn.functional.cross_entropy(logits, shares.float())
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    hits = shares[range(16), logits.argmax(1)].sum().item()
    assert found._sums(loss, logits, targets).tolist() == pytest.approx([16 * expected.item(), hits, 16], abs=1e-4)


def test_blends_are_trained_on(tmp_path: Path):
    """They are harder to tell than what they are made of; what is validated is not blended."""
    plain = trained(tmp_path / "plain").history[-1]
    mixed = trained(tmp_path / "mixed", changed(loss={**RUN.loss.model_dump(), "mixup": 1.0})).history[-1]
    assert mixed["train_loss"] > plain["train_loss"] + 0.2
    assert mixed["validation_accuracy"] > 0.9


def test_rare_class_weighs_more(tmp_path: Path):
    """With a weight a hundred times the others', the third class is what is said in doubt."""
    doubtful = Listed([(torch.full_like(x, 60), length, label) for x, length, label in batches(45, 2)])
    outcome = trained(tmp_path, weights=torch.tensor([0.01, 0.01, 1.0]), validation=doubtful)
    model = recogniser()
    model.architecture.load_state_dict(outcome.final_weights)
    assert model.eval()(doubtful.batches[0][0].float() / 255).argmax(1).unique().tolist() == [2]


@pytest.mark.parametrize("counts", [[10, 10, 10], [436, 7215, 4830], [1, 99, 900]])
def test_balanced_weights_are_scikit_learns(counts: list[int]):
    loss = Loss(class_weights="balanced", label_smoothing=0.0)
    label = np.repeat(np.arange(3), counts)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=label)
    found = class_weights(loss, ["a", "b", "c"], np.array(counts))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_weights_by_name_follow_the_order_of_classes():
    loss = Loss(class_weights={"sad": 3.0, "angry": 1.0, "happy": 2.0}, label_smoothing=0.0)
    assert class_weights(loss, ["angry", "happy", "sad"], np.ones(3)).tolist() == [1.0, 2.0, 3.0]
    assert class_weights(RUN.loss, ["angry"], np.ones(1)) is None


def largest_step(tmp_path: Path, clip: float | None) -> float:
    """With plain gradient descent at rate 1, a step is the gradient: how long the longest one was."""
    model, lengths = recogniser(), []
    original = torch.optim.SGD.step

    def measure(self: torch.optim.SGD, *rest: object) -> None:
        norms = [weight.grad.norm() for weight in model.parameters() if weight.grad is not None]
        lengths.append(torch.stack(norms).norm().item())
        original(self, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", measure)
        optimizer = {"name": "sgd_nesterov", "lr": 1.0, "momentum": 0.0}
        trained(tmp_path, changed(optimizer=optimizer, gradient_clip_norm=clip, max_epochs=1), model=model)
    return max(lengths)


def test_gradients_are_clipped_to_the_norm(tmp_path: Path):
    assert largest_step(tmp_path / "free", None) > 0.3
    assert largest_step(tmp_path / "clipped", 0.05) <= 0.05 + 1e-5


def test_a_loss_that_is_no_number_is_told_in_one_line(tmp_path: Path):
    run = changed(optimizer={"name": "sgd_nesterov", "lr": 1e30})
    with pytest.raises(UserError, match=r"the loss is (nan|inf) at step") as error:
        trained(tmp_path, run)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"accelerator": "mps"}, {"accelerator": "gpu", "devices": 64}])
def test_a_device_that_is_not_there_is_told_in_one_line(tmp_path: Path, change: dict[str, object]):
    if change["accelerator"] == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has that device")
    with pytest.raises(UserError, match=r"^machine: ") as error:
        trained(tmp_path, machine=Machine(**{**MACHINE.model_dump(), **change}))
    assert "\n" not in str(error.value)


class Penalised(Small):
    def penalty(self) -> torch.Tensor:
        return 100 * self.layers[1].weight.square().sum()


def test_a_penalty_is_added_to_what_is_minimised(tmp_path: Path):
    plain, penalised = recogniser(), recogniser(Penalised())
    trained(tmp_path / "plain", model=plain)
    outcome = trained(tmp_path / "penalised", model=penalised)
    assert penalised.architecture.penalty() < 0.05 * 100 * plain.architecture.layers[1].weight.square().sum()
    assert outcome.history[0]["train_loss"] < 10  # shown without the penalty


class Published(Small):
    """Its published weights name the brightest third; made once, before anything is learnt."""

    made = 0

    def load_pretrained(self) -> None:
        self.made += 1
        self.layers = nn.Sequential(nn.AvgPool2d((6, 2)), nn.Flatten())
        self.layers.append(nn.Linear(3, 3))
        self.layers[2].weight.data = 10 * torch.eye(3)


def test_training_starts_from_published_weights_but_resumes_from_its_own(tmp_path: Path):
    first, second = recogniser(Published()), recogniser(Published())
    outcome = trained(tmp_path, changed(max_epochs=1), model=first)
    assert first.architecture.made == 1
    assert outcome.history[0]["train_accuracy"] > 0.9
    second.architecture.load_pretrained()
    assert len(trained(tmp_path, changed(max_epochs=2), model=second).history) == 2
    assert second.architecture.made == 1  # by this test


class Recorder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float, bool]] = []

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen.append((x.min().item(), x.max().item(), x.requires_grad))
        return x, length


def test_augmentation_sees_unstandardised_training_batches_only(tmp_path: Path):
    recorder = Recorder()
    trained(tmp_path, changed(max_epochs=2), augmentation=recorder)
    assert len(recorder.seen) == 2 * 6  # of the training part, not the validation part
    assert all(low >= 0 and high <= 1 and not grad for low, high, grad in recorder.seen)


def test_same_seed_same_history_whatever_was_drawn_before(tmp_path: Path):
    first = trained(tmp_path / "a")
    again = trained(tmp_path / "b", model=(torch.rand(17), recogniser())[1])
    assert first.history == again.history
    assert all(torch.equal(first.final_weights[key], again.final_weights[key]) for key in first.final_weights)


def test_a_longer_training_continues_from_where_a_shorter_one_ended(tmp_path: Path):
    whole = trained(tmp_path / "whole", changed(max_epochs=6))
    trained(tmp_path / "parts", changed(max_epochs=2))
    resumed = trained(tmp_path / "parts", changed(max_epochs=6), model=recogniser())
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    assert all(torch.equal(whole.best_weights[key], resumed.best_weights[key]) for key in whole.best_weights)


class Bomb(nn.Module):
    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.left -= 1
        if not self.left:
            raise ConnectionResetError("the power went")
        return x + 0.01 * torch.rand_like(x), length


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "constant"},
        {"name": "step", "step_epochs": 1, "gamma": 0.5},
        {"name": "plateau", "patience_epochs": 1},
        {"name": "cosine"},
        {"name": "one_cycle"},
    ],
)
@pytest.mark.parametrize("more", [{}, {"precision": "bf16-mixed"}, AVERAGED])
def test_every_schedule_continues_where_it_broke(tmp_path: Path, schedule: dict[str, object], more: dict[str, object]):
    run = changed(schedule=schedule, monitor="validation_loss", early_stopping=4, **more)
    whole = trained(tmp_path / "whole", run, augmentation=Bomb(0))
    with pytest.raises(ConnectionResetError):
        trained(tmp_path / "parts", run, augmentation=Bomb(6 * 3 + 4))
    resumed = trained(tmp_path / "parts", run, augmentation=Bomb(0))
    assert resumed.history == whole.history
    assert all(torch.equal(whole.final_weights[key], resumed.final_weights[key]) for key in whole.final_weights)


@pytest.mark.parametrize(("every_s", "expected"), [(0.0, [1, 2, 3, 4, 5]), (1.5, [2, 4]), (100.0, [])])
def test_checkpoints_are_as_far_apart_as_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_s: float, expected: list[int]
):
    """An epoch takes a second here."""
    epochs, save, learn = [], torch.save, Learner.train_epoch
    clock = SimpleNamespace(seconds=0.0, monotonic=lambda: clock.seconds)

    def saved(state: dict, path: Path) -> None:
        epochs.append(len(state["history"]))
        save(state, path)

    def learnt(self: Learner, batches: Listed) -> tuple[float, float]:
        clock.seconds += 1
        return learn(self, batches)

    monkeypatch.setattr("stages.training.fit.torch.save", saved)
    monkeypatch.setattr("stages.training.fit.time", clock)
    monkeypatch.setattr(Learner, "train_epoch", learnt)
    trained(tmp_path, machine=Machine(**MACHINE.model_dump() | {"checkpoint_every_s": every_s}))
    assert epochs == expected


def test_resume_folder_removes_what_nothing_can_continue(tmp_path: Path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.ckpt").write_text(name)
    (tmp_path / ".DS_Store").write_text("")
    assert resume_folder(tmp_path, "new") == tmp_path / "new"
    assert not (tmp_path / "old").exists()
    assert (tmp_path / "new" / "last.ckpt").read_text() == "new"
    assert resume_folder(tmp_path / "absent", "x") == tmp_path / "absent" / "x"
