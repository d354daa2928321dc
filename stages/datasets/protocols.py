"""Protocols that assign each sample to a part, one public function for each value of `splits.<corpus>.protocol`.

A protocol sees metadata only (official part, label and group of every sample, and the settings of the split). It
returns the part of every sample as an array of 'train' | 'validation' | 'test', and a label that describes the split
and is shown with every figure.
"""

from dataclasses import dataclass

import numpy as np

from stages.core.errors import UserError, refuse, unknown_name
from stages.core.records import Record
from stages.core.seeding import derive, generator
from stages.params.schema import Split

CANDIDATES = 20  # random assignments of groups to folds, of which the most even one is used
TRIALS_PER_BLOCK, BLOCKS = 5, ("0–4", "5–9", "10–14")


@dataclass(frozen=True)
class Metadata:
    """Columns over the samples of a corpus.

    `roles`: {name of an official part in the corpus: train | validation | test}. `group`: the speaker, subject or
    person on a face, '' where unknown; `group_kind`: which of them it is. `gender`: '' where unknown. `trial`: index
    within a session, -1 where there are no trials.
    """

    label: np.ndarray
    partition: np.ndarray
    roles: dict[str, str]
    group: np.ndarray
    group_kind: str | None
    gender: np.ndarray
    trial: np.ndarray

    @classmethod
    def of(cls, records: list[Record], roles: dict[str, str], group_kind: str | None) -> "Metadata":
        """Return the columns of these records."""
        return cls(
            label=np.array([record.label for record in records]),
            partition=np.array([record.partition for record in records], dtype=object),
            roles=roles,
            group=np.array([record.group or "" for record in records]),
            group_kind=group_kind,
            gender=np.array([record.extra.get("gender", "") for record in records]),
            trial=np.array([-1 if record.trial is None else record.trial for record in records]),
        )

    def role(self) -> np.ndarray:
        """Return the role (N,) of each sample's official part, '' where it has none."""
        return np.array([self.roles.get(name or "", name or "") for name in self.partition])


