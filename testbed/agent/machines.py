"""The simulated machines: which nodes are served, what each one holds on its disk, what it reports of that.

One thread calls all of this. What is to be written goes out through ``send``; what is to be done later goes into
the timers.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from testbed.agent import nodes, requests
from testbed.agent.images import Images
from testbed.agent.imagestore import ImageStore
from testbed.agent.nodes import NodeShape
from testbed.agent.pulls import Speed
from testbed.agent.requests import Request
from testbed.agent.timers import Action, Moment, Timers
from testbed.agent.wire import SeenNode


@dataclass(frozen=True, slots=True)
class Model:
    """How the machines behave. Seconds are those of the model: ``time_scale`` real seconds make one of them.

    ``speed``: of one node's pulls. ``image_cache``: bytes a node keeps, None for no limit. ``container_start``: from
    the last image being there to Ready. A node looks every ``list_period`` which images it has (30 s, written into the
    kubelet's image_gc_manager.go), and reports what it saw, ``status_images`` of them at most, with its status, every
    ``status_period`` (nodeStatusMaxImages, 50, and nodeStatusUpdateFrequency, 10 s). ``running_state``: whether Running
    is written before Ready: one write more a pod.
    """

    shape: NodeShape = field(default_factory=NodeShape)
    images: Images = field(default_factory=Images)
    speed: Speed = field(default_factory=Speed)
    image_cache: int | None = None
    container_start: float = 0.25
    time_scale: float = 1.0
    status_images: int = 50
    list_period: float = 30.0
    status_period: float = 10.0
    running_state: bool = False


@dataclass(slots=True)
class Machine:
    """One served node. ``parked``: what its kubelet does as soon as the node is Ready again."""

    node: SeenNode
    store: ImageStore
    parked: list[Action] = field(default_factory=list)
    look_at: float = 0.0
    listed: list[tuple[str, int]] = field(default_factory=list)
    reported: list[tuple[str, int]] = field(default_factory=list)

    @property
    def up(self) -> bool:
        return bool(self.node.ready)


class Machines:
    """Served nodes by name, and the names of all others."""

    def __init__(self, model: Model, timers: Timers, send: Callable[[Request], None]) -> None:
        self._model = model
        self._timers = timers
        self._send = send
        self._served: dict[str, Machine] = {}
        self._others: set[str] = set()

    def __len__(self) -> int:
        return len(self._served)

    def get(self, name: str) -> Machine | None:
        return self._served.get(name)

    def exists(self, name: str) -> bool:
        """Whether there is such a node, served or not."""
        return name in self._served or name in self._others

    def seen(self, node: SeenNode, now: Moment) -> None:
        """A node as it is now; a new machine of a known name must have been ``gone`` before."""
        if not node.served:
            self._served.pop(node.name, None)
            self._others.add(node.name)
            return
        self._others.discard(node.name)
        machine = self._served.get(node.name)
        if machine is None:
            machine = self._served[node.name] = self._boot(node)
        machine.node = node
        self._register(node, now)
        self._taint(node)
        if machine.up:
            parked, machine.parked = machine.parked, []
            for action in parked:
                action(now)

    def gone(self, name: str) -> None:
        """The machine is gone, and its disk with it."""
        self._served.pop(name, None)
        self._others.discard(name)

    def images_change(self, machine: Machine, at: float) -> None:
        """The node's images are others from ``at`` (monotonic seconds) on: a kubelet sees that when it looks next."""
        due = next_tick(at, self._model.list_period * self._model.time_scale, f"images of {machine.node.name}")
        if machine.look_at != due:
            machine.look_at = due
            self._timers.at(due, partial(self._look, machine))

    def _boot(self, node: SeenNode) -> Machine:
        store = ImageStore(self._model.speed.scaled(self._model.time_scale), self._model.image_cache)
        store.remember((name, self._model.images.layers(name, size)) for name, size in node.images)
        return Machine(node, store, reported=list(node.images))

    def _register(self, node: SeenNode, now: Moment) -> None:
        """A node that somebody made with our label and without a status gets ours."""
        if node.ready is None:
            status = nodes.node_status(node.name, self._model.shape, now.wall, index=len(self._served))
            self._patch(node, "/status", {"status": status})

    def _taint(self, node: SeenNode) -> None:
        # kube-scheduler knows of NotReady only through this taint, which the node-lifecycle controller sets in life.
        taints = nodes.taints_for(node.taints, ready=node.ready is not False)
        if taints is not None:
            # With its version: whoever changed the taints meanwhile causes another event, and another try.
            version = {"resourceVersion": node.resource_version}
            self._patch(node, "", {"metadata": version, "spec": {"taints": taints}})

    def _look(self, machine: Machine, now: Moment) -> None:
        machine.listed = machine.store.held(now.tick)[: self._model.status_images]
        due = next_tick(now.tick, self._model.status_period * self._model.time_scale, machine.node.name)
        self._timers.at(due, partial(self._report, machine))

    def _report(self, machine: Machine, now: Moment) -> None:
        if self._served.get(machine.node.name) is machine and machine.listed != machine.reported:
            machine.reported = machine.listed
            images = nodes.image_status(machine.listed, self._model.status_images)
            self._patch(machine.node, "/status", {"status": {"images": images}})

    def _patch(self, node: SeenNode, subresource: str, body: dict[str, object]) -> None:
        self._send(requests.patch(requests.node_path(node.name) + subresource, node.uid, body))


def next_tick(at: float, period: float, who: str) -> float:
    """The first moment from ``at`` on at which ``who`` does what it does once a period, each at a time of its own."""
    phase = random.Random(who).random()
    return max(at, (math.ceil(at / period - phase) + phase) * period) if period else at
