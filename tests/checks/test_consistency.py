"""Settings that do not fit each other, and the constants of readers, features and models that the checks rely on."""

import numpy as np
import pytest
from small_params import EEG, FEATURE, GROUPED, MEL, REAL, RECIPE, RUN, SMALL, assert_mistake, changed, mistakes, write

from stages.checks import params
from stages.checks.consistency import axis_lengths, feature_mistakes, frames
from stages.core import lookup
from stages.core.labels import CLASSES
from stages.features import mel
from stages.params.options import options_of

CORPUS, SPLIT = "corpora.faces", "splits.faces"
OTHERS = {"corpora.others": SMALL["corpora"]["faces"], "splits.others": SMALL["splits"]["faces"]}
BOTH = {"corpus": "faces", "members": ["faces_custom_cnn", "other"], "weights": "validation"}
OTHER = {"runs.other": SMALL["runs"]["faces_custom_cnn"]}
EMBEDDING = {"name": "speaker_embedding", "trim_db": 25.0}
LAST_EPOCH = {f"{RECIPE}.monitor": "last_epoch"}
KERAS, ADAFNN, MODEL = {"name": "keras_cnn"}, {"name": "adafnn"}, f"{RUN}.model"
RAVDESS = {f"{CORPUS}.reader": "ravdess"}
VOTES = {**REAL, f"{CORPUS}.labels": "distribution"}

