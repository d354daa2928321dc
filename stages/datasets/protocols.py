"""Which sample goes into which part: one public function per protocol, named by `splits.<corpus>.protocol`.

Each sees metadata alone (part, label, group of every sample, and the split's settings) and returns the part of every
sample as an array of 'train' | 'validation' | 'test', with a label that says how, shown beside every figure.
"""

from dataclasses import dataclass

import numpy as np

from stages.core.errors import UserError, unknown_name
from stages.core.seeding import derive, generator
from stages.params.schema import Split

DRAWS = 20  # of whole groups into folds
TRIALS_PER_BLOCK, BLOCKS = 5, ("0–4", "5–9", "10–14")


@dataclass(frozen=True)
class Metadata:
    """Columns over the samples of a corpus; `roles`: its name of an official part → train | validation | test.

    `group`: the speaker or subject, '' where unknown; `group_kind` says which. `gender`: '' where unknown. `trial`: its
    number within a session, -1 where there are none.
    """

    label: np.ndarray
    partition: np.ndarray
    roles: dict[str, str]
    group: np.ndarray
    group_kind: str | None
    gender: np.ndarray
    trial: np.ndarray

    def names_of(self, role: str) -> list[str]:
        """The corpus's names of the official parts that play `role`."""
        return [name for name, played in self.roles.items() if played == role]

    def role(self) -> np.ndarray:
        """(N,) role of each sample's official part, '' where it has none."""
        return np.array([self.roles.get(name or "", name or "") for name in self.partition])


