"""A trained run as one zip: model.json and the weights with the best validation figure."""

import zipfile
from pathlib import Path

from stages.core.files import written_whole
from stages.serving.run_files import FILES, find, load_run, read

FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip: the same run gives the same bytes


def pack(run: str, output: Path) -> None:
    """Write the zip of a run. Raises `UserError` for a run that cannot be loaded."""
    load_run(run)
    where = find(run)
    with written_whole(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in FILES:  # uncompressed: weights hardly shrink
            archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), read(where, name))
