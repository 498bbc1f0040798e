"""Passes side by side, and one alone."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from transforms.explain.engine import Engine
from transforms.explain.load import load_engine
from transforms.explain.turns import Turns

TIMEOUT = 30


def test_parts_are_computed_side_by_side_and_stay_in_their_order() -> None:
    meeting = threading.Barrier(2, timeout=TIMEOUT)

    def compute(part: int) -> int:
        meeting.wait()  # passes only where two parts are computed at a time
        return 10 * part

    assert [0, 10, 20, 30] == Turns(2).map(compute, range(4))


def test_no_more_than_the_most_compute_at_a_time() -> None:
    turns, leave = Turns(2), threading.Event()
    inside = threading.Semaphore(0)

    def compute(_: int) -> None:
        inside.release()
        assert leave.wait(TIMEOUT)

    threads = [threading.Thread(target=turns.map, args=(compute, [0, 1])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        assert inside.acquire(timeout=TIMEOUT)
    assert not inside.acquire(timeout=0.2)  # the third waits
    leave.set()
    for _ in range(2):
        assert inside.acquire(timeout=TIMEOUT)
    for thread in threads:
        thread.join(TIMEOUT)


def test_what_fails_in_a_part_fails_for_who_asked() -> None:
    turns = Turns(2)
    with pytest.raises(ZeroDivisionError):
        turns.map(lambda part: 1 / part, [1, 0, 2])

    assert [1.0] == turns.map(lambda part: 1 / part, [1])


def test_one_alone_waits_for_the_others_and_keeps_new_ones_out() -> None:
    turns = Turns(2)
    inside, leave, alone, done = (threading.Event() for _ in range(4))
    order: list[str] = []

    def first() -> None:
        with turns.beside():
            inside.set()
            leave.wait(TIMEOUT)
            order.append("first")

    def lonely() -> None:
        with turns.alone():
            order.append("alone")
            alone.set()
            assert not done.wait(0.2)  # the late one does not get in
            order.append("alone still")

    def late() -> None:
        alone.wait(TIMEOUT)
        with turns.beside():
            order.append("late")
            done.set()

    threads = [threading.Thread(target=work) for work in (first, lonely, late)]
    threads[0].start()
    inside.wait(TIMEOUT)
    threads[1].start()
    threads[2].start()
    assert not alone.wait(0.2)
    leave.set()
    for thread in threads:
        thread.join(TIMEOUT)

    assert ["first", "alone", "alone still", "late"] == order


def test_an_image_that_fits_only_alone_is_no_dead_letter(tiny_model) -> None:
    """A pass of one image fails as long as another goes on: it is tried again by itself."""
    engine: Engine = load_engine(str(tiny_model), batch_size=1)
    usual, going, failed = engine._pass, [0], threading.Event()
    lock = threading.Lock()

    def one_pass(*arguments: object) -> None:
        with lock:
            going[0] += 1
            others = going[0] > 1
        try:
            if others:
                failed.set()
                raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
            failed.wait(TIMEOUT)  # the first goes on until the second has failed
            usual(*arguments)  # type: ignore[arg-type]
        finally:
            with lock:
                going[0] -= 1

    engine._pass = one_pass  # type: ignore[method-assign]
    image, target = np.zeros((1, 16, 16, 3), np.uint8), np.int32([[0]])
    found: list[tuple[int, ...]] = []
    threads = [
        threading.Thread(target=lambda: found.append(engine(image, target).out_of_memory)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)

    assert [(), ()] == found
