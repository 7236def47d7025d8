"""Clips shared among threads."""

import os
import threading

import pytest
import torch
from avcil.incremental.model.kernels.team import MOST_MEMBERS, share


@pytest.fixture(params=[1, 2, 3, MOST_MEMBERS + 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_every_clip_is_worked_on_once(threads, count):
    shares = share(list, count)
    assert sorted(clip for clips in shares for clip in clips) == list(range(count))
    assert len(shares) == max(1, min(count, threads, MOST_MEMBERS))
    assert shares == share(list, count)
    assert torch.get_num_threads() == threads


def test_clips_are_worked_on_side_by_side(threads):
    members = min(threads, MOST_MEMBERS)
    everyone = threading.Barrier(members)
    share(lambda clips: everyone.wait(timeout=20), 40)  # a lone thread would wait in vain


def test_threads_inside_operations_do_not_depend_on_the_count(threads):
    inside = {tuple(set(share(lambda clips: torch.get_num_threads(), count))) for count in (1, 2, 40)}
    assert inside == {(max(1, threads // MOST_MEMBERS),)}


def test_operations_are_not_divided_where_that_is_said(threads):
    assert set(share(lambda groups: torch.get_num_threads(), 40, divided=False)) == {1}
    assert torch.get_num_threads() == threads


def test_new_threads_take_the_number_that_was_set(threads):
    share(list, 3)
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [threads]


def test_no_gradient_is_recorded(threads):
    weight = torch.ones(2, requires_grad=True)
    with torch.enable_grad():
        assert not any(share(lambda clips: (weight * 2).requires_grad, 3))
    with torch.inference_mode():
        assert all(share(lambda clips: torch.is_inference_mode_enabled(), 3))


def test_an_error_reaches_the_caller(threads):
    def fail(clips: range) -> None:
        raise ArithmeticError(f"clips {list(clips)}")

    with pytest.raises(ArithmeticError, match=r"clips \[0"):
        share(fail, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_makes_a_team_of_its_own():
    share(list, 4)
    child = os.fork()
    if child == 0:
        os._exit(0 if sorted(c for clips in share(list, 4) for c in clips) == [0, 1, 2, 3] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