def official(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """Use the parts of the corpus; a missing validation part is sampled from train, stratified by class."""
    part = metadata.role()
    assigned = "every sample in an official part (where there are none, use protocol stratified)"
    _require(set(part) <= {"train", "validation", "test"}, "official", assigned, part)
    _require("train" in part and len(set(part)) > 1, "official", "a train part and one to test on", part)
    if "test" not in part:  # some copies of FER-2013 lack PrivateTest
        part[part == "validation"] = "test"
    official_test = [name for name, role in metadata.roles.items() if role == "test"]
    tested = _names(metadata, part == "test")
    note = "" if tested in official_test else f"; not comparable with figures on {' or '.join(official_test)}"
    label = f"test = {tested}"
    if "validation" in part:
        if split.fold:
            what = "protocol official has no folds where all three parts are official"
            refuse(what, where="splits", allowed="fold 0", received=split.fold)
        return part, f"official ({label}, validation = {_names(metadata, part == 'validation')}{note})"
    part = part.astype("<U10")
    train = np.flatnonzero(part == "train")
    part[train[_folds(metadata.label[train], split.draws(), split) == split.fold]] = "validation"
    share = f"{100 / split.draws():.3g}%"  # the share after rounding to whole folds
    return part, f"official ({label}, validation = {share} of train, fold {split.fold}{note})"


def test_halves(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """Split all samples outside train into a validation and a test half, stratified by class.

    With FER-2013 these are the 80/10/10 % of the Keras project.
    """
    part = np.where(metadata.role() == "train", "train", "held out")
    _require(set(part) == {"train", "held out"}, "test_halves", "a train part and one to halve", part)
    held_out = np.flatnonzero(part == "held out")
    halves = _folds(metadata.label[held_out], 2, split)
    part = part.astype("<U10")
    part[held_out] = "validation"
    part[held_out[halves == split.fold]] = "test"
    halved = _names(metadata, metadata.role() != "train")
    return part, f"test halves (half of {halved} as validation, half as test, fold {split.fold})"


def stratified(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """Pool all samples and use one fold as test and the next as validation, with every class in proportion.

    The number of folds is `folds`, or, if that is null, follows from `validation_fraction`.
    """
    count = split.folds or split.draws()
    folds = _folds(metadata.label, count, split)
    part = np.full(len(folds), "train", dtype="<U10")
    part[folds == split.fold] = "test"
    part[folds == (split.fold + 1) % count] = "validation"
    return part, f"stratified (pooled, {100 / count:.3g}% validation, as much test, fold {split.fold})"


def group_disjoint(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """Keep each group (speaker, subject) in one part, with classes and genders as even as whole groups allow.

    Test is fold `fold` of `folds`, or the groups listed in `test_groups[fold]`; validation takes `validation_fraction`
    of all groups from the rest.
    """
    kind, group = metadata.group_kind or "group", metadata.group
    if "" in group:
        allowed = f"a corpus that gives every {kind} (a folder: in speakers.csv), or protocol stratified"
        raise UserError(f"splits: protocol group_disjoint: the {kind} of some samples is not known; allowed: {allowed}")
    if len(set(group)) < 3:
        received = f"{len(set(group))} ({', '.join(sorted(set(group)))})"
        raise UserError(f"splits: protocol group_disjoint: allowed: at least 3 {kind}s; received: {received}")
    if split.test_groups is None:
        folds = _group_folds(metadata, np.ones(len(group), dtype=bool), split.folds, split)
        is_test, count = folds == split.fold, split.folds
    else:
        _require_known(split.test_groups, group)
        is_test, count = np.isin(group, split.test_groups[split.fold]), len(split.test_groups)
    part = np.where(is_test, "test", "train").astype("<U10")
    part[_validation_groups(metadata, ~is_test, split)] = "validation"
    sizes = {name: len(set(group[part == name])) for name in ("train", "validation", "test")}
    spread = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return part, f"{kind}-disjoint (fold {split.fold} of {count}; {kind}s: {spread})"


def trial_blocks(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """Use trials 0–4, 5–9 and 10–14 of every session, the protocol of SEED-V; folds rotate the three blocks.

    Each block contains every class once.
    """
    first, last = metadata.trial.min(), metadata.trial.max()
    if first < 0 or last >= len(BLOCKS) * TRIALS_PER_BLOCK:
        raise UserError(f"splits: protocol trial_blocks: allowed: trials 0 to 14; received: {first} to {last}")
    order = np.roll(("train", "validation", "test"), split.fold)  # the part that each block belongs to
    spread = ", ".join(f"{part} {trials}" for part, trials in zip(order, BLOCKS, strict=True))
    return order[metadata.trial // TRIALS_PER_BLOCK], f"trial blocks (fold {split.fold} of 3; trials: {spread})"


def _require_known(test_groups: list[list[str]], group: np.ndarray) -> None:
    known = sorted(set(group.tolist()))
    for number, names in enumerate(test_groups):
        for name in names:
            if name not in known:
                raise UserError(unknown_name(f"splits: test_groups.{number}", name, known, "no such group"))


def _validation_groups(metadata: Metadata, available: np.ndarray, split: Split) -> np.ndarray:
    """Return the indices of the validation samples: whole groups from the samples where `available` is true."""
    count = max(1, round(split.validation_fraction * len(set(metadata.group))))
    n_available = len(set(metadata.group[available]))
    if n_available <= count:
        what = f"{n_available} {metadata.group_kind}s are left for train and validation"
        raise UserError(f"splits: {what}; allowed: more than {count} (validation_fraction)")
    folds = _group_folds(metadata, available, max(2, round(n_available / count)), split)
    return np.flatnonzero(available)[folds == 0]


def _group_folds(metadata: Metadata, chosen: np.ndarray, count: int, split: Split) -> np.ndarray:
    """Return the fold (n,) of each chosen sample, the same for all samples of a group, with classes spread evenly.

    scikit-learn's StratifiedGroupKFold can leave a fold empty, and only shuffles groups of equal class counts.
    """
    names, first, group_of = np.unique(metadata.group[chosen], return_index=True, return_inverse=True)
    if len(names) < count:
        raise UserError(f"splits: {len(names)} {metadata.group_kind}s; allowed: at least {count}, one a fold (folds)")
    label = np.unique(metadata.label[chosen], return_inverse=True)[1]
    share = np.zeros((len(names), label.max() + 1))  # (groups, classes): share of all samples of a class
    np.add.at(share, (group_of, label), 1)
    share /= share.sum(axis=0)
    rng, gender = generator(split.seed, "split by group"), metadata.gender[chosen][first]
    candidates = [_assign(share, gender, count, rng.permutation(len(names))) for _ in range(CANDIDATES)]

    def unevenness(fold: np.ndarray) -> float:
        return sum(np.square(share[fold == f].sum(axis=0)).sum() for f in range(count))

    return min(candidates, key=unevenness)[group_of]


def _assign(share: np.ndarray, gender: np.ndarray, count: int, order: np.ndarray) -> np.ndarray:
    """Return the fold (groups,) of each group.

    Groups are assigned gender by gender in the given `order`. Each goes to the fold, among those with the fewest
    groups, where its classes are rarest, so that fold sizes differ by at most one group.
    """
    fold, held, size = np.empty(len(share), dtype=int), np.zeros((count, share.shape[1])), np.zeros(count, dtype=int)
    for group in sorted(order, key=lambda group: gender[group]):
        smallest = np.flatnonzero(size == size.min())
        fold[group] = smallest[np.argmin(held[smallest] @ share[group])]
        held[fold[group]] += share[group]
        size[fold[group]] += 1
    return fold


def _folds(label: np.ndarray, count: int, split: Split) -> np.ndarray:
    """Return the fold (N,) of each sample, with every class spread evenly over the folds."""
    if count < 2 or split.fold >= count:
        raise UserError(f"splits: fold {split.fold} does not exist; allowed: 0 to {count - 1}")
    values, counts = np.unique(label, return_counts=True)
    if counts.min() < count:
        what = f"class {str(values[counts.argmin()])!r} has {counts.min()} samples"
        raise UserError(f"splits: {what}; allowed: at least {count}, one a fold; or leave it out of the classes")
    from sklearn.model_selection import StratifiedKFold  # takes a second to import, and not all protocols need it

    seed = derive(split.seed, "split") % 2**32
    folds = np.empty(len(label), dtype=int)
    for fold, (_, members) in enumerate(StratifiedKFold(count, shuffle=True, random_state=seed).split(label, label)):
        folds[members] = fold
    return folds


def _names(metadata: Metadata, chosen: np.ndarray) -> str:
    return " + ".join(sorted({str(name) for name in metadata.partition[chosen]}))


def _require(condition: bool, protocol: str, allowed: str, part: np.ndarray) -> None:
    if not condition:
        parts = ", ".join(sorted(set(part))) or "none"
        raise UserError(f"splits: protocol {protocol} cannot be used here; allowed: {allowed}; received parts: {parts}")
