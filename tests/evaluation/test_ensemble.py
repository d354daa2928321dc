"""Ensembles: weights against a general optimiser, mixtures by hand, members that do not fit each other."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from stages.core.errors import UserError
from stages.evaluation import ensemble, predictions

ORIGIN = {"corpus": "faces", "name": "FER-2013", "source": "zip", "synthetic": False, "protocol": "official"}
ORIGIN |= {"classes": ["angry", "sad", "happy"], "n_train": 100, "parameters": 10, "flops": 1000}
N = 400


def member(seed: int, quality: float, n: int = N) -> dict[str, np.ndarray]:
    """Return columns in which the true class has more probability the higher the quality; half are for validation."""
    random, labels = np.random.default_rng(seed), np.arange(n) % 3
    logits = random.normal(0, 1, (n, 3)) + quality * np.eye(3)[labels]
    p = np.exp(logits)
    return {
        "sample_id": np.array([f"s{index}" for index in range(n)], dtype=object),
        "part": np.array(["validation", "test"] * (n // 2), dtype=object),
        "label": labels,
        "group": np.array([""] * n, dtype=object),
        "probabilities": (p / p.sum(1, keepdims=True)).astype(np.float32),
    }


def written(folder: Path, columns: dict[str, dict], origins: dict[str, dict] | None = None) -> list[str]:
    """Write the members' files and return their names."""
    for name, values in columns.items():
        groups = {"speaker": [f"p{index % 4}" for index in range(len(values["label"]))]}
        predictions.write(folder / f"{name}.h5", values, groups, ORIGIN | {"run": name} | (origins or {}).get(name, {}))
    return list(columns)


def read(folder: Path, columns: dict[str, dict], origins: dict[str, dict] | None = None) -> dict:
    return ensemble.read(folder, written(folder, columns, origins), "faces", "ensembles.e")


@pytest.mark.parametrize("qualities", [(1.0, 2.0, 0.0), (1.0, 1.02, 0.98), (0.3, 0.3, 0.3)])
@pytest.mark.parametrize("n", [40, N])
def test_weights_are_the_most_probable_ones(qualities: tuple[float, ...], n: int):
    columns = [member(seed, quality) for seed, quality in enumerate(qualities)]
    labels, p = columns[0]["label"][:n], np.stack([one["probabilities"][:n] for one in columns]).astype(float)
    found = ensemble.mixture_weights(labels, p)
    given = p[:, np.arange(n), labels]
    sums_to_one = {"type": "eq", "fun": lambda w: w.sum() - 1}

    def objective(w: np.ndarray) -> float:  # Dirichlet(1 + PSEUDO_SAMPLES)
        return -(np.log(w @ given).sum() + ensemble.PSEUDO_SAMPLES * np.log(w).sum()) / n

    options = {"bounds": [(1e-6, 1)] * 3, "constraints": [sums_to_one], "tol": 1e-14}
    np.testing.assert_allclose(found, minimize(objective, [1 / 3] * 3, **options).x, atol=5e-5)


def test_few_validation_samples_choose_no_member_alone():
    labels, p = np.arange(39) % 3, np.stack([member(seed, 1.0, 78)["probabilities"][::2] for seed in range(3)])
    assert ensemble.mixture_weights(labels, p.astype(float)).min() > 0.14


def test_only_validation_decides(tmp_path: Path):
    good, bad = member(0, 3.0), member(1, 0.0)
    is_test = good["part"] == "test"
    swapped = [
        one | {"probabilities": np.where(is_test[:, None], other["probabilities"], one["probabilities"])}
        for one, other in ((good, bad), (bad, good))
    ]
    fits = [
        ensemble.fit(read(tmp_path, {"a": one, "b": other}), "validation", "e") for one, other in ((good, bad), swapped)
    ]
    assert fits[0] == fits[1]
    assert fits[0][0]["a"] > 0.9


