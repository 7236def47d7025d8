"""Who makes which shard: nothing twice, nothing lost, and the right clip is found guilty."""

import random
from pathlib import Path

import pytest
from avcil.extract.cluster.schedule import ACCUSED, AHEAD, TRIES, Again, Culprit, GivenUp, Schedule
from avcil.extract.decoding.workers import Job
from avcil.extract.selection import ShardPlan


def plans(count, clips=4):
    return [
        ShardPlan(f"s{shard}", tuple(Job(f"{shard}-{clip}", Path(f"{shard}-{clip}.mp4")) for clip in range(clips)))
        for shard in range(count)
    ]


def schedule(count, workers=("a", "b"), **more):
    made = Schedule(iter(plans(count)), count, **more)
    for number, node in enumerate(workers):
        made.join(number, node)
    return made


def test_a_worker_has_one_shard_at_work_and_one_ahead():
    made = schedule(10)
    tasks = [made.next_for(0) for _ in range(AHEAD)]
    assert [task.plan.name for task in tasks] == ["s0", "s1"]
    assert made.next_for(0) is None
    assert made.tasks_of(0) == tuple(tasks)
    made.finish(tasks[0], 1.0)
    assert made.next_for(0).plan.name == "s2"


def test_the_last_shards_are_for_workers_that_have_none():
    made = schedule(3)
    assert made.next_for(0).plan.name == "s0"
    assert made.next_for(0).plan.name == "s1"  # two are waiting, for two workers
    assert made.next_for(1).plan.name == "s2"
    assert made.next_for(1) is None
    made = schedule(2)
    made.next_for(0)
    assert made.next_for(0) is None  # the one that is waiting is for the other
    assert made.next_for(1).plan.name == "s1"


def test_a_death_costs_the_shard_at_work_and_not_the_one_ahead():
    made = schedule(6)
    first, _ = made.next_for(0), made.next_for(0)
    made.note(first, 0.0, ("0-0",))
    assert made.leave(0, "killed") == [Again(first.plan, 1)]
    assert made.unfinished
    assert made.waiting == 6
    other = [made.next_for(1) for _ in range(AHEAD)]
    assert [task.plan.name for task in other] == ["s0", "s1"]


def test_of_a_worker_that_said_nothing_the_first_shard_is_charged():
    made = schedule(6)
    first, _ = made.next_for(0), made.next_for(0)
    assert made.leave(0, "killed") == [Again(first.plan, 1)]


def test_a_worker_without_shards_costs_nothing():
    made = schedule(1)
    made.next_for(1)
    assert made.leave(0, "killed") == []
    assert made.waiting == 0


def test_a_shard_is_tried_again_on_another_node_where_there_is_one():
    made = schedule(9, workers=("a", "b"))
    made.note(made.next_for(0), 0.0, ("0-0",))
    made.leave(0, "killed")
    made.join(2, "a")
    assert made.next_for(2).plan.name == "s1"
    assert made.next_for(1).plan.name == "s0"
    alone = schedule(9, workers=("a",))
    alone.note(alone.next_for(0), 0.0, ("0-0",))
    alone.leave(0, "killed")
    alone.join(1, "a")
    assert alone.next_for(1).plan.name == "s0"


def test_a_shard_over_which_too_many_workers_die_is_given_up():
    made = schedule(1, workers=())
    for number in range(TRIES):
        made.join(number, "a")
        task = made.next_for(number)
        made.note(task, 0.0)  # it dies before its first batch: no clip can be suspected
        [verdict] = made.leave(number, f"death {number}")
        assert isinstance(verdict, GivenUp if number == TRIES - 1 else Again)
    assert made.given_up == {"s0": f"death {TRIES - 1}"}
    assert not made.unfinished