# (changes, place, what the message contains)
MISTAKES = [
    # sources
    ({f"{CORPUS}.source": "/data/fer2013.zip"}, f"{CORPUS}.name", "missing"),
    ({**REAL, f"{CORPUS}.source": "https://example.org/fer.zip"}, f"{CORPUS}.checksum", "missing", "sha256"),
    ({**REAL, f"{CORPUS}.source": "data/fer2013.zip"}, f"{CORPUS}.source", "an absolute path", "'data/fer2013.zip'"),
    ({**REAL, f"{CORPUS}.source": "kaggle:fer2013"}, f"{CORPUS}.source", "kaggle:<owner>/<slug>", "'kaggle:fer2013'"),
    ({f"{CORPUS}.checksum": "abc"}, f"{CORPUS}.checksum", "sha256:<64 hex digits>", "'abc'"),
    ({"machine.cluster": "localhost:8786"}, "machine.cluster", "dask://<host>:<port>", "'localhost:8786'"),
    ({"machine.cluster": "dask://node 1:8786"}, "machine.cluster", "dask://<host>:<port>", "'dask://node 1:8786'"),
    # names that refer to nothing
    ({f"{RUN}.corpus": "face"}, f"{RUN}.corpus", "unknown name", "'faces'"),
    ({**OTHERS, f"{RUN}.corpus": "others"}, f"{RUN}.corpus", "'faces', its dataset's", "'others'"),
    ({f"{RUN}.dataset": "face"}, f"{RUN}.dataset", "unknown name", "'faces'"),
    ({"datasets.faces.corpus": "speech"}, "datasets.faces.corpus", "unknown name", "allowed: faces"),
    ({"splits.face": SMALL["splits"]["faces"]}, "splits.face", "no such corpus", "'faces'"),
    # ensembles
    ({**OTHER, "ensembles.e": {**BOTH, "members": ["faces_custom_cnn", "other", "otter"]}}, "ensembles.e.members.2",
     "unknown name", "'other'"),
    ({**OTHER, "ensembles.e": {**BOTH, "members": ["other", "other"]}}, "ensembles.e.members", "listed 2 times"),
    ({"ensembles.e": {**BOTH, "members": ["other"]}}, "ensembles.e.members", "2 or more of them"),
    ({**OTHER, "ensembles.e": {**BOTH, "corpus": "face"}}, "ensembles.e.corpus", "unknown name", "'faces'"),
    ({**OTHER, "ensembles.e": {**BOTH, "weights": "test"}}, "ensembles.e.weights", "'validation'", "'equal'", "'test'"),
    ({**OTHER, "ensembles.other": BOTH}, "ensembles.other", "a name that no run has"),
    ({**OTHERS, **OTHER, "ensembles.e": {**BOTH, "corpus": "others"}, "runs.other.corpus": "others",
      "datasets.others": {**SMALL["datasets"]["faces"], "corpus": "others"}, "runs.other.dataset": "others"},
     "ensembles.e.members.0", "runs on 'others'", "'faces_custom_cnn', on 'faces'"),
    # models of other samples
    ({f"{RUN}.model": {"name": "mlp"}}, f"{RUN}.model.name", "'faces', (channel, height, width)", "'mlp', for (speed,"),
    ({FEATURE: EMBEDDING, f"{RUN}.model": {"name": "compact_resnet"}}, f"{RUN}.model.name", "'speaker_embedding'"),
    ({FEATURE: EMBEDDING | {"speeds": [1.0, 1.0]}, f"{RUN}.model": {"name": "mlp"}}, f"{FEATURE}.speeds",
     "'1.0' is listed 2 times"),
    ({FEATURE: EMBEDDING | {"speeds": [1.0 + i / 20 for i in range(10)]}, f"{RUN}.model": {"name": "mlp"}},
     f"{FEATURE}.speeds", "9 or fewer of them"),
    # classes and their weights
    ({f"{CORPUS}.classes": ["happy", "sad", "happy"]}, f"{CORPUS}.classes", "'happy' is listed 2 times"),
    ({f"{CORPUS}.classes": ["angry", "calm", "sad"]}, f"{CORPUS}.classes.1", "reader 'fer2013'", "received: 'calm'"),
    ({**RAVDESS, f"{CORPUS}.classes": ["angry", "boredom"]}, f"{CORPUS}.classes.1", "reader 'ravdess'", "'boredom'"),
    ({**REAL, f"{CORPUS}.reader": "speech_folder", f"{CORPUS}.classes": ["rest", "happy"]},
     f"{CORPUS}.classes.0", "reader 'speech_folder'", "'rest'"),
    ({**RAVDESS, f"{CORPUS}.class_names": {"x": "sad"}}, f"{CORPUS}.class_names", "one of the readers", "'ravdess'"),
    ({f"{CORPUS}.class_names": {"Sad": "sad", "sad ": "sad"}}, f"{CORPUS}.class_names", "'sad' is listed 2 times"),
    ({f"{CORPUS}.class_names": {0: "calm"}}, f"{CORPUS}.class_names.0", "reader 'fer2013'", "received: 'calm'"),
    ({**REAL, f"{CORPUS}.classes": ["sad", "contempt"]}, f"{CORPUS}.classes.1", "'fer2013' without labels", "contempt"),
    ({**VOTES, f"{CORPUS}.classes": ["angry", "calm"]}, f"{CORPUS}.classes.1", "contempt", "received: 'calm'"),
    ({f"{CORPUS}.labels": "majority"}, f"{CORPUS}.labels", "null with source 'synthetic'", "received: 'majority'"),
    ({**RAVDESS, f"{CORPUS}.labels": "majority"}, f"{CORPUS}.labels", "the reader fer2013", "reader 'ravdess'"),
    ({**VOTES, f"{CORPUS}.class_names": {"x": "sad"}}, f"{CORPUS}.class_names", "null with labels", "{'x': 'sad'}"),
    ({f"{RECIPE}.loss.class_weights": {"angry": 1.0, "fear": 1.0}},
     f"{RECIPE}.loss.class_weights", "one weight for each of angry, happy, sad", "received: angry, fear"),
    # splits
    ({f"{SPLIT}.fold": 99}, f"{SPLIT}.fold", "0 to 9", "99"),
    ({f"{SPLIT}.test_groups": [["a"], ["b"]]}, f"{SPLIT}.test_groups", "null with this protocol"),
    ({SPLIT: GROUPED}, SPLIT, "one of folds and test_groups", "neither"),
    ({SPLIT: {**GROUPED, "folds": 2, "test_groups": [["a"], ["b"]]}}, SPLIT, "one of", "folds and test_groups"),
    ({SPLIT: {**GROUPED, "folds": 6, "fold": 6}}, f"{SPLIT}.fold", "0 to 5", "6"),
    ({SPLIT: {**GROUPED, "test_groups": [["a"], ["b"]], "fold": 2}}, f"{SPLIT}.fold", "0 to 1", "2"),
    ({SPLIT: {**GROUPED, "test_groups": [["a", "b"], ["c", "a"]]}}, f"{SPLIT}.test_groups", "'a' is listed 2 times"),
    # training
    ({**LAST_EPOCH, f"{RECIPE}.early_stopping": 5}, f"{RECIPE}.early_stopping", "null with monitor last_epoch", "5"),
    ({**LAST_EPOCH, f"{RECIPE}.early_stopping": None, f"{RECIPE}.schedule": {"name": "plateau"}},
     f"{RECIPE}.schedule.name", "any but plateau"),
    ({f"{RECIPE}.augmentation": {"name": "speech"}},
     f"{RECIPE}.augmentation.name", "(channel, height, width)", "'speech', for (time, mel)"),
    # spectrograms
    ({FEATURE: {**MEL, "f_max_hz": 8000.5}}, f"{FEATURE}.f_max_hz", "half of sample_rate_hz (16000)", "8000.5"),
    ({FEATURE: {**MEL, "f_min_hz": 8000.0}}, f"{FEATURE}.f_min_hz", "less than f_max_hz (8000.0)", "8000.0"),
    ({FEATURE: {**MEL, "hop_ms": 25.5}}, f"{FEATURE}.hop_ms", "window_ms (25.0) or less", "25.5"),
    ({FEATURE: {**MEL, "hop_ms": 0.03}}, f"{FEATURE}.hop_ms", "one sample or more", "0.03"),
    ({FEATURE: {**MEL, "duration_s": 0.02}}, f"{FEATURE}.window_ms", "duration_s (0.02) or less", "25.0"),
    ({FEATURE: {**MEL, "sample_rate_hz": 400_000}}, f"{FEATURE}.sample_rate_hz", "384000 or less", "400000"),
    ({FEATURE: {**MEL, "duration_s": 1e5}}, FEATURE, "134,217,728 values", "(time 10,000,001 x mel 64)"),
    # EEG
    ({FEATURE: {**EEG, "low_hz": 2.0}}, f"{FEATURE}.low_hz", "1 or less", "2.0"),
    ({FEATURE: {**EEG, "high_hz": 45}}, f"{FEATURE}.high_hz", "50 or more", "45"),
    ({FEATURE: {**EEG, "resample_hz": 120}}, f"{FEATURE}.resample_hz", "more than twice high_hz (60.0)", "120"),
    ({FEATURE: {**EEG, "channels": ["Cz", "Fp1", "Cz"]}}, f"{FEATURE}.channels", "'Cz' is listed 2 times"),
    ({FEATURE: {**EEG, "channels": []}}, f"{FEATURE}.channels", "1 or more", "[]"),
    ({FEATURE: {**EEG, "max_windows": 10**8}}, FEATURE, "134,217,728 values", "(time 100,000,000 x electrode 2)"),
    # normalisation of groups
    ({**RAVDESS, "datasets.faces.normalize_groups": "mean"}, "datasets.faces.normalize_groups", "feature 'faces'"),
    ({FEATURE: MEL, "datasets.faces.normalize_groups": "mean_sd"},
     "datasets.faces.normalize_groups", "reader 'fer2013'", "'mean_sd'"),
    # models that do not fit the prepared samples
    ({MODEL: {"name": "dual_attention", "backbone": "resnet18"}}, f"{FEATURE}.color", "rgb", "received: 'gray'"),
    ({MODEL: ADAFNN}, f"{MODEL}.name", "feature 'faces'", "'adafnn', for (time, mel)"),
    ({FEATURE: MEL, MODEL: KERAS}, f"{MODEL}.name", "feature 'mel'", "'keras_cnn', for (channel, height, width)"),
    ({MODEL: KERAS, f"{FEATURE}.size_px": 7}, f"{FEATURE}.size_px", f"8 or more for {MODEL} (keras_cnn)", "7"),
    ({f"{MODEL}.widths": [8] * 5}, f"{MODEL}.widths", f"4 entries or fewer, each halving {FEATURE}.size_px (24)", "5"),
    ({FEATURE: EEG, MODEL: {"name": "eeg_cnn_lstm"}}, f"{MODEL}.widths", f"1 entries or fewer, each halving {FEATURE}"),
    ({FEATURE: {"name": "eeg", "padding": "zero", "max_windows": 3}, MODEL: {"name": "eeg_cnn"}},
     f"{MODEL}.widths", f"each halving {FEATURE}.max_windows (3)", "2"),
    ({FEATURE: MEL, MODEL: {**ADAFNN, "stride_frames": 302}}, f"{MODEL}.stride_frames", "301 or less", "302"),
    ({FEATURE: MEL, MODEL: {**ADAFNN, "transformer_heads": 5}},
     f"{MODEL}.transformer_width", "a multiple of transformer_heads (5)", "64"),
    ({FEATURE: EEG, MODEL: {"name": "eeg_transformer", "width": 30}}, f"{MODEL}.width", "multiple of heads (4)", "30"),
]  # fmt: skip


