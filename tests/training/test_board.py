"""What TensorBoard is handed after each epoch: a picture of the confusion, scalars beside it."""

from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_fit import changed, trained

from stages.training.board import CELL_PX, drawn


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
