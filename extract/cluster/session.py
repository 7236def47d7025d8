"""Ray: started on this machine for as long as a run lasts, or reached at an address."""

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray

from ...errors import InputError, one_line
from ...threads import usable_cores

HERE = "local"
"""The address that stands for this machine alone."""
STORE = 100 * 2**20
"""Bytes for Ray's store of objects, the least it takes: features go through files, not through it."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def session(address: str, *, gpus: bool = True) -> Iterator[None]:
    """A connection to Ray. What was started for it ends with it; a cluster that was there before stays.

    Args:
        address: `HERE`; "auto", for the cluster that this machine is a node of; or HOST:PORT of its head.
        gpus: whether this machine's are used; for `HERE`.

    Raises:
        InputError: nothing answers at the address, or Ray does not start.
    """
    if address.startswith("ray://"):
        raise InputError(f"--ray {address}: run this on a node of the cluster, with --ray auto")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    folder = None
    try:
        if address == HERE:
            # In a place of its own, short enough for the names of sockets, and taken away again.
            folder = tempfile.mkdtemp(prefix="avcil-ray-", dir="/tmp")
            how |= {"num_cpus": usable_cores(), "object_store_memory": STORE, "include_dashboard": False}
            how |= {"_temp_dir": folder} if gpus else {"_temp_dir": folder, "num_gpus": 0}
        ray.init(address=address, **how)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        _end(folder)
        where = "Ray does not start here" if address == HERE else f"no Ray cluster answers at --ray {address}"
        raise InputError(f"{where} ({one_line(error)[:300]})") from None
    except BaseException:
        _end(folder)
        raise
    try:
        for number, handler in handlers.items():  # Ray puts one of its own for SIGTERM
            with suppress(ValueError):  # not in the main thread
                signal.signal(number, handler)
        yield
    finally:
        _end(folder)


def _end(folder: str | None) -> None:
    ray.shutdown()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
