"""Names of groups (speakers, subjects, persons) that probably mean one: 'Anna' and 'anna', '01' and '1'."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from stages.core.errors import refuse, warn
from stages.datasets.protocols import Metadata
from stages.params.schema import Split

_SEPARATORS = re.compile(r"[\s_-]+")
_WHOLE_NUMBER = re.compile(r"(\d+)\.0+")  # pandas writes integers like this if some are missing
_BEFORE_DIGITS = re.compile(r"(?<=[^\W\d]) (?=\d)")
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def plain_name(name: str) -> str:
    """Return the name in small letters and plain forms, without outer blanks and leading zeros.

    Separators vanish before a number and are blanks elsewhere: 'S-01' is 's1', 'Anna_Maria' is 'anna maria'.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = _BEFORE_DIGITS.sub("", _SEPARATORS.sub(" ", text).strip())
    return _LEADING_ZEROS.sub("", _WHOLE_NUMBER.sub(r"\1", text) if _WHOLE_NUMBER.fullmatch(text) else text)


def similar_groups(group: Iterable[str]) -> list[list[str]]:
    """Return the sets of names that have the same plain name; the first of each is the most frequent."""
    alike = defaultdict(list)
    for name, _ in sorted(Counter(group).items(), key=lambda item: (-item[1], item[0])):
        alike[plain_name(name)].append(name)
    return sorted(names for plain, names in alike.items() if len(names) > 1 and plain)


def merge_similar(metadata: Metadata, split: Split, where: str) -> tuple[Metadata, Split, list[list[str]]]:
    """Return metadata and split in which similar groups have one name, and their names as found; warn of each set.

    With `merge_similar_groups: false` the groups stay apart. Blank names are unknown groups. Raises `UserError` if one
    group is tested in two folds.
    """
    group = np.array([name if name.strip() else "" for name in metadata.group.tolist()])
    found = similar_groups(group.tolist())
    merged = split.merge_similar_groups
    outcome = f"treated as one (false in {where}.merge_similar_groups keeps them apart)" if merged else "kept apart"
    for names in found:
        written = " and ".join(map(repr, names))
        warn(f"{where}: {metadata.group_kind or 'group'}s {written} look like one; {outcome}")
    if not merged:
        return replace(metadata, group=group), split, found
    one = {name: names[0] for names in found for name in names}
    group = np.array([one.get(name, name) for name in group.tolist()])
    return replace(metadata, group=group), _merge_test_groups(split, one, where), found


def _merge_test_groups(split: Split, one: dict[str, str], where: str) -> Split:
    """Return the split whose test groups have the merged names."""
    if not split.test_groups or not one:
        return split
    folds = [list(dict.fromkeys(one.get(name, name) for name in fold)) for fold in split.test_groups]
    names = [name for fold in folds for name in fold]
    if len(set(names)) < len(names):
        allowed = "similar groups in one fold, or merge_similar_groups: false"
        refuse("one group in two folds", where=f"{where}.test_groups", allowed=allowed, received=split.test_groups)
    return split.model_copy(update={"test_groups": folds})
