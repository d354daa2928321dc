"""Synthetic faces: form, reproducibility, visible effects of emotions, and a moderate difficulty."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline

from stages.synthetic.faces.expression import PROTOTYPES, Expression
from stages.synthetic.faces.face import draw_face, draw_portrait
from stages.synthetic.faces.features import Mouth
from stages.synthetic.faces.identity import colorize, sample_identity

SEVEN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def faces(emotion: str, count: int, first_seed: int = 0) -> np.ndarray:
    return np.stack([draw_face(emotion, np.random.default_rng(first_seed + i)) for i in range(count)])


def portrait(prototype: Expression, seed: int) -> np.ndarray:
    """Return a face whose person, pose, light and noise depend on the seed only."""
    person = sample_identity(np.random.default_rng(seed))
    return draw_portrait(person, prototype, np.random.default_rng(seed)).astype(float)


def test_emotions_are_those_of_fer_and_contempt():
    assert set(PROTOTYPES) == {*SEVEN, "contempt"}


def test_emotions_move_the_corners_of_the_mouth():
    def lifts(emotion: str) -> np.ndarray:
        mouths = [Mouth(sample_identity(np.random.default_rng(seed)), PROTOTYPES[emotion][0]) for seed in range(20)]
        return np.mean([mouth.roof[len(mouth.roof) // 2] - np.array(mouth.corner_y) for mouth in mouths], axis=0)

    left, right = lifts("contempt") - lifts("neutral")
    assert right > 0.1
    assert abs(left) < 0.03
    assert min(lifts("happy") - lifts("neutral")) > 0.1
    assert max(lifts("sad") - lifts("neutral")) < -0.02


@pytest.mark.parametrize("size_px", [32, 100, 224])
def test_color_face_is_reproducible_at_any_size(size_px):
    face = draw_face("contempt", np.random.default_rng(3), size_px, color=True)
    assert face.shape == (size_px, size_px, 3)
    assert face.dtype == np.uint8
    assert np.array_equal(face, draw_face("contempt", np.random.default_rng(3), size_px, color=True))


def test_skin_is_reddish_and_lips_are_redder():
    def redness(patch: np.ndarray) -> float:
        red, _, blue = patch.reshape(-1, 3).mean(0)
        return red / blue

    ratios = []
    for seed in range(20):
        person = colorize(sample_identity(np.random.default_rng(seed)), np.random.default_rng(seed))
        face = draw_portrait(person, Expression(), np.random.default_rng(100), 96).astype(float)
        ratios.append((redness(face[44:50, 40:56]), redness(face[73:79, 42:54])))  # below the eyes; mouth
    skin, lips = np.mean(ratios, axis=0)
    assert skin > 1.15
    assert lips > skin


def test_colors_keep_the_luma():
    """The luma 0.299 R + 0.587 G + 0.114 B of a coloured trait is its gray level."""
    for seed in range(10):
        person = sample_identity(np.random.default_rng(seed))
        tinted = colorize(person, np.random.default_rng(seed))
        for gray, color in ((person.skin, tinted.skin), (person.hair, tinted.hair), (person.iris, tinted.iris)):
            assert color @ (0.299, 0.587, 0.114) == pytest.approx(gray)


@pytest.mark.parametrize("emotion", SEVEN)
@pytest.mark.parametrize("size_px", [48, 96])
def test_gray_face_has_shape_type_and_contrast(emotion, size_px):
    face = draw_face(emotion, np.random.default_rng(0), size_px)
    assert face.shape == (size_px, size_px)
    assert face.dtype == np.uint8
    assert face.std() > 10


def test_people_look_different():
    people = np.stack([portrait(Expression(), seed) for seed in range(12)]).reshape(12, -1)
    distance = np.abs(people[:, None] - people[None]).mean(-1)
    assert distance[~np.eye(12, dtype=bool)].min() > 5


@pytest.mark.parametrize(
    ("emotion", "rows", "columns", "brighter"),
    [
        ("surprise", slice(32, 42), slice(18, 30), False),  # the open mouth is dark
        ("angry", slice(14, 18), slice(18, 30), False),  # lowered brows are between the eyes
        ("fear", slice(18, 25), slice(10, 19), True),  # more of the white of the eyes is visible
    ],
)
def test_emotion_changes_the_expected_region(emotion, rows, columns, brighter):
    changes = [portrait(PROTOTYPES[emotion][0], seed) - portrait(Expression(), seed) for seed in range(20)]
    difference = np.mean(changes, axis=0)[rows, columns].mean()
    assert (difference > 0) == brighter
    assert abs(difference) > 3


def test_simple_classifier_beats_chance_and_is_not_perfect():
    pictures = np.concatenate([faces(emotion, 100, 1000 * i) for i, emotion in enumerate(SEVEN)])
    labels = np.repeat(np.arange(7), 100)
    small = pictures.reshape(-1, 24, 2, 24, 2).mean((2, 4)).reshape(len(labels), -1)
    small = (small - small.mean(1, keepdims=True)) / small.std(1, keepdims=True)
    held_out = np.arange(len(labels)) % 4 == 0
    model = make_pipeline(PCA(60, random_state=0), LinearDiscriminantAnalysis())
    accuracy = model.fit(small[~held_out], labels[~held_out]).score(small[held_out], labels[held_out])
    assert 0.3 < accuracy < 0.9
