"""The split file `data/splits/<corpus>.json`: parts, how they were made, and the leakage audit."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.errors import UserError, refuse
from stages.core.files import read_json
from stages.core.seeding import derive
from stages.datasets.store import Description
from stages.params.schema import Split

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Overlaps:
    """Sets of samples (indices): exact and near-duplicates across parts; the same under two labels, in any parts."""

    duplicates: list[list[int]]
    near: list[list[int]]
    conflicts: list[list[int]]
    near_conflicts: list[list[int]]

    def all(self) -> list[list[int]]:
        return self.duplicates + self.near + self.conflicts + self.near_conflicts


def same_content(content: list[str]) -> list[list[int]]:
    """Return the samples (indices) of each content hash."""
    same = defaultdict(list)
    for index, digest in enumerate(content):
        same[digest].append(index)
    return list(same.values())


def differing(sets: list[list[int]], value: np.ndarray) -> list[list[int]]:
    """Return the sets of samples (indices) that differ in `value`, such as their part or label."""
    return [indices for indices in sets if len({value[index] for index in indices}) > 1]


def overlaps(part: np.ndarray, label: np.ndarray, content: list[str], near: list[list[int]]) -> Overlaps:
    """Return what samples have in common, by their content hashes; `near` are all sets of near-duplicates."""
    same = same_content(content)
    across = (differing(sets, part) for sets in (same, near))
    return Overlaps(*across, *(differing(sets, label) for sets in (same, near)))


def drop_from_train(part: np.ndarray, sets: list[list[int]]) -> np.ndarray:
    """Return `part` with 'dropped' for the training samples of these sets; validation and test stay complete."""
    part = part.copy()
    part[[index for indices in sets for index in indices if part[index] == "train"]] = "dropped"
    return part


def limit_train(part: np.ndarray, label: np.ndarray, split: Split, where: str) -> tuple[np.ndarray, str]:
    """Return `part` with `train_samples` training samples and 'unused' for the others, and a note for the protocol."""
    train = np.flatnonzero(part == "train")
    kept = stratified_subset(train, label, split.train_samples, split.seed, where)
    part = part.copy()
    part[np.setdiff1d(train, kept)] = "unused"
    return part, f"{len(kept):,} of {len(train):,} training samples"


def stratified_subset(indices: np.ndarray, label: np.ndarray, count: int | None, seed: int, where: str) -> np.ndarray:
    """Return `count` of `indices` in their order, with every class in proportion; all of them if `count` is None.

    `label` holds the class of every sample. Raises `UserError`, naming the section `where`, if `count` is too small.
    """
    if count is None or count >= len(indices):
        return indices
    from sklearn.model_selection import train_test_split  # takes a second to import, and is rarely needed

    try:
        chosen, _ = train_test_split(
            indices, train_size=count, stratify=label[indices], random_state=derive(seed, "training subset") % 2**32
        )
    except ValueError:  # fewer samples than classes, or a class with one sample
        allowed = f"enough that every class keeps its share, or null for all {len(indices):,}"
        refuse("too few", where=f"{where}.train_samples", allowed=allowed, received=count)
    return np.sort(chosen)


@contextmanager
def errors_naming(where: str) -> Iterator[None]:
    """Put the key `where` in place of 'splits' in errors of protocols, which do not know whose settings they apply."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("splits:", f"{where}:", 1)) from None


def require_every_class(label: np.ndarray, part: np.ndarray, classes: list[str], where: str) -> None:
    """Raise `UserError` if a class has no training sample: a model cannot learn it."""
    absent = set(classes) - set(label[part == "train"])
    if absent:
        raise UserError(f"{where}: no training sample of class {', '.join(sorted(absent))}")


def require_no_duplicates(part: np.ndarray, sample_id: list[str], duplicates: list[list[int]], where: str) -> None:
    """Raise `UserError` if a recording is in two parts under two names, as its speaker would then be in both."""
    if duplicates:
        one, *rest = duplicates[0]
        other = next(index for index in rest if part[index] != part[one])
        what = f"{len(duplicates)} recordings are in two parts under two names"
        allowed = "none with protocol group_disjoint (on_duplicate: drop removes them from train)"
        raise UserError(f"{where}: {what}, the first {sample_id[one]} and {sample_id[other]}; allowed: {allowed}")


