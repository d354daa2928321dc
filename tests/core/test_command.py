"""Command-line arguments of the stage scripts."""

import argparse
from importlib import import_module
from pathlib import Path

import pytest

from stages.core.command import HelpFormatter, arguments, item
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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"default": 3, "type": int, "help": "seconds"}, "seconds (default: 3)"),
        ({"default": 0.0, "type": float}, "(default: 0.0)"),
        (
            {"default": "blazeface", "choices": ("blazeface", "yunet"), "help": "50 %% of"},
            "50 % of (default: blazeface)",
        ),
        ({"default": "a", "help": "default: the first"}, "default: the first"),
        ({"help": "a file"}, "a file"),
        ({"default": [], "action": "append", "help": "several"}, "several"),
        ({"action": "store_true", "help": "more"}, "more"),
    ],
)
def test_help_shows_the_defaults_that_are_values(options, expected):
    parser = argparse.ArgumentParser(description="one\n  two", formatter_class=HelpFormatter)
    parser.add_argument_group("group").add_argument("--option", **options)
    text = parser.format_help()
    assert "one\n  two\n" in text
    assert " ".join(text.split("group:")[1].split()).endswith(f" {expected}")


@pytest.mark.parametrize("name", ["export", "live", "predict", "web"])
def test_apps_show_their_defaults(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit):
        import_module(f"stages.apps.{name}").main()
    text = capsys.readouterr().out
    assert "(default: " in text
    assert "default: None" not in text
