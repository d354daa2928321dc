import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline

from stages.corpora.drawing.coloring import colored
from stages.corpora.drawing.expression import PROTOTYPES, Expression, draw_expression
from stages.corpora.drawing.face import draw_face, draw_portrait
from stages.corpora.drawing.features import Mouth
from stages.corpora.drawing.identity import draw_identity

SEVEN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def faces(emotion: str, count: int, first_seed: int = 0) -> np.ndarray:
    return np.stack([draw_face(emotion, np.random.default_rng(first_seed + i)) for i in range(count)])


def portrait(prototype: Expression, seed: int) -> np.ndarray:
    """The same person, pose, light and noise for every prototype."""
    who = draw_identity(np.random.default_rng(seed))
    return draw_portrait(who, prototype, np.random.default_rng(seed)).astype(float)


def mean_corner_height(emotion: str) -> float:
    """How far the mouth's corners lie above the middle of the upper lip, over 60 people."""
    heights = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        mouth = Mouth(draw_identity(rng), draw_expression(emotion, rng))
        heights.append(mouth.roof[len(mouth.roof) // 2] - np.mean(mouth.corner_y))
    return float(np.mean(heights))


def test_draws_the_seven_emotions_of_fer_and_contempt():
    assert set(PROTOTYPES) == {*SEVEN, "contempt"}


def test_a_smirk_lifts_one_corner_of_the_mouth_and_a_smile_both():
    def lifts(emotion: str) -> np.ndarray:
        mouths = [Mouth(draw_identity(np.random.default_rng(seed)), PROTOTYPES[emotion][0]) for seed in range(20)]
        return np.mean([mouth.roof[len(mouth.roof) // 2] - np.array(mouth.corner_y) for mouth in mouths], axis=0)

    left, right = lifts("contempt") - lifts("neutral")
    assert right > 0.1
    assert abs(left) < 0.03
    assert min(lifts("happy") - lifts("neutral")) > 0.1


@pytest.mark.parametrize("size_px", [32, 100, 224])
def test_face_in_color(size_px):
    face = draw_face("contempt", np.random.default_rng(3), size_px, color=True)
    assert face.shape == (size_px, size_px, 3)
    assert face.dtype == np.uint8
    assert np.array_equal(face, draw_face("contempt", np.random.default_rng(3), size_px, color=True))


def test_skin_is_redder_than_blue_and_lips_redder_than_skin():
    def redness(patch: np.ndarray) -> float:
        red, _, blue = patch.reshape(-1, 3).mean(0)
        return red / blue

    shares = []
    for seed in range(20):
        face = draw_portrait(
            colored(draw_identity(np.random.default_rng(seed)), np.random.default_rng(seed)),
            Expression(),
            np.random.default_rng(100),
            96,
        ).astype(float)
        shares.append((redness(face[44:50, 40:56]), redness(face[73:79, 42:54])))  # between eyes and mouth; the mouth
    skin, lips = np.mean(shares, axis=0)
    assert skin > 1.15
    assert lips > skin


def test_color_keeps_the_luma():
    """The same person is as light or dark in colour: 0.299 R + 0.587 G + 0.114 B is the gray level."""
    for seed in range(10):
        who = draw_identity(np.random.default_rng(seed))
        tinted = colored(who, np.random.default_rng(seed))
        for gray, color in ((who.skin, tinted.skin), (who.hair, tinted.hair), (who.iris, tinted.iris)):
            assert color @ (0.299, 0.587, 0.114) == pytest.approx(gray)


@pytest.mark.parametrize("emotion", SEVEN)
@pytest.mark.parametrize("size_px", [48, 96])
def test_face_is_a_gray_picture_with_contrast(emotion, size_px):
    face = draw_face(emotion, np.random.default_rng(0), size_px)
    assert face.shape == (size_px, size_px)
    assert face.dtype == np.uint8
    assert face.std() > 10


def test_equal_generators_draw_equal_pixels():
    first, again, other = (draw_face("fear", np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_drawing_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    draw_face("happy", np.random.default_rng(0))
    assert np.array_equal(before, np.random.get_state()[1])


def test_no_two_people_look_alike():
    people = np.stack([portrait(Expression(), seed) for seed in range(12)]).reshape(12, -1)
    distance = np.abs(people[:, None] - people[None]).mean(-1)
    assert distance[~np.eye(12, dtype=bool)].min() > 5


def test_unknown_emotion_names_the_allowed_ones():
    with pytest.raises(ValueError, match=r"allowed: angry, .*received: 'bored'"):
        draw_face("bored", np.random.default_rng(0))


def test_corners_of_the_mouth_rise_when_happy_and_sink_when_sad():
    happy, neutral, sad = (mean_corner_height(emotion) for emotion in ("happy", "neutral", "sad"))
    assert happy > neutral + 0.05
    assert sad < neutral - 0.02


@pytest.mark.parametrize(
    ("emotion", "rows", "columns", "brighter"),
    [
        ("surprise", slice(32, 42), slice(18, 30), False),  # the dark of the open mouth
        ("angry", slice(14, 18), slice(18, 30), False),  # lowered brows come between the eyes
        ("fear", slice(18, 25), slice(10, 19), True),  # more of the white of the eye
    ],
)
def test_emotion_shows_where_its_muscles_are(emotion, rows, columns, brighter):
    change = np.mean(
        [portrait(PROTOTYPES[emotion][0], seed) - portrait(Expression(), seed) for seed in range(20)], axis=0
    )
    there = change[rows, columns].mean()
    assert (there > 0) == brighter
    assert abs(there) > 3


def test_faces_of_one_emotion_range_from_weak_to_strong():
    smiles = [draw_expression("happy", np.random.default_rng(seed)).lip_corner_puller for seed in range(200)]
    assert np.quantile(smiles, 0.05) < 0.35
    assert np.quantile(smiles, 0.95) > 0.8


def test_simple_classifier_beats_chance_and_is_not_perfect():
    pictures = np.concatenate([faces(emotion, 100, 1000 * i) for i, emotion in enumerate(SEVEN)])
    labels = np.repeat(np.arange(7), 100)
    small = pictures.reshape(-1, 24, 2, 24, 2).mean((2, 4)).reshape(len(labels), -1)
    small = (small - small.mean(1, keepdims=True)) / small.std(1, keepdims=True)
    held_out = np.arange(len(labels)) % 4 == 0
    model = make_pipeline(PCA(60, random_state=0), LinearDiscriminantAnalysis())
    accuracy = model.fit(small[~held_out], labels[~held_out]).score(small[held_out], labels[held_out])
    assert 0.3 < accuracy < 0.9
