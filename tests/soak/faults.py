"""The faults: each a function that makes one happen, and says whether there was occasion for it.

A fault that finds what it would hit is done and returns True. One that comes too early, as a
worker's death before there is a worker, returns False and is tried again in a moment.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from tests.faults.proxy import Fault, Rule
from tests.soak.world import NODE, RESULTS, Call, World

SECOND_DRIVER_SECONDS = 120.0

OF_STORAGE = (Fault.SLOW_DOWN, Fault.CUT, Fault.HANG, Fault.UNANSWERED)
"""What bursts are of; without them a refused call has one reason only."""

PADDING = bytes(10240)
"""Zeros behind a tar's end are no part of its content: its samples stay, its version changes."""


class Wrong(Exception):
    """What must not happen did. The message says what."""


@dataclass(frozen=True)
class Scene:
    """What a fault happens to."""

    world: World
    run: str
    call: Call
    chance: float
    """In [0, 1): which of several is hit."""

    def pick(self, things: list[Any]) -> Any:
        """One of them, by chance."""
        return things[int(self.chance * len(things))]


def kill_worker(scene: Scene) -> bool:
    """A worker is gone in the middle of whatever it does: out of memory, a decoder's crash."""
    workers = scene.world.workers()
    if not workers:
        return False
    try:
        scene.pick(workers).kill()
    except psutil.NoSuchProcess:
        return False
    return True


def replace_node(scene: Scene) -> bool:
    """A spot machine is taken away, and another comes."""
    cluster = scene.world.cluster
    nodes = sorted(cluster.worker_nodes, key=lambda node: node.node_id)
    cluster.remove_node(scene.pick(nodes), allow_graceful=False)
    cluster.add_node(**NODE)
    return True


def kill_driver(scene: Scene) -> bool:
    """The driver's machine is gone."""
    return _end_driver(scene, signal.SIGKILL)


def preempt_driver(scene: Scene) -> bool:
    """The notice that the driver's machine will be gone."""
    return _end_driver(scene, signal.SIGTERM)


def interrupt_driver(scene: Scene) -> bool:
    """Ctrl-C."""
    return _end_driver(scene, signal.SIGINT)


def _end_driver(scene: Scene, number: int) -> bool:
    scene.call.send(number)
    scene.call.process.wait()
    return True


def refuse(scene: Scene) -> bool:
    """The storage has too much to do."""
    scene.world.proxy.add(Rule(Fault.SLOW_DOWN, count=20, probability=0.7))
    return True


def cut(scene: Scene) -> bool:
    """Connections break off, in reading and in writing."""
    scene.world.proxy.add(Rule(Fault.CUT, count=10, probability=0.7))
    return True


def hang(scene: Scene) -> bool:
    """The storage takes requests and does not answer; some of them it has done."""
    scene.world.proxy.add(
        Rule(Fault.HANG, count=2, probability=0.5),
        Rule(Fault.UNANSWERED, "PUT", count=1),
    )
    return True


def change_source(scene: Scene) -> bool:
    """A shard is written again while it is read, or before, or after."""
    fs, path = scene.world.fs, scene.pick(scene.world.sources)
    content = fs.cat_file(path)
    is_padded = content.endswith(2 * PADDING)
    fs.pipe_file(path, content[: -len(PADDING)] if is_padded else content + PADDING)
    return True


def start_second_driver(scene: Scene) -> bool:
    """Somebody calls for the same run again, while it is under way.

    Raises:
        Wrong: it is not refused.
    """
    world, first = scene.world, scene.call
    claim = f"{RESULTS}/{scene.run}/driver.json"
    if not world.fs.exists(claim):
        return False
    if json.loads(world.fs.cat_file(claim))["holder"]["pid"] != first.process.pid:
        return False
    world.proxy.clear(*OF_STORAGE)
    second = world.call(scene.run)
    try:
        code = second.process.wait(SECOND_DRIVER_SECONDS)
    except subprocess.TimeoutExpired:
        second.end()  # the first may have ended and left it the run
        code = second.process.returncode
    if first.is_running and (code != 1 or "has a driver" not in second.said()):
        raise Wrong(f"a second driver ended with {code}: {second.last_words()} ({second.log})")
    return True


FAULTS: dict[str, Callable[[Scene], bool]] = {
    "worker killed": kill_worker,
    "node lost, another joined": replace_node,
    "driver killed": kill_driver,
    "SIGTERM to the driver": preempt_driver,
    "SIGINT to the driver": interrupt_driver,
    "503s from the storage": refuse,
    "connections cut": cut,
    "no answers": hang,
    "source shard rewritten": change_source,
    "second driver started": start_second_driver,
}


@dataclass(frozen=True)
class Draw:
    """A fault to come."""

    name: str
    wait: float
    """Seconds from the fault before it, or from the call's start."""
    is_late: bool
    """It waits until the call has committed a part; the others may hit its start."""
    chance: float
    """In [0, 1): which of several is hit."""


def draws(seed: int) -> Iterator[Draw]:
    """Faults without end: all kinds in random order, then all in another order, and so on."""
    rng = random.Random(seed)
    while True:
        for name in rng.sample(list(FAULTS), len(FAULTS)):
            yield Draw(name, rng.uniform(1.0, 5.0), rng.random() < 0.6, rng.random())