def official(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """The corpus's own parts; a missing validation part is drawn, stratified, from train."""
    part = metadata.role()
    everywhere = "every sample in an official part (none has one? protocol stratified draws them)"
    _require(set(part) <= {"train", "validation", "test"}, "official", everywhere, part)
    _require("train" in part and len(set(part)) > 1, "official", "a train part and one to test on", part)
    if "test" not in part:  # FER-2013 is in circulation without PrivateTest
        part[part == "validation"] = "test"
    tested, official_test = _names(metadata, part == "test"), metadata.names_of("test")
    note = "" if tested in official_test else f"; not comparable with figures on {' or '.join(official_test)}"
    label = f"test = {tested}"
    if "validation" in part:
        _only_fold_zero(split, "official")
        return part, f"official ({label}, validation = {_names(metadata, part == 'validation')}{note})"
    part = _draw_validation(part, metadata.label, split)
    return part, f"official ({label}, validation = {_drawn(split)} of train, fold {split.fold}{note})"


def test_halves(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """What is not train, halved into validation and test, stratified: the Keras project's 80/10/10 of FER-2013."""
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
    """All samples pooled and drawn anew, classes in proportion: test and validation of one fold each.

    There are `folds`, or without that as many as `validation_fraction` allows.
    """
    count = split.folds or split.draws()
    folds = _folds(metadata.label, count, split)
    part = np.full(len(folds), "train", dtype="<U10")
    part[folds == split.fold] = "test"
    part[folds == (split.fold + 1) % count] = "validation"
    return part, f"stratified (pooled, {100 / count:.3g}% validation, as much test, fold {split.fold})"


def group_disjoint(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """No group (speaker, subject) on two sides; classes and genders spread as evenly as whole groups allow.

    Test is fold `fold` of `folds`, or the groups that `test_groups[fold]` lists; validation takes
    `validation_fraction` of all groups out of the rest.
    """
    kind, group = _require_groups(metadata)
    if split.test_groups is None:
        folds = _group_folds(metadata, np.ones(len(group), dtype=bool), split.folds, split)
        is_test, count = folds == split.fold, split.folds
    else:
        is_test, count = _listed(split, group), len(split.test_groups)
    part = np.where(is_test, "test", "train").astype("<U10")
    part[_validation_groups(metadata, ~is_test, split)] = "validation"
    sizes = {name: len(set(group[part == name])) for name in ("train", "validation", "test")}
    spread = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return part, f"{kind}-disjoint (fold {split.fold} of {count}; {kind}s: {spread})"


def trial_blocks(metadata: Metadata, split: Split) -> tuple[np.ndarray, str]:
    """SEED-V's own: trials 0–4, 5–9 and 10–14 of every session, each block with every class once; folds rotate them."""
    if metadata.trial.min() < 0 or metadata.trial.max() >= len(BLOCKS) * TRIALS_PER_BLOCK:
        received = f"{metadata.trial.min()} to {metadata.trial.max()}"
        raise UserError(f"splits: protocol trial_blocks: allowed: trials 0 to 14 of each session; received: {received}")
    order = np.roll(("train", "validation", "test"), split.fold)  # of the blocks' parts
    spread = ", ".join(f"{part} {trials}" for part, trials in zip(order, BLOCKS, strict=True))
    return order[metadata.trial // TRIALS_PER_BLOCK], f"trial blocks (fold {split.fold} of 3; trials: {spread})"


def _require_groups(metadata: Metadata) -> tuple[str, np.ndarray]:
    kind, groups = metadata.group_kind or "group", set(metadata.group)
    if "" in groups:
        raise UserError(
            f"splits: protocol group_disjoint: the {kind} of some samples is not known; "
            f"allowed: a corpus that tells every {kind} (a folder: by speakers.csv), or protocol stratified"
        )
    if len(groups) < 3:
        raise UserError(
            f"splits: protocol group_disjoint: allowed: at least 3 {kind}s, one for each part; "
            f"received: {len(groups)} ({', '.join(sorted(groups))})"
        )
    return kind, metadata.group


def _listed(split: Split, group: np.ndarray) -> np.ndarray:
    """(N,) whether a sample's group is in the list of this fold; every list is checked, whatever the fold."""
    known = sorted(set(group.tolist()))
    for number, names in enumerate(split.test_groups):
        for name in names:
            if name not in known:
                raise UserError(unknown_name(f"splits: test_groups.{number}", name, known, "no such group"))
    return np.isin(group, split.test_groups[split.fold])


def _validation_groups(metadata: Metadata, left: np.ndarray, split: Split) -> np.ndarray:
    """Indices of the validation samples, drawn by whole groups from where `left` is true."""
    count = max(1, round(split.validation_fraction * len(set(metadata.group))))
    available = len(set(metadata.group[left]))
    if available <= count:
        raise UserError(
            f"splits: {available} {metadata.group_kind}s are left for train and validation; "
            f"allowed: more than {count} (validation_fraction)"
        )
    folds = _group_folds(metadata, left, max(2, round(available / count)), split)
    return np.flatnonzero(left)[folds == 0]


def _group_folds(metadata: Metadata, chosen: np.ndarray, count: int, split: Split) -> np.ndarray:
    """(n,) fold of each chosen sample; the samples of a group share one. Of some draws, the one most even in classes.

    (scikit-learn's StratifiedGroupKFold at times leaves a fold empty, and draws only among groups that are alike.)
    """
    names, first, of = np.unique(metadata.group[chosen], return_index=True, return_inverse=True)
    if len(names) < count:
        raise UserError(
            f"splits: {len(names)} {metadata.group_kind}s; allowed: at least {count}, one for each fold (folds)"
        )
    label = np.unique(metadata.label[chosen], return_inverse=True)[1]
    share = np.zeros((len(names), label.max() + 1))  # (groups, classes): of all samples of a class
    np.add.at(share, (of, label), 1)
    share /= share.sum(axis=0)
    draw, gender = generator(split.seed, "split by group"), metadata.gender[chosen][first]
    draws = [_drawn_folds(share, gender, count, draw.permutation(len(names))) for _ in range(DRAWS)]
    return min(draws, key=lambda fold: sum(np.square(share[fold == f].sum(axis=0)).sum() for f in range(count)))[of]


def _drawn_folds(share: np.ndarray, gender: np.ndarray, count: int, drawn: np.ndarray) -> np.ndarray:
    """(groups,) fold of each group. One gender after the other, in the order `drawn`, each goes where its classes are
    rarest among the folds with the fewest groups, so that no fold has two more than another."""
    fold, held, size = np.empty(len(share), dtype=int), np.zeros((count, share.shape[1])), np.zeros(count, dtype=int)
    for group in sorted(drawn, key=lambda group: gender[group]):
        fewest = np.flatnonzero(size == size.min())
        fold[group] = fewest[np.argmin(held[fewest] @ share[group])]
        held[fold[group]] += share[group]
        size[fold[group]] += 1
    return fold


def _draw_validation(part: np.ndarray, label: np.ndarray, split: Split) -> np.ndarray:
    part = part.astype("<U10")
    train = np.flatnonzero(part == "train")
    part[train[_folds(label[train], split.draws(), split) == split.fold]] = "validation"
    return part


def _folds(label: np.ndarray, count: int, split: Split) -> np.ndarray:
    """(N,) fold of each sample; every class is spread evenly over the folds."""
    if count < 2 or split.fold >= count:
        raise UserError(f"splits: fold {split.fold} does not exist; allowed: 0 to {count - 1}")
    values, counts = np.unique(label, return_counts=True)
    if counts.min() < count:
        rare = str(values[counts.argmin()])
        raise UserError(
            f"splits: class {rare!r} has {counts.min()} samples; allowed: at least {count}, one for each fold; "
            "or leave it out of its corpus's classes"
        )
    from sklearn.model_selection import StratifiedKFold  # a second to load, for the protocols that draw samples

    seed = derive(split.seed, "split") % 2**32
    folds = np.empty(len(label), dtype=int)
    for fold, (_, members) in enumerate(StratifiedKFold(count, shuffle=True, random_state=seed).split(label, label)):
        folds[members] = fold
    return folds


def _names(metadata: Metadata, chosen: np.ndarray) -> str:
    return " + ".join(sorted({str(name) for name in metadata.partition[chosen]}))


def _drawn(split: Split) -> str:
    """The share that is really drawn: one of a whole number of folds."""
    return f"{100 / split.draws():.3g}%"


def _only_fold_zero(split: Split, protocol: str) -> None:
    if split.fold:
        raise UserError(
            f"splits: protocol {protocol} has no folds where all three parts are official; "
            f"allowed: fold 0; received: {split.fold}"
        )


def _require(holds: bool, protocol: str, allowed: str, part: np.ndarray) -> None:
    if not holds:
        found = ", ".join(sorted(set(part))) or "none"
        raise UserError(f"splits: protocol {protocol} cannot be used here; allowed: {allowed}; received parts: {found}")
