"""Where trials are kept: a journal that was cut, broken or is in use; a database that is not there."""

import contextlib
import itertools
import os
import shutil
import socket

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState
from small_search import formula, searched, study, tried

from stages.core.errors import UserError
from stages.tuning import search, storage

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
FEW = study(n_trials=3)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """Of a search of three trials."""
    path = tmp_path_factory.mktemp("journal") / "faces.journal"
    searched(path, FEW)
    return path


@pytest.fixture
def copied(journal, tmp_path):
    return shutil.copyfile(journal, tmp_path / "faces.journal")


def refusal(path):
    with pytest.raises(UserError) as caught:
        searched(path, FEW)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_cut_anywhere_the_search_ends_as_it_would_have(journal, tmp_path, capsys):
    """In the middle of a line, after a line, in the middle of a trial; the last line is said to be left out."""
    content, whole = journal.read_bytes(), tried(searched(journal, FEW), 3)
    lines = content.splitlines(keepends=True)
    for kept in (0, 10, len(content) // 2, len(b"".join(lines[: len(lines) // 2])), len(content) - 1):
        path = tmp_path / str(kept)
        path.write_bytes(content[:kept])
        capsys.readouterr()
        assert tried(searched(path, FEW), 3) == whole, kept
        told = "its last line is cut short and left out" in capsys.readouterr().err
        assert told == (kept > 0 and content[kept - 1 : kept] != b"\n")


@pytest.mark.parametrize("damage", [b"{}\n", b"nonsense\n", b'{"op_code": 99}\n', b"[1]\n", b"\x00\xff\n"])
def test_damaged_journal_is_one_line(copied, damage):
    lines = copied.read_bytes().splitlines(keepends=True)
    copied.write_bytes(b"".join([*lines[:4], damage, *lines[4:]]))
    assert refusal(copied).startswith("not a journal of studies, or damaged; remove it to begin anew (")


def test_journal_without_its_beginning_is_one_line(copied):
    copied.write_bytes(b"".join(copied.read_bytes().splitlines(keepends=True)[2:]))
    assert refusal(copied).endswith("(ValueError: 'it begins in the middle')")


def test_a_journal_is_for_one_process(copied):
    with storage.opened(copied, None):
        line = refusal(copied)
    assert line.startswith("another process searches with it; allowed: one process; many share a database")
    searched(copied, FEW)


def refused_url(url, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "PAUSE_S", 0)
    with pytest.raises(UserError) as caught, storage.opened(tmp_path / "j", url):
        pass
    assert not (tmp_path / "j").exists()
    [line] = str(caught.value).splitlines()
    assert line.startswith("machine.storage_url: ")
    return line.removeprefix("machine.storage_url: ")


def test_unreachable_databases_are_one_line_without_passwords(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # bound, but nobody listens
        line = refused_url(f"postgresql://me:secret@127.0.0.1:{port}/studies", tmp_path, monkeypatch)
    assert line.startswith(f"postgresql://me:***@127.0.0.1:{port}/studies: ")
    assert "refused" in line
    assert "secret" not in line
    missing = tmp_path / "no folder" / "studies.db"
    assert "unable to open database file" in refused_url(f"sqlite:///{missing}", tmp_path, monkeypatch)
    assert "Can't load plugin" in refused_url("pigeon://roof/studies", tmp_path, monkeypatch)
    assert refused_url("mysql://host/x", tmp_path, monkeypatch).startswith("mysql://host/x: ")  # its driver is not here


def test_a_database_that_goes_away_is_one_line(tmp_path):
    path = tmp_path / "studies.db"
    calls = itertools.count()

    def pulled(values, report):
        if next(calls):
            path.write_bytes(b"no longer a database" * 1000)
        return formula(values, report)

    with (
        pytest.raises(UserError, match=r"^machine.storage_url: sqlite:///.*: "),
        storage.opened(tmp_path / "j", f"sqlite:///{path}") as kept,
    ):
        search.run(search.open_study(kept, "faces/0", FEW, 6, 7), FEW, 3, pulled, alone=False)


def test_a_database_keeps_the_same_trials_as_a_journal(journal, tmp_path):
    with storage.opened(tmp_path / "j", f"sqlite:///{tmp_path / 'studies.db'}") as kept:
        found = search.open_study(kept, "faces/0", FEW, 6, 7)
        search.run(found, FEW, 3, formula, alone=False)
        assert tried(found, 3) == tried(searched(journal, FEW), 3)


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.FAIL])
def test_two_workers_that_look_in_one_moment_do_not_both_change_a_trial(tmp_path, monkeypatch, state):
    """Both take up a waiting trial, or give up a lost one: between reading and writing of one, the other comes."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    monkeypatch.setattr(storage, "SQLITE_WAIT_S", 0.1)
    with storage.opened(tmp_path / "j", url) as one, storage.opened(tmp_path / "j", url) as other:
        found = search.open_study(one, "faces/0", FEW, 6, 7)
        found.add_trial(optuna.create_trial(state=TrialState.WAITING, params={}, distributions={}))
        number = found.trials[0]._trial_id
        original, overtaken = one.check_trial_is_updatable, []

        def check(*given):
            with contextlib.suppress(optuna.exceptions.StorageInternalError, sqlalchemy.exc.OperationalError):
                overtaken.append(other.set_trial_state_values(number, state))  # waits in vain
            return original(*given)

        one.check_trial_is_updatable = check
        assert one.set_trial_state_values(number, state)
        assert overtaken == []


def test_killed_between_enqueueing_and_giving_up(copied):
    """A lost trial whose values are enqueued, but which still runs in the journal, is not enqueued twice."""
    with storage.opened(copied, None) as kept:
        found = optuna.load_study(study_name="faces/0", storage=kept)
        found.ask()
        storage.retry()(found, found.trials[-1])
        storage.enqueue_lost(found)
        states = [trial.state for trial in found.trials]
    assert states == [TrialState.COMPLETE] * 3 + [TrialState.FAIL, TrialState.WAITING]


def test_whoever_comes_when_all_places_are_taken_lets_go(tmp_path):
    """Another worker takes the last place between our look and our asking."""
    with storage.opened(tmp_path / "j", None) as kept:
        found = search.open_study(kept, "faces/0", FEW, 6, 7)
        seen = itertools.count()
        original = found.optimize

        def overtaken(*given, **more):
            if next(seen) == 2:
                other = found.ask()
                original(*given, **more)
                found.tell(other, 0.5)
            else:
                original(*given, **more)

        found.optimize = overtaken
        search.run(found, FEW, 3, formula, alone=True)
        trials = found.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    assert search.places(trials) == {0: 0, 1: 1, 2: 2}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: None)