def audit(part: np.ndarray, label: np.ndarray, sample_id: list[str], group: np.ndarray, found: Overlaps) -> dict:
    """Return what the parts have in common, counted and with ids, and groups (speakers, subjects) in several parts."""
    parts_of = defaultdict(set)
    for name, own_part in zip(group, part, strict=True):
        if name and own_part in PARTS:
            parts_of[name].add(own_part)
    classes = sorted(set(label.tolist()))
    ids = {key: [[sample_id[index] for index in indices] for indices in sets] for key, sets in vars(found).items()}
    return {
        "duplicates_across_parts": _count(found.duplicates, part, PARTS),
        "duplicate_ids": ids["duplicates"],
        "near_duplicates_across_parts": _count(found.near, part, PARTS),
        "near_duplicate_ids": ids["near"],
        "label_conflicts": _count(found.conflicts, label, classes),
        "label_conflict_ids": ids["conflicts"],
        "near_label_conflicts": _count(found.near_conflicts, label, classes),
        "near_label_conflict_ids": ids["near_conflicts"],
        "groups_on_two_sides": sorted(name for name, parts in parts_of.items() if len(parts) > 1),
    }


def _count(sets: list[list[int]], value: np.ndarray, order: Sequence[str]) -> dict[str, int]:
    """Return {'train and test': number of sets whose samples have these values (parts, labels)}."""
    values = ({value[index] for index in indices} for indices in sets)
    return dict(sorted(Counter(" and ".join(name for name in order if name in own) for own in values).items()))


def audit_lines(audited: dict, on_duplicate: str, where: str) -> Iterator[str]:
    """Yield a line for each kind of overlap in the audit, with the first samples, and what was done about it."""
    kept = f"none is dropped ({where}.on_duplicate: drop takes them out of train)"
    done = "their training samples are dropped" if on_duplicate == "drop" else kept
    for key, what in (
        ("duplicate_ids", "sets of exact duplicates have samples in several parts"),
        ("near_duplicate_ids", "sets of nearly equal images have samples in several parts"),
        ("label_conflict_ids", "sets of samples with the same bytes have different labels"),
        ("near_label_conflict_ids", "sets of nearly equal images have different labels"),
    ):
        if sets := audited[key]:
            yield f"{where}: {len(sets)} {what}, the first {' and '.join(sets[0][:2])}; {done}"


def dependence(group_kind: str | None, group: np.ndarray, audited: dict) -> str:
    """Return 'speaker-dependent: ' and the like, with which the protocol's label begins; '' for disjoint groups."""
    if audited["groups_on_two_sides"]:
        return f"{group_kind or 'group'}-dependent: "
    # That the persons on faces are unknown is the rule, not a flaw of one corpus.
    if not group_kind or "" not in group or (group_kind == "person" and not (group != "").any()):
        return ""
    return f"{group_kind}s unknown, so perhaps {group_kind}-dependent: "


def protocol_of(path: Path, description: Description) -> str:
    """Return the protocol of the split, and how the dataset normalised groups.

    Such normalisation needs many samples of a person, so a single clip of a stranger cannot be treated that way.
    """
    label = read_json(path)["protocol"]
    if description.normalize_groups == "none":
        return label
    return f"{label}; each {description.group_kind} normalised over all own samples, labels unseen"


def load_parts(path: Path, sample_id: list[str]) -> dict[str, np.ndarray]:
    """Return {part: indices into the dataset}, in the order of the dataset, without samples that `prepare` rejected."""
    listed = read_json(path).get("parts", {})
    if not set(PARTS) <= set(listed):
        raise UserError(f"{path}: not a split file; allowed: parts {', '.join(PARTS)}")
    ids = {part: set(listed[part]) for part in PARTS}
    parts = {part: np.flatnonzero([name in ids[part] for name in sample_id]) for part in PARTS}
    for part, indices in parts.items():
        if not len(indices):
            raise UserError(f"{path}: part {part!r} has no samples in the prepared dataset")
    return parts