def drive(made, dies, *, batches=((0, 1), (2, 3))):
    """Run everything with one worker at a time that dies where `dies(clips)`; verdicts, and clips made."""
    verdicts, done, number = [], [], 100
    made.join(number, "a")
    while made.unfinished:
        task = made.next_for(number)
        jobs = [job.id for job in task.plan.jobs]
        steps = [(clip,) for clip in task.trying] or [
            tuple(clip for clip in jobs if int(clip[-1]) in batch) for batch in batches
        ]
        for clips in filter(None, steps):
            made.note(task, 0.0, clips)
            if dies(clips):
                verdicts += made.leave(number, "its words")
                number += 1
                made.join(number, "a")
                break
        else:
            made.finish(task, 1.0)
            if not task.trying:
                done += jobs
    return verdicts, done


@pytest.mark.parametrize("bad", [{"0-0"}, {"0-3"}, {"0-1", "0-2"}, {"0-0", "0-1", "0-2", "0-3"}, {"0-2", "1-1"}])
def test_clips_that_kill_every_worker_are_found_and_the_others_made(bad):
    verdicts, done = drive(schedule(3, workers=()), lambda clips: bool(bad & set(clips)))
    assert {verdict.clip for verdict in verdicts if isinstance(verdict, Culprit)} == bad
    everything = {job.id for plan in plans(3) for job in plan.jobs}
    assert sorted(done) == sorted(everything - bad)
    assert not any(isinstance(verdict, GivenUp) for verdict in verdicts)


def test_a_clip_is_not_found_guilty_for_fewer_deaths_than_that():
    deaths = {"left": 2 + ACCUSED - 1}

    def dies(clips):
        if "0-1" in clips and deaths["left"]:
            deaths["left"] -= 1
            return True
        return False

    verdicts, done = drive(schedule(1, workers=()), dies)
    assert not any(isinstance(verdict, Culprit) for verdict in verdicts)
    assert sorted(done) == ["0-0", "0-1", "0-2", "0-3"]


def test_clips_that_kill_only_together_end_in_giving_up():
    verdicts, done = drive(schedule(2, workers=()), lambda clips: set(clips) == {"0-0", "0-1"})
    assert isinstance(verdicts[-1], GivenUp)
    assert sum(isinstance(verdict, Again) for verdict in verdicts) == TRIES - 1
    assert sorted(done) == ["1-0", "1-1", "1-2", "1-3"]


@pytest.mark.parametrize("seed", range(20))
def test_random_deaths_lose_nothing_and_make_nothing_twice(seed):
    draw = random.Random(seed)
    count, made, done, number = 30, Schedule(iter(plans(30)), 30, tries=1000), [], 0
    alive: dict[int, None] = {}
    while made.unfinished:
        while len(alive) < 4:
            alive[number] = None
            made.join(number, draw.choice("abc"))
            number += 1
        worker = draw.choice(list(alive))
        made.next_for(worker)
        tasks = made.tasks_of(worker)
        if not tasks:
            continue
        task = tasks[0]
        chance = draw.random()
        if chance < 0.2:
            made.leave(worker, "killed")
            del alive[worker]
        elif chance < 0.5 or task.begun is None:
            clip = draw.choice(task.trying or [job.id for job in task.plan.jobs])
            made.note(task, 0.0, (clip,))
        else:
            made.finish(task, 1.0)
            done += [] if task.trying else [task.plan.name]
    guilty = {f"s{shard}" for shard in range(count)} - set(done)
    assert len(done) == len(set(done))
    assert not guilty


def test_a_straggler_is_named_once():
    made = schedule(8, workers=("a", "b"))
    for number in range(3):
        task = made.next_for(0)
        made.note(task, 10.0 * number)
        made.finish(task, 10.0 * number + 8)  # two seconds a clip
    slow = made.next_for(1)
    made.note(slow, 100.0)
    assert not list(made.stragglers(100.0 + 67))
    [(task, taken, due)] = made.stragglers(100.0 + 69)
    assert (task, taken, due) == (slow, 69.0, 8.0)
    assert not list(made.stragglers(100.0 + 500))
