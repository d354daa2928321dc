"""The TensorBoard log of a training: scalars and confusion images of every epoch."""

from pathlib import Path

import numpy as np
from small_training import changed, trained
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stages.training.tensorboard_log import CELL_PX, confusion_image


def test_cells_are_darker_for_larger_shares():
    image = confusion_image(np.array([[9, 1, 0], [0, 0, 0], [5, 0, 5]]), ["angry", "happy", "disgust"])
    left = image.shape[1] - 8 - 3 * CELL_PX
    corner = image[left + 3 :: CELL_PX, left + 3 :: CELL_PX][:3, :3].astype(int).sum(axis=2)  # (true, predicted)
    assert corner[0, 0] < corner[2, 0] == corner[2, 2] < corner[0, 1] < corner[0, 2] == 3 * 255
    assert (corner[1] == 3 * 255).all()  # a class without samples


def test_every_epoch_has_scalars_and_an_image(tmp_path: Path):
    trained(tmp_path, changed(max_epochs=2))
    events = EventAccumulator(str(tmp_path / "logs" / "run" / "version_0"), size_guidance={"images": 0}).Reload()
    expected = {f"{part}_{metric}" for part in ("train", "validation") for metric in ("loss", "accuracy")}
    assert expected | {"learning_rate"} <= set(events.Tags()["scalars"])
    images = events.Images("validation_confusion")
    assert len(images) == 2
    size = confusion_image(np.eye(3), ["angry", "happy", "sad"]).shape[1::-1]
    assert (images[0].width, images[0].height) == size
