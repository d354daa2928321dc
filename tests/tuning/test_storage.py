"""Storage: a journal that is cut off, damaged or in use; a database that is missing or shared."""

import contextlib
import itertools
import os
import shutil
import socket

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState
from small_search import formula, make_study, run_search, trials_of

from stages.core.errors import UserError
from stages.tuning import search, storage

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SMALL = make_study(n_trials=3)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """The journal of a search of three trials."""
    path = tmp_path_factory.mktemp("journal") / "faces.journal"
    run_search(path, SMALL)
    return path


@pytest.fixture
def copied(journal, tmp_path):
    return shutil.copyfile(journal, tmp_path / "faces.journal")


def open_small(opened):
    return search.open_study(opened, "faces/0", SMALL, 6, 7)


def journal_error(path):
    with pytest.raises(UserError) as caught:
        run_search(path, SMALL)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_a_journal_cut_anywhere_gives_the_same_search(journal, tmp_path, capsys):
    """Cut in a line, after a line and in a trial; a partial line is removed with a warning."""
    content, expected = journal.read_bytes(), trials_of(run_search(journal, SMALL), 3)
    lines = content.splitlines(keepends=True)
    for size in (0, 10, len(content) // 2, len(b"".join(lines[: len(lines) // 2])), len(content) - 1):
        path = tmp_path / str(size)
        path.write_bytes(content[:size])
        capsys.readouterr()
        assert trials_of(run_search(path, SMALL), 3) == expected, size
        is_partial = size > 0 and content[size - 1 : size] != b"\n"
        assert ("incomplete" in capsys.readouterr().err) == is_partial


@pytest.mark.parametrize("damage", [b"{}\n", b"nonsense\n", b'{"op_code": 99}\n', b"[1]\n", b"\x00\xff\n"])
def test_damaged_journal_is_a_one_line_error(copied, damage):
    lines = copied.read_bytes().splitlines(keepends=True)
    copied.write_bytes(b"".join([*lines[:4], damage, *lines[4:]]))
    assert "damaged" in journal_error(copied)


def test_journal_without_its_first_lines_is_a_one_line_error(copied):
    copied.write_bytes(b"".join(copied.read_bytes().splitlines(keepends=True)[2:]))
    assert "first line" in journal_error(copied)


def test_a_journal_is_for_one_process(copied):
    with storage.opened(copied, None):
        assert journal_error(copied).startswith("in use by another process; allowed: one process")
    run_search(copied, SMALL)


def url_error(url, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "PAUSE_S", 0)
    with pytest.raises(UserError) as caught, storage.opened(tmp_path / "j", url):
        pass
    assert not (tmp_path / "j").exists()
    [line] = str(caught.value).splitlines()
    assert line.startswith("machine.storage_url: ")
    return line.removeprefix("machine.storage_url: ")


def test_unreachable_databases_are_one_line_errors_without_passwords(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # bound, but without a server
        line = url_error(f"postgresql://me:secret@127.0.0.1:{port}/studies", tmp_path, monkeypatch)
    assert line.startswith(f"postgresql://me:***@127.0.0.1:{port}/studies: ")
    assert "refused" in line
    missing = tmp_path / "no folder" / "studies.db"
    assert "unable to open database file" in url_error(f"sqlite:///{missing}", tmp_path, monkeypatch)
    assert "Can't load plugin" in url_error("pigeon://roof/studies", tmp_path, monkeypatch)
    assert url_error("mysql://host/x", tmp_path, monkeypatch).startswith("mysql://host/x: ")  # without a driver


def test_a_database_that_is_damaged_during_a_search_is_a_one_line_error(tmp_path):
    path = tmp_path / "studies.db"
    calls = itertools.count()

    def damaging(values, report):
        if next(calls):
            path.write_bytes(b"no longer a database" * 1000)
        return formula(values, report)

    with (
        pytest.raises(UserError, match=r"^machine.storage_url: sqlite:///.*: "),
        storage.opened(tmp_path / "j", f"sqlite:///{path}") as opened,
    ):
        search.run(open_small(opened), SMALL, 3, damaging, alone=False)


def test_a_database_and_a_journal_give_the_same_trials(journal, tmp_path):
    with storage.opened(tmp_path / "j", f"sqlite:///{tmp_path / 'studies.db'}") as opened:
        optuna_study = open_small(opened)
        search.run(optuna_study, SMALL, 3, formula, alone=False)
        assert trials_of(optuna_study, 3) == trials_of(run_search(journal, SMALL), 3)


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.FAIL])
def test_two_workers_cannot_both_change_a_trial(tmp_path, monkeypatch, state):
    """One worker tries to start or fail a trial while another is between reading and writing it."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    monkeypatch.setattr(storage, "SQLITE_WAIT_S", 0.1)
    with storage.opened(tmp_path / "j", url) as first, storage.opened(tmp_path / "j", url) as second:
        open_small(first).add_trial(optuna.create_trial(state=TrialState.WAITING, params={}, distributions={}))
        study_id = first.get_study_id_from_name("faces/0")
        trial_id = first.get_trial_id_from_study_id_trial_number(study_id, 0)
        check, changed = first.check_trial_is_updatable, []

        def check_while_another_writes(*args):
            with contextlib.suppress(optuna.exceptions.StorageInternalError, sqlalchemy.exc.OperationalError):
                changed.append(second.set_trial_state_values(trial_id, state))  # times out
            return check(*args)

        first.check_trial_is_updatable = check_while_another_writes
        assert first.set_trial_state_values(trial_id, state)
        assert changed == []


def test_a_lost_trial_is_not_enqueued_twice(copied):
    """The process is killed after it has enqueued the retry, before it marks the lost trial as failed."""
    with storage.opened(copied, None) as opened:
        optuna_study = optuna.load_study(study_name="faces/0", storage=opened)
        optuna_study.ask()
        storage.retry(optuna_study, optuna_study.trials[-1])
        storage.retry_lost_trials(optuna_study)
        states = [trial.state for trial in optuna_study.trials]
    assert states == [TrialState.COMPLETE] * 3 + [TrialState.FAIL, TrialState.WAITING]


def test_a_surplus_trial_fails_without_a_place(tmp_path):
    """Another worker takes the last place after this one has seen it free."""
    with storage.opened(tmp_path / "j", None) as opened:
        optuna_study = open_small(opened)
        calls, optimize = itertools.count(), optuna_study.optimize

        def overtaken(*args, **kwargs):
            other = optuna_study.ask() if next(calls) == 2 else None
            optimize(*args, **kwargs)
            if other is not None:
                optuna_study.tell(other, 0.5)

        optuna_study.optimize = overtaken
        search.run(optuna_study, SMALL, 3, formula, alone=True)
        trials = optuna_study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    assert search.places(trials) == {0: 0, 1: 1, 2: 2}
