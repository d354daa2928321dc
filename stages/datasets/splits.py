"""The split file `data/splits/<corpus>.json`: parts, how they were made, and the leakage audit."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from stages.core.errors import UserError
from stages.core.files import read_json
from stages.datasets.store import Description
from stages.datasets.subset import stratified
from stages.params.schema import Split

PARTS = ("train", "validation", "test")


def duplicates_across(part: np.ndarray, content: list[str]) -> list[list[int]]:
    """Sets of samples (indices) with the same content that lie in more than one part."""
    same = defaultdict(list)
    for index, digest in enumerate(content):
        same[digest].append(index)
    return [found for found in same.values() if len({part[index] for index in found}) > 1]


def drop_from_train(part: np.ndarray, duplicates: list[list[int]]) -> np.ndarray:
    """Training samples with an exact twin that is judged on become 'dropped'."""
    part = part.copy()
    part[[index for found in duplicates for index in found if part[index] == "train"]] = "dropped"
    return part


def thin(part: np.ndarray, label: np.ndarray, split: Split, where: str) -> tuple[np.ndarray, str]:
    """Of train only `train_samples` are kept, the others become 'unused'; what is judged stays. Also how it is told."""
    train = np.flatnonzero(part == "train")
    kept = stratified(train, label, split.train_samples, split.seed, where)
    part = part.copy()
    part[np.setdiff1d(train, kept)] = "unused"
    return part, f"{len(kept):,} of {len(train):,} training samples"


@contextmanager
def saying(where: str) -> Iterator[None]:
    """Protocols do not know whose settings they apply: name the key in what they refuse."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("splits:", f"{where}:", 1)) from None


def require_every_class(label: np.ndarray, part: np.ndarray, classes: list[str], where: str) -> None:
    """Every class must be in the training part: a class never seen cannot be recognised."""
    absent = set(classes) - set(label[part == "train"])
    if absent:
        raise UserError(f"{where}: no training sample of class {', '.join(sorted(absent))}")


def require_no_duplicates(part: np.ndarray, sample_id: list[str], duplicates: list[list[int]], where: str) -> None:
    """Where groups are kept apart, one recording under two names would put the same voice on two sides."""
    if duplicates:
        one, *rest = duplicates[0]
        other = next(index for index in rest if part[index] != part[one])
        raise UserError(
            f"{where}: {len(duplicates)} recordings stand in two parts under two names, "
            f"the first {sample_id[one]} and {sample_id[other]}; "
            f"allowed: none with protocol group_disjoint (on_duplicate: drop takes them out of train)"
        )


def audit(part: np.ndarray, sample_id: list[str], group: list[str | None], duplicates: list[list[int]]) -> dict:
    """What the parts share: exact duplicates with their ids, and groups (speakers, subjects) on two sides."""
    pairs = Counter(" and ".join(p for p in PARTS if p in {part[i] for i in found}) for found in duplicates)
    sides = defaultdict(set)
    for name, side in zip(group, part, strict=True):
        if name and side in PARTS:
            sides[name].add(side)
    return {
        "duplicates_across_parts": dict(sorted(pairs.items())),
        "duplicate_ids": [[sample_id[index] for index in found] for found in duplicates],
        "groups_on_two_sides": sorted(name for name, found in sides.items() if len(found) > 1),
    }


def protocol_of(path: Path, of: Description) -> str:
    """The split's label, and what the dataset did to groups: a stranger's single clip cannot have that."""
    label = read_json(path)["protocol"]
    if of.normalize_groups == "none":
        return label
    return f"{label}; each {of.group_kind} normalised over all own samples, labels unseen"


def load_parts(path: Path, sample_id: list[str]) -> dict[str, np.ndarray]:
    """{part: indices into the dataset}, in the dataset's order; samples that `prepare` rejected are left out."""
    listed = read_json(path).get("parts", {})
    if not set(PARTS) <= set(listed):
        raise UserError(f"{path}: not a split file; allowed: parts {', '.join(PARTS)}")
    ids = {part: set(listed[part]) for part in PARTS}
    parts = {
        part: np.array([i for i, name in enumerate(sample_id) if name in ids[part]], dtype=np.int64) for part in PARTS
    }
    for part, indices in parts.items():
        if not len(indices):
            raise UserError(f"{path}: part {part!r} has no samples in the prepared dataset")
    return parts
