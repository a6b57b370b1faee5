import pytest

from classifier_site.balance import LoadBoard


def test_slots_are_taken_released_and_taken_again() -> None:
    board = LoadBoard(2)
    first, second = board.take_slot(), board.take_slot()

    with pytest.raises(ValueError, match="All 2 slots"):
        board.take_slot()
    board.release_slot(first)

    assert board.take_slot() == first
    assert first != second


def test_only_a_smaller_load_of_a_present_worker_counts() -> None:
    board = LoadBoard(3)
    mine, other = board.take_slot(), board.take_slot()

    board.publish(mine, 2)
    board.publish(other, 2)
    assert not board.someone_is_less_busy(mine)
    board.publish(other, 1)
    assert board.someone_is_less_busy(mine)
    board.release_slot(other)
    assert not board.someone_is_less_busy(mine)