@pytest.mark.parametrize("labels", [None, "majority", "distribution"])
def test_votes_allow_contempt(tmp_path, labels):
    classes = ["angry", "sad", *(["contempt"] if labels else [])]
    corpus = params.load(write(tmp_path, changed(**VOTES | {f"{CORPUS}.labels": labels, f"{CORPUS}.classes": classes})))
    assert (corpus.corpora["faces"].labels, corpus.corpora["faces"].classes) == (labels, classes)


@pytest.mark.parametrize(
    ("class_names", "meaning"),
    [
        (None, None),
        ({0: "angry", "Lernen": "train"}, {"0": "angry", "Lernen": "train"}),
        ({"suprise": "happy", "unclear": "ignore"}, {"suprise": "happy", "unclear": "ignore"}),
    ],
)
def test_class_names_map_folders_to_classes_and_parts(tmp_path, class_names, meaning):
    content = changed(**{f"{CORPUS}.class_names": class_names})
    assert params.load(write(tmp_path, content)).corpora["faces"].class_names == meaning


@pytest.mark.parametrize(("changes", "place", "parts"), [(c, p, parts) for c, p, *parts in MISTAKES])
def test_one_mistake_gives_one_line(tmp_path, changes, place, parts):
    schedule = {f"{RECIPE}.schedule": {"name": "constant"}} if LAST_EPOCH.items() <= changes.items() else {}
    assert_mistake(tmp_path, changed(**schedule | changes), place, *parts)


