"""Command-line arguments of the stage scripts."""

from pathlib import Path

import pytest

from stages.core.command import arguments, item
from stages.core.errors import UserError


def test_parses_key_and_paths(monkeypatch):
    monkeypatch.setattr("sys.argv", ["stage", "faces", "--params", "params.yaml", "--output", "a/b.h5"])
    args = arguments("description", "output")
    assert (args.key, args.params, args.output) == ("faces", Path("params.yaml"), Path("a/b.h5"))


@pytest.mark.parametrize("given", [[], ["faces"], ["faces", "--params", "p"], ["faces", "--output", "o"]])
def test_every_argument_is_required(monkeypatch, capsys, given):
    monkeypatch.setattr("sys.argv", ["stage", *given])
    with pytest.raises(SystemExit):
        arguments("description", "output")
    assert "required" in capsys.readouterr().err


def test_rejects_unknown_key():
    with pytest.raises(UserError, match=r"corpora\.face: not in params.yaml.*'faces'.*allowed: faces, speech"):
        item({"faces": 1, "speech": 2}, "face", "corpora")
