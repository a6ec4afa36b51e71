"""Sequences that share their items: what was handed out never changes."""

import pytest

from agentstead.harness.growing import Growing, Spliced


def test_two_ways_on_from_one_form_do_not_meet():
    old = Growing([1, 2])
    one, other = old.plus(3), old.plus(4)
    assert list(old) == [1, 2]
    assert list(one.plus(5)) == [1, 2, 3, 5]
    assert list(other) == [1, 2, 4]
    assert one[-1] == 3
    assert one[1:] == (2, 3)
    assert (*other,) == (1, 2, 4)
    with pytest.raises(IndexError):
        old[2]


def test_equal_to_any_sequence_of_the_same_items():
    assert Growing([1, 2]) == (1, 2)
    assert Growing([1, 2]) == Growing([1]).plus(2)
    assert Growing([1, 2]) != (1, 3)
    assert Growing([1, 2]) != [1]
    assert Growing() == ()
    assert not Growing()


def test_a_form_knows_its_start_by_identity_and_by_value():
    old = Growing([1, 2])
    new = old.plus(3)
    assert new.begins_with(old, 2)
    assert new.begins_with([1, 2, 9], 2)
    assert not new.begins_with([1, 9], 2)
    assert not old.begins_with(new, 3)


def test_spliced_reads_like_one_sequence():
    start = [1, 2, 3]
    both = Spliced(start, 2, [8, 9])
    start.append(4)
    start[2] = 7
    assert list(both) == [1, 2, 8, 9]
    assert both[1:] == (2, 8, 9)
    assert both[2:] == (8, 9)
    assert both[-1] == 9
    assert both[0] == 1
    assert len(both) == 4
    assert both == (1, 2, 8, 9)
    with pytest.raises(IndexError):
        both[4]