@pytest.mark.parametrize(
    "changes",
    [
        {SPLIT: {**GROUPED, "folds": 6, "fold": 5}},
        {SPLIT: {**GROUPED, "protocol": "stratified", "folds": 6, "fold": 5, "validation_fraction": 0.5}},
        {SPLIT: {**GROUPED, "test_groups": [["01", "02"], ["03"]], "fold": 1}},
        {SPLIT: {**GROUPED, "folds": 2, "validation_fraction": 0.5}},
        {FEATURE: {**MEL, "hop_ms": 25.0, "duration_s": 0.025, "trim_db": None}, MODEL: {**ADAFNN, "stride_frames": 1}},
        {FEATURE: {**MEL, "sample_rate_hz": 11_025, "f_max_hz": 5512.5, "hop_ms": 0.1}},
        {FEATURE: {**MEL, "window_ms": 25, "hop_ms": 10, "duration_s": 3, "f_max_hz": 8000}},
        {FEATURE: {**EEG, "resample_hz": None, "notch_hz": None, "low_hz": 1, "high_hz": 50}},
        {FEATURE: MEL, MODEL: {**ADAFNN, "stride_frames": 301, "context_frames": 301}},
        {FEATURE: EEG, MODEL: {"name": "eeg_lstm", "layers": 2}},
        {**RAVDESS, FEATURE: MEL, "datasets.faces.normalize_groups": "mean"},
        {f"{MODEL}.widths": [8] * 4},
        {MODEL: KERAS, f"{FEATURE}.size_px": 8},
        {**REAL, f"{CORPUS}.reader": "eeg_folder", f"{CORPUS}.classes": ["rest", "arithmetic"]},
        {**REAL, f"{CORPUS}.reader": "speech_folder", f"{CORPUS}.classes": ["contempt", "calm", "boredom"]},
        *({**REAL, f"{CORPUS}.source": source} for source in ("kaggle:msambare/fer2013", "/data/fer2013")),
        {**REAL, f"{CORPUS}.source": "kaggle:msambare/fer2013/versions/1"},
    ],
)
def test_accepts_settings_that_fit(tmp_path, changes):
    params.load(write(tmp_path, changed(**changes)))


def test_all_mistakes_of_a_spectrogram_at_once(tmp_path):
    wrong = {"f_min_hz": 9500.0, "f_max_hz": 9000.0, "hop_ms": 40.0, "window_ms": 30.0, "duration_s": 0.01}
    lines = mistakes(tmp_path, changed(**{FEATURE: {**MEL, **wrong}}))
    assert [line.split(":")[0].split(".")[-1] for line in lines] == ["f_max_hz", "f_min_hz", "hop_ms", "window_ms"]


def eeg(dataset_padding, **augmentation):
    """Return SMALL with EEG trials in place of faces."""
    feature = {"name": "eeg", "padding": dataset_padding, "max_windows": 74}
    augmentation = {"name": "eeg", "noise": 0.1} | augmentation
    return changed(**{FEATURE: feature, MODEL: {"name": "eeg_dnn"}, f"{RECIPE}.augmentation": augmentation})


@pytest.mark.parametrize(("padding", "other"), [("zero", "average"), ("average", "zero")])
def test_augmentation_must_pad_as_its_dataset(tmp_path, padding, other):
    where = f"{RECIPE}.augmentation.padding"
    params.load(write(tmp_path, eeg(padding, padding=padding)))
    assert_mistake(tmp_path, eeg(padding, padding=other), where, f"allowed: '{padding}'", f"received: '{other}'")


