import pytest
from avcil.errors import InputError
from avcil.manifests import given_class_order, read_tasks, shuffled_class_order, split_into_tasks
from hypothesis import given
from hypothesis import strategies as st


def test_the_last_task_keeps_what_is_left_over():
    assert split_into_tasks("abcdefg", 3) == (("a", "b", "c"), ("d", "e", "f"), ("g",))
    assert split_into_tasks("abcdef", 3) == (("a", "b", "c"), ("d", "e", "f"))
    assert split_into_tasks("ab", 2) == (("a", "b"),)


@given(st.integers(1, 120).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count))))
def test_no_class_is_ever_dropped(numbers):
    count, each = numbers
    order = tuple(f"class {index}" for index in range(count))
    tasks = split_into_tasks(order, each)
    assert tuple(label for task in tasks for label in task) == order
    assert {len(task) for task in tasks[:-1]} <= {each}
    assert 1 <= len(tasks[-1]) <= each


@pytest.mark.parametrize("each", [0, -1, 4])
def test_an_impossible_size_is_refused(each):
    with pytest.raises(InputError, match=f"classes per task must be between 1 and 3, not {each}"):
        split_into_tasks("abc", each)


def test_an_order_drawn_from_a_seed_never_changes():
    order = tuple("abcdefghij")
    # Worked out apart: the labels by the first ten numbers of random.Random(7).random(), 0.324, 0.151, 0.651, 0.072,
    # 0.536, 0.366, 0.057, 0.507, 0.037, 0.437.
    assert shuffled_class_order(order, 7) == tuple("igdbafjhec")
    assert shuffled_class_order(order, 8) != shuffled_class_order(order, 7)
    assert sorted(shuffled_class_order(order, 8)) == sorted(order)
    assert order == tuple("abcdefghij")


def write(tmp_path, text):
    (tmp_path / "tasks.csv").write_text(text)
    return tmp_path / "tasks.csv"


def test_tasks_from_a_file(tmp_path):
    path = write(tmp_path, 'task,label\nfirst,a\nfirst,"b, c"\n2,d\nlast,e\nlast,f\nlast,g\n')
    expected = (("a", "b, c"), ("d",), ("e", "f", "g"))
    assert read_tasks(path) == expected
    assert read_tasks(path, ["g", "f", "e", "d", "b, c", "a"]) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task,label\n1,a\n2,b\n1,c\n", "row 4: the rows of task '1' have to stand together"),
        ("task,label\n1,a\n2,a\n", "row 3: label 'a' is listed twice, first in row 2"),
        ("task,label\n1,a\n1,\n", "row 3: both task and label have to be given"),
        ("task,label\n1,a\n1,bb\n", "row 3: unknown label 'bb': did you mean 'b'?"),
        ("task,label\n1,a\x1b[m\n", "row 2: label 'a\\u001b[m' has the hidden character \\u001b in it"),
        ("task,label\n\u202e1,a\n", "row 2: task '\\u202e1' has the hidden character \\u202e in it"),
        ("task,label\n1,a\n1,b\n", ": 1 class in no task, the first 'c'"),
        ("label\na\n", "row 1: there is no column 'task'"),
    ],
)
def test_bad_tasks_are_named(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_tasks(path, ["a", "b", "c"])
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)


@pytest.mark.parametrize("seed", [0, 1, 2**70])
def test_the_order_that_one_was_drawn_from_is_found_again(seed: int):
    given = tuple(f"class {number}" for number in range(57))
    drawn = shuffled_class_order(given, seed)
    assert drawn != given
    assert given_class_order(drawn, seed) == given
