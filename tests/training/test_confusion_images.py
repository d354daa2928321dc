"""What TensorBoard is handed after each epoch: counts by hand, a picture that shows them, scalars beside it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_fit import changed, trained

from stages.training.confusion_images import CELL_PX, ConfusionImages, drawn


def test_counts_over_batches_and_not_over_epochs():
    random = np.random.default_rng(0)
    images, shown = ConfusionImages(["a", "b", "c"]), []
    logger = SimpleNamespace(experiment=SimpleNamespace(add_image=lambda *of, **_: shown.append(of)))
    trainer = SimpleNamespace(is_global_zero=True, global_step=3, logger=logger)
    for _ in range(2):
        label, said = random.integers(0, 3, (2, 20))
        for part in (slice(0, 12), slice(12, 20)):
            batch = (None, None, torch.from_numpy(label[part]))
            images.on_validation_batch_end(trainer, None, torch.from_numpy(said[part]), batch, 0)
        assert images.counts.tolist() == confusion_matrix(label, said).tolist()
        images.on_validation_end(trainer, None)
    assert [(tag, step) for tag, _, step in shown] == [("validation_confusion", 3)] * 2


def test_dark_where_a_class_is_said_often():
    image = drawn(np.array([[9, 1, 0], [0, 0, 0], [5, 0, 5]]), ["angry", "happy", "disgust"])
    left = image.shape[1] - 8 - 3 * CELL_PX
    corner = image[left + 3 :: CELL_PX, left + 3 :: CELL_PX][:3, :3].astype(int).sum(axis=2)  # (true, predicted)
    assert corner[0, 0] < corner[2, 0] == corner[2, 2] < corner[0, 1] < corner[0, 2] == 3 * 255
    assert (corner[1] == 3 * 255).all()  # a class that nothing was of


def test_tensorboard_finds_figures_and_pictures(tmp_path: Path):
    trained(tmp_path, changed(max_epochs=2))
    events = EventAccumulator(str(tmp_path / "logs" / "run" / "version_0"), size_guidance={"images": 0}).Reload()
    expected = {f"{part}_{figure}" for part in ("train", "validation") for figure in ("loss", "accuracy")}
    assert expected | {"learning_rate"} <= set(events.Tags()["scalars"])
    pictures = events.Images("validation_confusion")
    assert len(pictures) == 2
    assert (pictures[0].width, pictures[0].height) == drawn(np.eye(3), ["angry", "happy", "sad"]).shape[1::-1]
