"""Where a study's trials are kept: a journal file for one worker, or a database that many share.

A database hears from every running trial each `HEARTBEAT_S`; one it has not heard from for `GRACE_S` is lost, and
whichever worker notices first enqueues its values again. The journal knows no such sign of life: whoever opens it is
alone with it, so what is still running there was left by a kill.
"""

import copy
import fcntl
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from stages.core.errors import UserError, shorten, warn

HEARTBEAT_S, GRACE_S = 10, 60
RETRIES = 3  # of one set of values: what kills its worker four times is recorded as failed
ATTEMPTS, PAUSE_S = 3, 1.0  # to open a database: two workers that start at once may both want to make its tables
SQLITE_WAIT_S = 60

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@contextmanager
def opened(journal: Path, url: str | None) -> Iterator[BaseStorage]:
    """The database at `url` or, where that is None, the file `journal`, which no other process has meanwhile."""
    if url:
        with _told_in_one_line(url):
            yield _database(url)
    else:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("ab") as held:  # the lock goes with the process, however that ends
            _hold(held, journal)
            _drop_torn_line(journal)
            yield _read(journal)


def retry() -> Callable[[optuna.Study, FrozenTrial], None]:
    """Enqueues the values of a lost trial again, and nothing else of it: not how far Hyperband had let it go."""
    enqueue = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)

    def callback(study: optuna.Study, trial: FrozenTrial) -> None:
        lost = copy.copy(trial)
        lost.system_attrs = {"failed_trial": trial.number, "retry_history": []} | {
            name: copy.copy(trial.system_attrs[name])
            for name in ("failed_trial", "retry_history")
            if name in trial.system_attrs
        }
        enqueue(study, lost)

    return callback


def enqueue_lost(study: optuna.Study) -> None:
    """Of a journal just opened: give up the trials that a killed process left running, and enqueue their values."""
    trials = study.get_trials(deepcopy=False)
    repeated = {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            if trial.number not in repeated:  # else killed between the two lines below
                if len(trial.system_attrs.get("retry_history", ())) >= RETRIES:
                    key = study.study_name.partition("/")[0]
                    warn(f"{key}: a trial was lost {RETRIES + 1} times and is given up, as failed: {trial.params}")
                retry()(study, trial)
            study.tell(trial.number, state=TrialState.FAIL)


class _Held:
    """In the place of Optuna's lock around each line it writes, which has nobody to keep out."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _hold(held, journal: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        allowed = "one process; many share a database that machine.storage_url names"
        raise UserError(f"{journal}: another process searches with it; allowed: {allowed}") from None


def _drop_torn_line(journal: Path) -> None:
    """A kill may come in the middle of a line; Optuna would write on behind it."""
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        warn(f"{journal}: its last line is cut short and left out: {shorten(content[whole:])}")
        with journal.open("r+b") as stream:
            stream.truncate(whole)


def _read(journal: Path) -> JournalStorage:
    try:
        with journal.open("rb") as stream:
            first = stream.readline()
        if first and json.loads(first)["op_code"] != 0:  # Optuna passes over what happens to a study it does not know
            raise ValueError("it begins in the middle")
        return JournalStorage(JournalFileBackend(str(journal), _Held()))
    except Exception as error:  # whatever Optuna stumbles over, of some twenty kinds
        why = f"{type(error).__name__}: {shorten(str(error))}"
        raise UserError(f"{journal}: not a journal of studies, or damaged; remove it to begin anew ({why})") from None


def _database(url: str) -> RDBStorage:
    options = {"connect_args": {"timeout": SQLITE_WAIT_S}} if url.startswith("sqlite") else {}
    beats = {"heartbeat_interval": HEARTBEAT_S, "grace_period": GRACE_S, "heartbeat_stale_trial_callback": retry()}
    for _ in range(ATTEMPTS - 1):
        with suppress(sqlalchemy.exc.DBAPIError):
            return _one_at_a_time(RDBStorage(url, options, **beats))
        time.sleep(PAUSE_S)
    return _one_at_a_time(RDBStorage(url, options, **beats))


def _one_at_a_time(storage: RDBStorage) -> RDBStorage:
    """Let SQLite lock when a transaction begins, as others lock the rows that Optuna reads to change them.

    Else two workers that look in one moment would both enqueue a lost trial, or both take up a waiting one.
    """
    if storage.engine.dialect.name == "sqlite":
        sqlalchemy.event.listen(storage.engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        sqlalchemy.event.listen(storage.engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
        storage.engine.dispose()  # connections from before
    return storage


@contextmanager
def _told_in_one_line(url: str) -> Iterator[None]:
    """A database that is not there, or no longer, or needs another driver; passwords stay untold."""
    try:
        yield
    except Exception as error:  # Optuna stumbles over the first one's consequences, and raises something else
        found: BaseException | None = error
        while found is not None and not isinstance(found, (sqlalchemy.exc.SQLAlchemyError, ImportError)):
            found = found.__cause__ or found.__context__
        if found is None:
            raise
        why = str(found.__cause__ or found).partition("\n")[0]
        raise UserError(f"machine.storage_url: {_without_password(url)}: {why}") from None


def _without_password(url: str) -> str:
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return "not the address of a database"
