"""Error messages, and how a program ends: one line for a user's mistake, a traceback for a bug."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.core import errors

ROOT = Path(__file__).parents[2]


def run_main(body):
    """Return exit status and standard error of a process whose main() has this body."""
    program = (
        "import errno, os\nfrom stages.core.errors import UserError, exit_with_one_line\n"
        f"def main():\n    print('output')\n    {body}\nexit_with_one_line(main)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "output\n"
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return", (0, "")),
        ("raise UserError('one\\ntwo   over\\t spaces')", (1, "error: one\nerror: two over spaces\n")),
        ("open('/no/such/file')", (1, "error: /no/such/file: No such file or directory\n")),
        ("raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))", (1, "error: writing: No space left on device\n")),
    ],
)
def test_user_errors_become_single_lines(body, expected):
    assert run_main(body) == expected


@pytest.mark.parametrize("body", ["raise OSError('no file, no number')", "1 / 0"])
def test_bugs_keep_their_traceback(body):
    status, stderr = run_main(body)
    assert status == 1
    assert stderr.startswith("Traceback")


def test_refuse_states_all_four_parts():
    with pytest.raises(errors.UserError, match=r"^a.zip: not an archive; allowed: a zip; received: 'x'$"):
        errors.refuse("not an archive", where="a.zip", allowed="a zip", received="x")


@pytest.mark.parametrize(
    ("name", "hint"), [("adm", " Did you mean 'adam'?"), ("zebra", ""), (["x"], ""), ("x\n" * 90, "")]
)
def test_unknown_name_may_have_a_hint_and_any_type(name, hint):
    message = errors.unknown_name("a.b", name, ("adam", "rmsprop"))
    assert message == f"a.b: unknown name;{hint} allowed: adam, rmsprop; received: {errors.shorten(name)}"


def multiplied(levels):
    value = ["x"] * 10
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize("value", ["x" * 10**6, list(range(10**5)), {n: n for n in range(10**5)}, multiplied(12)])
def test_shorten_keeps_hostile_values_short(value):
    assert len(errors.shorten(value)) <= 120


@pytest.mark.parametrize("value", [None, 0.1, "text", {"a": [1, 2]}, ["one", "of", "seven"] * 4])
def test_shorten_leaves_short_values_alone(value):
    assert errors.shorten(value) == repr(value)


def test_warn_is_one_line_on_standard_error(capsys):
    errors.warn("two\nlines")
    assert capsys.readouterr() == ("", "warning: two lines\n")