def test_zero_padding_does_not_fit_normalised_groups(tmp_path):
    """The dataset's zeros become -mean / sd of the subject, those of the augmentation would still be 0."""
    content = eeg("zero", padding="zero")
    content["datasets"]["faces"]["normalize_groups"] = "mean_sd"
    (line,) = [line for line in mistakes(tmp_path, content) if "augmentation" in line]
    assert line.startswith(f"{RECIPE}.augmentation.padding: allowed: average")


RECORDING = np.random.default_rng(0).normal(size=2_000)
# {feature: (its settings, a signal and its rate)}
FEATURES = {
    "eeg": ({"padding": "zero", "max_windows": 9}, (np.ones((4, 20)), None)),
    "eeg_de": (
        EEG | {"channels": ["Cz", "Pz"], "notch_hz": None, "resample_hz": None, "smoothing": "none", "max_windows": 9},
        (np.array(list(zip(RECORDING, RECORDING[::-1], strict=True)), [("Cz", float), ("Pz", float)]), 200.0),
    ),
    "faces": ({"size_px": 24, "color": "rgb"}, (np.zeros((30, 50), np.uint8), None)),
    "mel": (
        MEL | {"n_mels": 40, "f_min_hz": 50.0, "duration_s": 0.7, "trim_db": None, "normalize": "none"},
        (RECORDING[None].astype(np.float32), 16_000.0),
    ),
    "speaker_embedding": (
        {"trim_db": None, "speeds": [1.0]},
        (np.tile(RECORDING, 5)[None].astype(np.float32), 16_000.0),
    ),
}


@pytest.mark.parametrize("reader", lookup.names("corpora"))
def test_every_reader_states_its_classes_and_groups(reader: str):
    constants, module = lookup.constants("corpora", reader), lookup.load("corpora", reader)
    assert (constants["CODES"], constants["GROUP"]) == (module.CODES, module.GROUP)
    known = constants["CODES"].values() if isinstance(constants["CODES"], dict) else constants["CODES"]
    assert set(known) <= set(CLASSES)


@pytest.mark.parametrize("name", lookup.names("features"))
def test_axis_lengths_equal_prepared_sample(name: str):
    settings, (sample, rate_hz) = FEATURES[name]
    settings = {key: value for key, value in settings.items() if key != "name"}
    x, _ = lookup.load("features", name).compute(sample, rate_hz, **settings)
    constants = lookup.constants("features", name)
    assert x.dtype == constants["DTYPE"]
    lengths = axis_lengths("datasets.a", {"corpus": "c", "feature": {"name": name, **settings}})
    shape = dict(zip(constants["LAYOUT"], x.shape, strict=True))
    assert lengths.keys() & shape.keys() or not constants["SIZES"]  # sizes that no setting gives
    for axis, (setting, length) in lengths.items():
        assert setting.removeprefix("datasets.a.feature.") in settings
        assert length == shape.get(axis, 2), axis  # the two electrodes are not an axis of their own


@pytest.mark.parametrize(
    ("duration_s", "hop_ms", "rate_hz"), [(3.0, 16.0, 16_000), (0.5, 10.0, 22_050), (1, 3.3, 8_000)]
)
def test_frames_equal_those_of_the_spectrogram(duration_s: float, hop_ms: float, rate_hz: int):
    feature = MEL | {"duration_s": duration_s, "hop_ms": hop_ms, "sample_rate_hz": rate_hz, "f_max_hz": 4000.0}
    settings = {key: value for key, value in feature.items() if key != "name"} | {"trim_db": None}
    noise = np.random.default_rng(0).normal(size=(1, 4_000)).astype(np.float32)
    assert frames(feature) == len(mel.compute(noise, rate_hz, **settings)[0])


@pytest.mark.parametrize("value", [None, "3", float("nan"), 10**400, [3], 0])
@pytest.mark.parametrize("name", ["sample_rate_hz", "hop_ms", "duration_s"])
def test_invalid_values_are_left_to_the_schema(name: str, value: object):
    feature = MEL | {name: value}
    assert all(line.startswith("here.") for line in feature_mistakes("here", feature))
    frames(feature)


@pytest.mark.parametrize("feature", lookup.names("features"))
def test_options_with_a_default_may_be_left_out(feature: str):
    """The lengths of axes are then those of the default."""
    defaults = {name: default for name, (_, default) in options_of("features", feature).items() if default is not ...}
    given = {name: value for name, value in FEATURES[feature][0].items() if name not in defaults} | {"name": feature}
    assert axis_lengths("d", {"feature": given}) == axis_lengths("d", {"feature": given | defaults})
