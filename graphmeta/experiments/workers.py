"""Several processes that compute the cells of a run side by side.

The run folder is what they share: a worker reads the data anew, computes, and writes cells.
Each cell is written whole, so workers may be killed at any time.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from graphmeta.errors import GraphMetaError
from graphmeta.experiments.compute_cells import Observer, compute_cells
from graphmeta.experiments.manifest import peak_memory_mib
from graphmeta.experiments.methods import choose_methods
from graphmeta.experiments.run_data import load_run_data
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.settings import ColdStartSettings

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """Methods to run on one split in one process.

    Args:
        seed: The split seed.
        methods: Names of the methods; several where they share their training.
        is_large: Needs so much memory that only one such task runs at a time.
    """

    seed: int
    methods: tuple[str, ...]
    is_large: bool = False


def run_workers(
    tasks: Sequence[Task],
    settings: ColdStartSettings,
    folder: RunFolder,
    observer: Observer,
    *,
    n_workers: int,
) -> int:
    """Run the tasks in `n_workers` processes and return when all are done.

    The first process does the large tasks, then helps the others. Whatever ends this call
    early, an error or Ctrl-C, also ends the processes.

    Returns:
        The sum of the processes' peaks of memory, in MiB.

    Raises:
        GraphMetaError: A task fails, or a process was killed from outside.
    """
    # A fresh interpreter per worker: a fork would copy the threads' locks of torch and rich.
    context = multiprocessing.get_context("spawn")
    events = context.Queue()
    large = _filled(context.Queue(), [task for task in tasks if task.is_large], n_ends=1)
    light = [task for task in tasks if not task.is_large]
    n_workers = min(n_workers, 1 + len(light))
    small = _filled(context.Queue(), light, n_ends=n_workers)
    n_threads = max(1, torch.get_num_threads() // n_workers)
    arguments = (events, settings, folder.path, n_threads, os.getpid())
    processes = [
        context.Process(target=_work, args=([large, small] if number == 0 else [small], *arguments))
        for number in range(n_workers)
    ]
    with _few_threads(n_threads), _interrupts_ignored():
        for process in processes:
            process.start()
    try:
        return _listen(events, observer, processes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _filled(tasks: Any, content: Sequence[Task], *, n_ends: int) -> Any:
    for task in content:
        tasks.put(task)
    for _ in range(n_ends):
        tasks.put(None)
    return tasks


def _listen(events: Any, observer: Observer, processes: Sequence[BaseProcess]) -> int:
    """Pass on what the workers tell until the last has said goodbye; return their memory."""
    at_work, memory = len(processes), 0
    while at_work:
        try:
            kind, content = events.get(timeout=0.5)
        except queue.Empty:
            _refuse_killed(processes)
            continue
        if kind == "error":
            raise content
        if kind == "end":
            at_work -= 1
            memory += content
        else:
            getattr(observer, kind)(*content)
    return memory


def _refuse_killed(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        if process.exitcode not in (None, 0):
            how = "broke" if process.exitcode > 0 else "was killed; memory may be short"
            raise GraphMetaError(
                f"a worker process {how} (code {process.exitcode}); resume the run, or start anew "
                "with fewer --workers"
            )


class _Teller:
    """Sends what an observer would be told to the main process."""

    def __init__(self, events: Any) -> None:
        self._events = events

    def begin(self, seed: int, method: str) -> None:
        self._events.put(("begin", (seed, method)))

    def epoch(self, epoch: int, epochs: int, loss: float) -> None:
        self._events.put(("epoch", (epoch, epochs, loss)))

    def finish(self, seed: int, method: str) -> None:
        self._events.put(("finish", (seed, method)))


def _work(
    queues: Sequence[Any],
    events: Any,
    settings: ColdStartSettings,
    path: Path,
    n_threads: int,
    parent: int,
) -> None:
    """Empty one queue of tasks after the other; runs in a process of its own."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(n_threads)
    try:
        splits = {split.seed: split for split in load_run_data(settings).splits}
        for tasks in queues:
            while (task := tasks.get()) is not None:
                methods = choose_methods(task.methods)
                split = splits[task.seed]
                compute_cells(methods, split, settings, RunFolder(path), _Teller(events))
    except GraphMetaError as error:
        events.put(("error", error))
    else:
        events.put(("end", peak_memory_mib()))


def _end_with(parent: int) -> None:
    """End this process when the main one is gone, killed perhaps: nobody waits for it."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


@contextmanager
def _few_threads(n_threads: int) -> Iterator[None]:
    """Let processes that are started inside use `n_threads` threads for linear algebra."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(n_threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes that are started inside ignore Ctrl-C: the main one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
