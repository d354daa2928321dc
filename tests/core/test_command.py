"""The arguments that stage scripts share."""

from pathlib import Path

import pytest

from stages.core.command import arguments, item
from stages.core.errors import UserError


def test_key_and_paths(monkeypatch):
    monkeypatch.setattr("sys.argv", ["stage", "faces", "--params", "params.yaml", "--output", "a/b.h5"])
    args = arguments("what it does", "output")
    assert (args.key, args.params, args.output) == ("faces", Path("params.yaml"), Path("a/b.h5"))


@pytest.mark.parametrize("given", [[], ["faces"], ["faces", "--params", "p"], ["faces", "--output", "o"]])
def test_every_argument_is_required(monkeypatch, capsys, given):
    monkeypatch.setattr("sys.argv", ["stage", *given])
    with pytest.raises(SystemExit):
        arguments("what it does", "output")
    assert "required" in capsys.readouterr().err


def test_a_stage_without_items(monkeypatch):
    monkeypatch.setattr("sys.argv", ["stage", "--params", "params.yaml"])
    assert not hasattr(arguments("what it does", key=None), "key")


def test_unknown_key():
    with pytest.raises(UserError) as caught:
        item({"faces": 1, "speech": 2}, "face", "corpora")
    assert str(caught.value) == "corpora.face: not in params.yaml; Did you mean 'faces'? allowed: faces, speech"
