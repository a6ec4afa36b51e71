"""The journal: once, in order, whatever a crash leaves."""

import pytest

from agentstead.sandbox.supervisor.journal import Journal, Record


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path)


def test_the_right_to_run_a_call_is_given_once(journal: Journal) -> None:
    assert journal.read("call_1") is None
    assert journal.start("call_1", "bash")
    assert not journal.start("call_1", "bash")
    assert not journal.refuse("call_1")
    assert journal.read("call_1") == Record("started")


def test_an_outcome_is_kept(journal: Journal) -> None:
    journal.start("call_1", "bash")
    journal.finish("call_1", {"content": ["ä"]})
    assert journal.read("call_1") == Record("done", {"content": ["ä"]})


def test_a_refused_call_never_starts(journal: Journal) -> None:
    assert journal.refuse("call_1")
    assert not journal.start("call_1", "bash")
    assert journal.read("call_1") == Record("cancelled")


def test_a_line_cut_off_by_a_crash_does_not_count(journal: Journal) -> None:
    journal.start("call_1", "bash")
    journal.finish("call_1", {"content": ["x" * 100]})
    (file,) = journal.folder.iterdir()
    for size in (1, 40):
        file.write_bytes(file.read_bytes()[:-size])
        assert journal.read("call_1") == Record("started")


@pytest.mark.parametrize("call_id", ["../../etc/passwd", "a/b", "", ".", "-x", "é", "x" * 300])
def test_any_id_has_a_file_of_its_own(journal: Journal, call_id: str) -> None:
    assert journal.start(call_id, "bash")
    assert journal.start("other", "bash")
    assert journal.read(call_id) == Record("started")
    assert len(list(journal.folder.iterdir())) == 2
