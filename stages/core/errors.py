"""The wording of errors: what is wrong, where, what is allowed, what was received."""

import atexit
import difflib
import os
import reprlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

# Plain repr would spell out a few nested YAML aliases as gigabytes.
_REPR = reprlib.Repr()
_REPR.maxlevel = 4
_REPR.maxdict = _REPR.maxlist = 12
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 200


class UserError(Exception):
    """A mistake in what the user supplied (params, archive, path): shown as one line, without a traceback."""


def refuse(what: str, *, where: str, allowed: str, received: object) -> NoReturn:
    """Raise the one-line `UserError` every room words alike."""
    raise UserError(f"{where}: {what}; allowed: {allowed}; received: {shorten(received)}")


def unknown_name(where: str, name: object, known: Iterable[str], what: str = "unknown name") -> str:
    """The line for a name that stands for nothing, with the closest one that does."""
    hint = did_you_mean(str(name), known)
    return f"{where}: {what};{hint} allowed: {', '.join(known)}; received: {shorten(name)}"


def duplicate_names(where: str, names: object, what: str) -> Iterator[str]:
    """A line for each name that a list holds more than once."""
    counts = Counter(map(str, names)) if isinstance(names, list) else Counter()
    for name, count in counts.items():
        if count > 1:
            yield f"{where}: {shorten(name)} stands {count} times; allowed: each {what} once"


def shorten(value: object, limit: int = 120) -> str:
    """`repr` of a value from outside, cut so that a hostile one cannot flood the terminal, nor memory."""
    text = _REPR.repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(text: str) -> str:
    """Line breaks and terminal codes of a value from outside, spelled out."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """' Did you mean …?' for the closest candidate, or an empty string."""
    close = difflib.get_close_matches(str(name), list(candidates), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def warn(message: str) -> None:
    """One line to standard error for what the user should know but need not mend."""
    print(f"warning: {' '.join(message.split())}", file=sys.stderr)


def exit_with_one_line(main: Callable[[], None]) -> None:
    """Run a stage or app: each of a user's mistakes becomes one line on standard error, exit status 1.

    Leaves by `os._exit`, because h5py crashes the interpreter's shutdown after a failed write (disk full); what is
    registered to run at exit (joblib's tidying up) runs before.
    """
    try:
        main()
    except UserError as error:
        for line in str(error).splitlines():
            print(f"error: {' '.join(line.split())}", file=sys.stderr)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        print(f"error: {error.filename or 'writing'}: {error.strerror or error}", file=sys.stderr)
    else:
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
