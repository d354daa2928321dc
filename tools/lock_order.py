"""The order of the entries in dvc.lock, which DVC leaves to chance where stages run side by side."""

import re
import subprocess
from pathlib import Path

LOCK = Path("dvc.lock")


def order(plan: list[str]) -> None:
    """Order the entries as committed, new ones as in `plan`, the order of `dvc repro`."""
    text = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    found = entries(text)
    names = [name for name in dict.fromkeys([*entries(committed()), *plan, *found]) if name in found]
    if names != list(found):
        head = text[: text.index("".join(found.values()))]
        LOCK.write_text(head + "".join(found[name] for name in names), encoding="utf-8")


def committed() -> str:
    """dvc.lock as git has it; empty where there is none."""
    return subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, encoding="utf-8").stdout


def entries(text: str) -> dict[str, str]:
    """{stage: its lines}."""
    return {block.split(":")[0].strip(): block for block in re.split(r"^(?=  \S)", text, flags=re.MULTILINE)[1:]}
