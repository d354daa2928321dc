"""The storage of a study's trials: a journal file for one worker, or a database that several workers share.

With a database, a worker records a heartbeat every `HEARTBEAT_S`. A worker without a heartbeat for `GRACE_S` is
considered dead: another one marks its trial as failed and retries it. A journal has no heartbeats, but only one process
can open it, so a trial that is still running when it is opened belongs to a killed process.
"""

import fcntl
import json
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from stages.core.errors import UserError, shorten, warn

HEARTBEAT_S, GRACE_S = 10, 60
RETRIES = 3  # values whose process is killed four times are recorded as failed
EARLIER_TRIES = "earlier_tries"  # user attribute of a retried trial: the numbers of the trials that were lost
ATTEMPTS, PAUSE_S = 3, 1.0  # for opening a database: two workers may try to create its tables at once
SQLITE_WAIT_S = 60

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@contextmanager
def opened(journal: Path, url: str | None) -> Iterator[BaseStorage]:
    """Yield the database at `url` or, if that is None, the file `journal`, locked against other processes."""
    if url:
        with _one_line_errors(url):
            yield _database(url)
    else:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends in any way
            except BlockingIOError:
                allowed = "one process; several workers need the database that machine.storage_url names"
                raise UserError(f"{journal}: in use by another process; allowed: {allowed}") from None
            content = journal.read_bytes()
            complete = content.rfind(b"\n") + 1
            if complete < len(content):  # a kill has cut off the last line, and Optuna would append to it
                warn(f"{journal}: its last line is incomplete and was removed: {shorten(content[complete:])}")
                stream.truncate(complete)
            yield _read(journal)


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Enqueue the values of a lost trial again, at most `RETRIES` times."""
    tries = [*trial.user_attrs.get(EARLIER_TRIES, []), trial.number]
    if len(tries) <= RETRIES:
        values = {"params": trial.params, "distributions": trial.distributions}
        attributes = {EARLIER_TRIES: tries}
        study.add_trial(optuna.create_trial(state=TrialState.WAITING, user_attrs=attributes, **values))


def retry_lost_trials(study: optuna.Study) -> None:
    """Mark the trials that a killed process left running in a journal as failed, and retry them."""
    trials = study.get_trials(deepcopy=False)
    retried = {number for trial in trials for number in trial.user_attrs.get(EARLIER_TRIES, [])}
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            if trial.number not in retried:  # unless the process was killed between `retry` and `tell`
                if len(trial.user_attrs.get(EARLIER_TRIES, [])) == RETRIES:
                    key = study.study_name.partition("/")[0]
                    warn(f"studies.{key}: trial failed, its process was killed {RETRIES + 1} times: {trial.params}")
                retry(study, trial)
            study.tell(trial.number, state=TrialState.FAIL)


def _read(journal: Path) -> JournalStorage:
    try:
        with journal.open("rb") as stream:
            first = stream.readline()
        if first and json.loads(first)["op_code"] != 0:  # Optuna ignores operations on a study it does not know
            raise ValueError("its first line does not create a study")
        # The file is locked as a whole, so a lock among threads takes the place of Optuna's lock file.
        return JournalStorage(JournalFileBackend(str(journal), threading.Lock()))
    except Exception as error:  # Optuna raises about twenty kinds for damaged files
        why = f"{type(error).__name__}: {shorten(str(error))}"
        raise UserError(f"{journal}: not a study journal, or damaged; remove it to start again ({why})") from None


def _database(url: str) -> RDBStorage:
    options = {"connect_args": {"timeout": SQLITE_WAIT_S}} if url.startswith("sqlite") else {}
    heartbeat = {"heartbeat_interval": HEARTBEAT_S, "grace_period": GRACE_S, "heartbeat_stale_trial_callback": retry}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            storage = RDBStorage(url, options, **heartbeat)
            break
        except sqlalchemy.exc.DBAPIError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)
    # SQLite must lock at the start of a transaction: otherwise two workers could both retry a lost trial, or both run a
    # waiting one. Other databases lock the rows that Optuna reads to change them.
    if storage.engine.dialect.name == "sqlite":
        sqlalchemy.event.listen(storage.engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        sqlalchemy.event.listen(storage.engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
        storage.engine.dispose()  # closes the connections that were opened before
    return storage


@contextmanager
def _one_line_errors(url: str) -> Iterator[None]:
    """Turn the errors of a missing database or driver into a `UserError`, without the password."""
    try:
        yield
    except Exception as error:  # Optuna may raise another kind; the database's own error is in the chain of causes
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, (sqlalchemy.exc.SQLAlchemyError, ImportError)):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        why = str(cause.__cause__ or cause).partition("\n")[0]
        shown = sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
        raise UserError(f"machine.storage_url: {shown}: {why}") from None