def test_mixture_by_hand(tmp_path: Path):
    columns = {"a": member(0, 1.0), "b": member(1, 1.0)}
    members = read(tmp_path, columns)
    weights, _ = ensemble.fit(members, "equal", "e")
    assert weights == {"a": 0.5, "b": 0.5}
    mean = (columns["a"]["probabilities"] + columns["b"]["probabilities"]) / 2
    np.testing.assert_allclose(ensemble.combined(members, (weights, 1.0))["probabilities"], mean, atol=1e-6)
    squared = mean.astype(float) ** 2
    sharper = ensemble.combined(members, (weights, 0.5))["probabilities"]
    np.testing.assert_allclose(sharper, squared / squared.sum(1, keepdims=True), atol=1e-5)
    about = ensemble.origin("e", members)
    assert (about["run"], about["model"], about["parameters"], about["flops"]) == ("e", "ensemble", 20, 2000)
    assert (about["n_train"], about["n_validation"], about["n_test"]) == (100, N // 2, N // 2)
    assert about["classes"] == ORIGIN["classes"]


def test_differences_to_the_members_are_paired(tmp_path: Path):
    members = read(tmp_path, {"a": member(0, 0.5), "b": member(1, 2.5)})
    rows = ensemble.compared(ensemble.combined(members, ({"a": 0.0, "b": 1.0}, 1.0)), members, 7)
    assert [row["run"] for row in rows] == ["b", "a"]
    assert (rows[0]["gain"], rows[0]["gain_ci95"], rows[0]["mcnemar_p"]) == (0.0, [0.0, 0.0], 1.0)
    assert rows[1]["gain"] == pytest.approx(rows[0]["accuracy"] - rows[1]["accuracy"], abs=1e-6)
    assert rows[1]["mcnemar_p"] < 0.01


def test_other_orders_and_missing_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    order = np.random.default_rng(3).permutation(N)[: N - 5]
    own = np.setdiff1d(np.arange(N), order[:3])  # a lacks three others
    columns = {"a": {name: values[own] for name, values in member(0, 1.0).items()}}
    columns["b"] = {name: values[order] for name, values in member(1, 1.0).items()}
    members = read(tmp_path, columns)
    assert "warning: ensembles.e: 8 samples are left out" in capsys.readouterr().err
    assert members["a"].columns["sample_id"].tolist() == members["b"].columns["sample_id"].tolist()
    kept = [index for index in range(N) if index in set(order[3:])]
    np.testing.assert_allclose(members["b"].columns["probabilities"], member(1, 1.0)["probabilities"][kept])
    speakers = [f"p{own.tolist().index(index) % 4}" for index in kept]
    assert members["a"].groupings["speaker"].tolist() == speakers


@pytest.mark.parametrize(
    ("key", "value"),
    [("corpus", "speech"), ("name", "RAF-DB"), ("classes", ["sad", "angry", "happy"]), ("classes", ["sad", "angry"])],
)
def test_refuses_members_of_other_origin(tmp_path: Path, key: str, value: object):
    with pytest.raises(UserError, match=f"ensembles.e: members differ in {key}; allowed: one {key} of all members"):
        read(tmp_path, {"a": member(0, 1.0), "b": member(1, 1.0)}, {"b": {key: value}})


@pytest.mark.parametrize("rows", [slice(None), slice(7, 8)], ids=["all", "one"])
@pytest.mark.parametrize("key", ["part", "label"])
def test_refuses_members_in_which_a_sample_has_another_part_or_label(tmp_path: Path, key: str, rows: slice):
    other = member(1, 1.0)
    changed = np.roll(other[key], 1)
    other[key] = other[key].copy()
    other[key][rows] = changed[rows]
    with pytest.raises(
        UserError, match=rf"ensembles\.e: members in which a sample has another {key}; .* received: 'b'"
    ):
        read(tmp_path, {"a": member(0, 1.0), "b": other})


def test_refuses_members_without_common_samples_and_absent_ones(tmp_path: Path):
    other = member(1, 1.0) | {"sample_id": np.array([f"t{index}" for index in range(N)], dtype=object)}
    with pytest.raises(
        UserError, match=r"ensembles\.e: members without common samples; allowed: members with one split"
    ):
        read(tmp_path, {"a": member(0, 1.0), "b": other})
    with pytest.raises(UserError, match=r"none.h5: no such file; run `dvc repro` first"):
        ensemble.read(tmp_path, ["a", "none"], "faces", "ensembles.e")


def test_a_temperature_that_does_not_converge(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    wrong = np.eye(3, dtype=np.float32)[(np.arange(40 * N) + 1) % 3] * 0.999 + 0.001 / 3
    every = member(0, 1.0, 40 * N) | {"probabilities": wrong}
    assert ensemble.fit(read(tmp_path, {"a": every, "b": every}), "equal", "ensembles.e")[1] == 1.0
    assert "warning: ensembles.e: the temperature does not converge" in capsys.readouterr().err


def test_protocols_that_differ_are_joined(tmp_path: Path):
    members = read(tmp_path, {"a": member(0, 1.0), "b": member(1, 1.0)}, {"b": {"protocol": "official; normalised"}})
    assert ensemble.origin("e", members)["protocol"] == "official / official; normalised"


def test_names_the_teachers_of_its_members(tmp_path: Path):
    columns = {"a": member(0, 1.0), "b": member(1, 1.0), "c": member(2, 1.0)}
    taught = {"a": {"teachers": ["big, weight 0.7"]}, "c": {"teachers": ["big, weight 0.7", "other, weight 0.2"]}}
    assert ensemble.origin("e", read(tmp_path, columns, taught))["teachers"] == ["big, weight 0.7", "other, weight 0.2"]
    assert "teachers" not in ensemble.origin("e", read(tmp_path, columns))
