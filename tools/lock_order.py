"""Orders the entries of dvc.lock, whose order is random where stages run side by side."""

import re
import subprocess
from pathlib import Path

LOCK = Path("dvc.lock")


def order(plan: list[str]) -> None:
    """Order the entries as in the committed file, and new ones as in `plan`, the order of `dvc repro`."""
    text = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    current = entries(text)
    names = [name for name in dict.fromkeys([*entries(committed()), *plan, *current]) if name in current]
    if names != list(current):
        head = text[: text.index("".join(current.values()))]
        LOCK.write_text(head + "".join(current[name] for name in names), encoding="utf-8")


def committed() -> str:
    """Return the committed dvc.lock; '' where there is none."""
    return subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, encoding="utf-8").stdout


def entries(text: str) -> dict[str, str]:
    """Return {stage: its lines} of a dvc.lock."""
    return {block.split(":")[0].strip(): block for block in re.split(r"^(?=  \S)", text, flags=re.MULTILINE)[1:]}
