"""The kubelets of all served nodes, and the collector of pods whose node is gone.

Everything here is called by one thread, so there are no locks; nothing here waits or talks to the API server.
"""

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from testbed.agent import podstatus, requests, script
from testbed.agent.images import Layers, tagged
from testbed.agent.machines import Machine, Machines, Model
from testbed.agent.nodes import timestamp
from testbed.agent.requests import Request
from testbed.agent.script import Script, ScriptError
from testbed.agent.timers import Action, Moment, Timers
from testbed.agent.wire import SeenNode, SeenPod

# The watches of pods and nodes are not ordered against each other: a pod may be seen on a node before the node is.
# (The real pod garbage collector waits 40 s for the same reason.)
ORPHAN_SECONDS: Final = 3.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    """One pod that a kubelet has taken on. ``ending``: its removal is on its way."""

    pod: SeenPod
    script: Script
    ending: bool = False


class Kubelets:
    """Pods and nodes as seen go in, requests come out through ``send``."""

    def __init__(self, model: Model, timers: Timers, send: Callable[[Request], None]) -> None:
        self._model = model
        self._timers = timers
        self._send = send
        self._runs: dict[str, _Run] = {}  # by pod UID
        self._bound: defaultdict[str, dict[str, SeenPod]] = defaultdict(dict)  # node -> pod UID -> pod
        self._nodes_known = False
        self.machines = Machines(model, timers, send)

    def nodes_listed(self) -> None:
        """From now on a node that was not seen does not exist."""
        self._nodes_known = True

    def node_changed(self, before: SeenNode | None, after: SeenNode | None, now: Moment) -> None:
        if before is not None and (after is None or after.uid != before.uid):
            self.machines.gone(before.name)
            for pod in list(self._bound[before.name].values()):
                self._collect(pod)
        if after is not None:
            arrived = self.machines.get(after.name) is None
            self.machines.seen(after, now)
            if arrived and after.served:
                for pod in list(self._bound[after.name].values()):
                    self._take(pod, now)

    def pod_changed(self, before: SeenPod | None, after: SeenPod | None, now: Moment) -> None:
        if before is not None and (after is None or after.uid != before.uid):
            self._forget(before, now)
        if after is not None and after.node:
            self._bound[after.node][after.uid] = after
            self._take(after, now)

    def _take(self, pod: SeenPod, now: Moment) -> None:
        machine = self.machines.get(pod.node)
        if machine is not None:
            self._when_up(machine, partial(self._serve, machine, pod.uid), now)
        elif not self.machines.exists(pod.node):
            self._timers.at(now.tick + ORPHAN_SECONDS, partial(self._check_orphan, pod.node, pod.uid))

    def _check_orphan(self, node: str, uid: str, now: Moment) -> None:
        pod = self._bound[node].get(uid)
        if pod is None or self.machines.exists(node):
            return
        if self._nodes_known:
            self._collect(pod)
        else:
            self._timers.at(now.tick + ORPHAN_SECONDS, partial(self._check_orphan, node, uid))

    def _collect(self, pod: SeenPod) -> None:
        """No kubelet will ever end this pod: take it away."""
        self._send(requests.delete_pod(pod.namespace, pod.name, pod.uid, at_once=True))

    def _forget(self, pod: SeenPod, now: Moment) -> None:
        self._bound[pod.node].pop(pod.uid, None)
        if self._runs.pop(pod.uid, None):
            self._release(pod, now)

    def _release(self, pod: SeenPod, now: Moment) -> None:
        machine = self.machines.get(pod.node)
        if machine is not None and machine.store.release(pod.uid, now.tick):
            self.machines.images_change(machine, now.tick)

    def _serve(self, machine: Machine, uid: str, now: Moment) -> None:
        """What the pod's kubelet does about it as it is now."""
        pod = self._bound[machine.node.name].get(uid)
        if pod is None:
            return
        run = self._runs.get(uid)
        if pod.deleting:
            self._end(pod, run)
        elif pod.over:
            self._release(pod, now)
        elif run is None:
            self._adopt(machine, pod, now)

    def _end(self, pod: SeenPod, run: _Run | None) -> None:
        if run is None:
            run = self._runs[pod.uid] = _Run(pod, script.PLAIN)
        if not run.ending:
            run.ending = True
            self._collect(pod)

    def _adopt(self, machine: Machine, pod: SeenPod, now: Moment) -> None:
        if pod.started_at is None:
            pod = msgspec.structs.replace(pod, started_at=timestamp(now.wall))
        try:
            run = _Run(pod, script.parse(pod.annotations))
        except ScriptError as error:
            log.warning("pod %s: %s", pod.key, error)
            self._runs[pod.uid] = _Run(pod, script.PLAIN)
            status = podstatus.failed(pod, machine.node.address, now.wall, "InvalidAnnotation", str(error))
            self._patch(pod, status)
            return
        self._runs[pod.uid] = run
        if pod.ready_at is not None:
            self._resume(machine, run, now)
        elif run.script.fail == "pull":
            self._patch(pod, podstatus.unpullable(pod, machine.node.address, now.wall))
        else:
            self._start(machine, run, now)

    def _resume(self, machine: Machine, run: _Run, now: Moment) -> None:
        """A pod that was Ready before this program was started: its images are there."""
        images = self._images(run)
        machine.store.remember(images)
        machine.store.admit(run.pod.uid, images, now.tick)
        if run.pod.ready_at is not None:
            self._plan_end(machine, run, now.tick - (now.wall - run.pod.ready_at).total_seconds())

    def _start(self, machine: Machine, run: _Run, now: Moment) -> None:
        pull = machine.store.admit(run.pod.uid, self._images(run), now.tick)
        if pull.bytes:
            self.machines.images_change(machine, pull.done_at)
        scale = self._model.time_scale
        due = pull.done_at + self._model.container_start * scale
        if run.script.ready_after is not None:
            due = now.tick + run.script.ready_after * scale
        elif self._model.running_state:
            self._later(machine, run, pull.done_at, self._run_containers)
        start_up = {
            "pulledBytes": pull.bytes,
            "downloadSeconds": round((pull.downloaded_at - now.tick) / scale, 3),
            "pullSeconds": round((pull.done_at - now.tick) / scale, 3),
            "startSeconds": round((due - now.tick) / scale, 3),
        }
        act = self._die if run.script.fail == "start" else partial(self._become_ready, start_up)
        self._later(machine, run, due, act)

    def _images(self, run: _Run) -> list[tuple[str, Layers]]:
        layers = self._model.images.layers
        return [(name, layers(name, run.script.image_size)) for name in map(tagged, run.pod.images)]

    def _run_containers(self, machine: Machine, run: _Run, now: Moment) -> None:
        self._patch(run.pod, podstatus.starting(run.pod, machine.node.address, now.wall, running=True))

    def _become_ready(self, start_up: dict[str, float], machine: Machine, run: _Run, now: Moment) -> None:
        self._patch(run.pod, podstatus.ready(run.pod, machine.node.address, now.wall, start_up))
        self._plan_end(machine, run, now.tick)

    def _plan_end(self, machine: Machine, run: _Run, ready_at: float) -> None:
        scale = self._model.time_scale
        if run.script.unready_after is not None:
            self._later(machine, run, ready_at + run.script.unready_after * scale, self._fail_probe)
        if run.script.crash_after is not None:
            self._later(machine, run, ready_at + run.script.crash_after * scale, self._die)

    def _fail_probe(self, machine: Machine, run: _Run, now: Moment) -> None:
        self._patch(run.pod, podstatus.unready(run.pod, machine.node.address, now.wall))

    def _die(self, machine: Machine, run: _Run, now: Moment) -> None:
        message = "this pod's annotations say that its container fails"
        self._patch(run.pod, podstatus.failed(run.pod, machine.node.address, now.wall, "Error", message))

    def _later(self, machine: Machine, run: _Run, at: float, act: Callable[[Machine, _Run, Moment], None]) -> None:
        """``act`` at that time, unless the pod is gone or ending by then; later still while its node is down."""

        def step(now: Moment) -> None:
            if self._runs.get(run.pod.uid) is run and not run.ending:
                act(machine, run, now)

        self._timers.at(at, lambda now: self._when_up(machine, step, now))

    def _when_up(self, machine: Machine, action: Action, now: Moment) -> None:
        if machine.up:
            action(now)
        else:
            machine.parked.append(action)

    def _patch(self, pod: SeenPod, status: dict[str, Any]) -> None:
        path = requests.pod_path(pod.namespace, pod.name) + "/status"
        self._send(requests.patch(path, pod.uid, {"status": status}))
