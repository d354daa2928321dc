"""Error messages in one form: where, what is wrong, what is allowed, what was received."""

import difflib
import multiprocessing
import os
import reprlib
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

# The plain repr of a few nested YAML aliases can take gigabytes.
_REPR = reprlib.Repr()
_REPR.maxlevel = 4
_REPR.maxdict = _REPR.maxlist = 12
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 200


class UserError(Exception):
    """A mistake in what the user supplied (params, archive, path), shown as one line without a traceback."""


class WriteError(UserError):
    """A failed write (disk full), after which h5py crashes the shutdown of the interpreter."""


def refuse(what: str, *, where: str, allowed: str, received: object) -> NoReturn:
    """Raise a `UserError` with a message in the standard form."""
    raise UserError(f"{where}: {what}; allowed: {allowed}; received: {shorten(received)}")


def unknown_name(where: str, name: object, known: Iterable[str], what: str = "unknown name") -> str:
    """Return the message for an unknown name, with the closest known one as a hint."""
    hint = did_you_mean(str(name), known)
    return f"{where}: {what};{hint} allowed: {', '.join(known)}; received: {shorten(name)}"


def duplicate_names(where: str, names: object, what: str) -> Iterator[str]:
    """Yield a message for each name that occurs more than once in the list `names`."""
    counts = Counter(map(str, names)) if isinstance(names, list) else Counter()
    for name, count in counts.items():
        if count > 1:
            yield f"{where}: {shorten(name)} is listed {count} times; allowed: each {what} once"


def shorten(value: object, limit: int = 120) -> str:
    """Return the `repr` of an untrusted value, cut to `limit` letters without building a longer text first."""
    text = _REPR.repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(text: str) -> str:
    """Return the text with line breaks and terminal control codes escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ' Did you mean …?' with the closest candidate, or an empty string."""
    close = difflib.get_close_matches(str(name), list(candidates), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def warn(message: str) -> None:
    """Print one line to standard error."""
    print(f"warning: {' '.join(message.split())}", file=sys.stderr)


def exit_with_one_line(main: Callable[[], None]) -> None:
    """Run a stage or app; on a `UserError` or `OSError`, print one line per mistake and exit with status 1."""
    try:
        main()
    except (UserError, OSError) as error:
        is_system = isinstance(error, OSError)
        if is_system and error.filename is None and error.errno is None:
            raise
        message = f"{error.filename or 'writing'}: {error.strerror or error}" if is_system else str(error)
        for line in message.splitlines():
            print(f"error: {' '.join(line.split())}", file=sys.stderr)
        if is_system or isinstance(error, WriteError):
            for worker in multiprocessing.active_children():  # of joblib; idle ones would hold the output open
                os.kill(worker.pid, signal.SIGTERM)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)  # without the shutdown of the interpreter
        sys.exit(1)
