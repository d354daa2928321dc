"""A user's mistake is one readable line and exit status 1, never a traceback; ours keeps its traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.core import errors

ROOT = Path(__file__).parents[2]


def ended(body):
    """Exit status and standard error of a process whose main() has this body."""
    program = (
        "import errno, os\nfrom pathlib import Path\n"
        "from stages.core.errors import UserError, exit_with_one_line\n"
        f"def main():\n    print('said before')\n    {body}\nexit_with_one_line(main)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "said before\n"
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return", (0, "")),
        ("raise UserError('what: allowed: a; received: b')", (1, "error: what: allowed: a; received: b\n")),
        ("raise UserError('one\\ntwo')", (1, "error: one\nerror: two\n")),
        ("raise UserError('spread   over\\t spaces')", (1, "error: spread over spaces\n")),
        ("open('/no/such/file')", (1, "error: /no/such/file: No such file or directory\n")),
        ("open('/')", (1, "error: /: Is a directory\n")),
        ("raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))", (1, "error: writing: No space left on device\n")),
    ],
)
def test_exit_with_one_line(body, expected):
    assert ended(body) == expected


@pytest.mark.parametrize("body", ["raise ValueError('a bug')", "raise OSError('no file, no number')", "1 / 0"])
def test_a_mistake_of_ours_keeps_its_traceback(body):
    status, said = ended(body)
    assert status == 1
    assert said.startswith("Traceback")


def test_refuse():
    with pytest.raises(errors.UserError, match=r"^a.zip: not an archive; allowed: a zip; received: 'x'$"):
        errors.refuse("not an archive", where="a.zip", allowed="a zip", received="x")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("custom_cn", ["custom_cnn", "keras_cnn"], " Did you mean 'custom_cnn'?"),
        ("zebra", ["custom_cnn", "keras_cnn"], ""),
        ("x", [], ""),
    ],
)
def test_did_you_mean(name, known, hint):
    assert errors.did_you_mean(name, known) == hint


def test_unknown_name_of_any_type():
    assert errors.unknown_name("a.b", "adm", ("adam",)) == (
        "a.b: unknown name; Did you mean 'adam'? allowed: adam; received: 'adm'"
    )
    assert errors.unknown_name("a.b", ["x"], ("adam",)) == "a.b: unknown name; allowed: adam; received: ['x']"


def multiplied(levels):
    value = ["x"] * 10
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize("value", ["x" * 10**6, list(range(10**5)), {n: n for n in range(10**5)}, multiplied(12)])
def test_shorten_keeps_hostile_values_short(value):
    assert len(errors.shorten(value)) <= 120


@pytest.mark.parametrize("value", [None, 3, 0.1, "text", ["a", 1], {"a": [1, 2]}, ["one", "of", "seven"] * 4])
def test_shorten_leaves_short_values_alone(value):
    assert errors.shorten(value) == repr(value)


def test_warn_is_one_line_on_standard_error(capsys):
    errors.warn("two\nlines")
    assert capsys.readouterr() == ("", "warning: two lines\n")
