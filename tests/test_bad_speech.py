"""Voices that users bring, broken: through the real stage scripts, one line each, status 1, nothing left behind."""

import io
import zipfile

import numpy as np
import pytest
import soundfile
from test_bad_input import call, told, write_params

RATE_HZ = 16_000
NAMED = {"corpora.speech.name": "RAVDESS", "prepare.max_rejected_fraction": 0.6}
EMOTIONS = {"03": "happy", "04": "sad", "05": "angry", "01": "neutral"}


def wav(samples, rate_hz=RATE_HZ, subtype="PCM_16", form="WAV"):
    content = io.BytesIO()
    soundfile.write(content, samples, rate_hz, subtype, format=form)
    return content.getvalue()


def voice(seed, rate_hz=RATE_HZ):
    return 0.1 * np.random.default_rng(seed).normal(size=rate_hz // 4)


def name(emotion="05", statement="01", repetition="01", actor="01"):
    return f"Actor_{actor}/03-01-{emotion}-01-{statement}-{repetition}-{actor}.wav"


def corpus(speakers, repetitions=("01", "02")):
    """Every emotion of every speaker, each clip another."""
    names = [name(e, r, actor=s) for s in speakers for e in EMOTIONS for r in repetitions]
    return {path: wav(voice(number)) for number, path in enumerate(names)}


def packed(folder, members):
    with zipfile.ZipFile(folder / "speech.zip", "w") as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return folder / "speech.zip"


def stage(script, folder, members, changes=None):
    """`script` run on `members` as a real corpus; what came of it, and where its output would be."""
    archive = packed(folder, members)
    params = write_params(folder, NAMED | {"corpora.speech.source": str(archive)} | (changes or {}))
    paths = ["--archive", archive if script != "download" else folder / "out" / "x"]
    paths += ["--output", folder / "out" / "x"] if script != "download" else []
    return call(f"stages.{script}", "speech", "--params", params, *paths), folder / "out"


def refused(script, folder, members, changes=None):
    done, output = stage(script, folder, members, changes)
    [line] = told(done)
    assert list(output.glob("*")) == []
    return line


DAMAGED = {
    "empty": (b"", "0 bytes"),
    "text": (b"I am a text file\n" * 20, "not"),
    "no samples": (wav(np.zeros(0)), "no samples"),
    "silence": (wav(np.zeros(RATE_HZ)), "silen"),
    "not a number": (wav(np.full(RATE_HZ, np.nan), subtype="FLOAT"), "NaN"),
    "cut off": (wav(voice(1))[:-2000], ""),
    "forty minutes": (wav(np.zeros(40 * 60 * 4000, dtype=np.int16), 4000), "600"),
}


def test_damaged_clips_are_named_and_left_out(tmp_path):
    """All of one speaker's clips broken, each otherwise; the rest is prepared, in any format and at any rate."""
    good = corpus(["03"])
    forms = [("PCM_U8", "WAV", 8_000), ("PCM_24", "WAV", 96_000), ("FLOAT", "WAV", 48_000), ("PCM_16", "FLAC", 16_000)]
    forms += [("MPEG_LAYER_III", "MP3", 44_100), ("VORBIS", "OGG", 22_050), ("PCM_16", "RF64", 16_000)]
    for number, (subtype, form, rate_hz) in enumerate(forms):
        path = name(list(EMOTIONS)[number % 4], statement=f"0{1 + number // 4}", repetition="02", actor="04")
        suffix = {"RF64": "wav"}.get(form, form.lower())
        good[path.replace("wav", suffix)] = wav(voice(number, rate_hz), rate_hz, subtype, form)
    places = zip([(e, r) for e in EMOTIONS for r in ("01", "02")], DAMAGED.values(), strict=False)
    broken = {name(e, r): content for (e, r), (content, _) in places}
    done, output = stage("prepare", tmp_path, good | broken)
    assert done.returncode == 0, done.stderr
    assert "15 samples" in done.stdout
    assert f"{len(broken)} damaged samples left out" in done.stderr
    assert [path.name for path in output.iterdir()] == ["x"]


@pytest.mark.parametrize("kind", ["text", "silence", "not a number", "no samples", "forty minutes"])
def test_nothing_but_damage(tmp_path, kind):
    content, words = DAMAGED[kind]
    line = refused("prepare", tmp_path, {name(): content})
    assert "03-01-05-01-01-01-01" in line
    assert words in line


def test_a_class_without_clips(tmp_path):
    members = {path: content for path, content in corpus(["01"]).items() if "03-01-04" not in path}
    line = refused("download", tmp_path, members)
    assert "class 'sad' has no samples; found: angry, happy, neutral" in line


def test_an_unknown_emotion(tmp_path):
    line = refused("download", tmp_path, corpus(["01"]) | {name("09"): wav(voice(1))})
    assert "09" in line
    assert "01" in line


@pytest.mark.parametrize(
    ("speakers", "changes", "words"),
    [
        (["01"], {}, "at least 3 speakers"),
        (["01", "02", "03", "04"], {"splits.speech.folds": 6}, "4 speakers; allowed: at least 6"),
        (
            ["01", "02", "03", "04"],
            {"splits.speech.folds": None, "splits.speech.test_groups": [["01"], ["30"]]},
            "no such group",
        ),
    ],
)
def test_too_few_or_other_speakers(tmp_path, speakers, changes, words):
    assert words in refused("split", tmp_path, corpus(speakers), changes)


def test_the_same_clip_under_two_speakers(tmp_path):
    members = corpus(["01", "02", "03", "04"])
    members[name("05", "02", actor="01")] = members[name("05", "01", actor="04")]
    lists = {"splits.speech.folds": None, "splits.speech.test_groups": [["01"], ["04"]]}
    line = refused("split", tmp_path, members, lists)
    assert "1 recordings stand in two parts under two names" in line
    assert "03-01-05-01-01-01-04" in line
    assert "03-01-05-01-02-01-01" in line


def test_speakers_that_nobody_told(tmp_path):
    """The refusal names the key in params.yaml."""
    members = {f"{emotion}/{number}.wav": wav(voice(number)) for emotion in EMOTIONS.values() for number in range(2)}
    folder = {"corpora.speech.reader": "speech_folder", "datasets.speech.normalize_groups": "mean_sd"}
    line = refused("prepare", tmp_path, members, folder)
    assert line.startswith("error: datasets.speech.normalize_groups: the group (speaker, subject) of some samples")
