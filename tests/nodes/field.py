"""Sessions on real nodes, and what the recorder makes of what their kubelets say."""

from __future__ import annotations

import itertools
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lastnode import memory
from lastnode.contract import AGENTCUBE_PREFIX
from lastnode.memory import Entry
from lastnode.outcome import JOURNAL, SessionRecord
from testbed.nodes.realnodes import RealNodes
from testbed.sessions import Sessions, key_of
from testbed.stack import Stack, is_ready
from testbed.workloads import Object, agent_runtime, sandbox_for
from tests.nodes import pods
from tests.waiting import eventually

_numbers = itertools.count(1)
# The first word after the script is how the processes of one session are told from others'.
OBEDIENT, FAILING, DEAF = "trap 'exit 0' TERM", "trap 'exit 1' TERM", "trap '' TERM"
_BUSYBOX = "/bin/busybox"
# After a moment it holds 500 MB: dd waits for more to fill its buffer with.
HUNGRY = (
    f"{{ {_BUSYBOX} sleep 3; {_BUSYBOX} dd if=/dev/zero bs=1M count=500; {_BUSYBOX} sleep 600; }} "
    f"| {_BUSYBOX} dd iflag=fullblock bs=600M of=/dev/null &"
)


class Field:
    """One workload with an image of its own, and its sessions: one after the other."""

    def __init__(self, stack: Stack, nodes: RealNodes, sessions: Sessions) -> None:
        self.stack, self.nodes, self.sessions = stack, nodes, sessions
        self.name = f"w{next(_numbers)}"
        nodes.registry.push(self.name, [nodes.program()])
        image = f"registry.example/{self.name}:1"
        self.workload = sessions.create(agent_runtime(self.name, image=image, sticky=True))
        self._asked: list[Object] = []

    def ask(self, *, signals: str = OBEDIENT, cpu: str = "50m", **spec: Any) -> Object:
        """Ask for a session; its Sandbox. ``spec``: of its pod; ``signals``: what its program does about them."""

        def transform(given: Object) -> Object:
            (container,) = given["containers"]
            script = f"{signals}\n{_BUSYBOX} sleep 100000 & wait; wait"
            container |= {"command": [_BUSYBOX, "sh", "-c", script, f"session-of-{self.name}"]}
            container["resources"] = {"requests": {"cpu": cpu}}
            return {**given, "terminationGracePeriodSeconds": 1, **spec}

        sandbox = sandbox_for(self.workload, str(len(self._asked) + 1), transform=transform)
        self._asked.append(sandbox)
        self.sessions.start(sandbox)
        return sandbox

    def run(self, **how: Any) -> Object:
        """The pod of a session that was asked for, as it was when it had been Ready, written and counted."""
        sandbox = self.ask(**how)
        self.sessions.wait_ready([key_of(sandbox)], 60)
        pod = self.pod(sandbox)
        eventually(lambda: self.records(pod), "the recorder to count the session")
        return pod

    def end(self) -> None:
        """Every session that was asked for."""
        for sandbox in self._asked:
            self.sessions.delete(sandbox)
        self.sessions.wait_gone([key_of(sandbox) for sandbox in self._asked], 60)

    @contextmanager
    def configured(self, node: str, **settings: Any) -> Iterator[None]:
        """The node's kubelet with these settings."""
        self.nodes.configure(node, **settings)
        self.nodes.wait_ready([node])
        try:
            yield
        finally:
            self.nodes.configure(node)
            self.nodes.wait_ready([node])

    def pod(self, sandbox: Object) -> Object:
        """The Sandbox's, once it is there."""
        name = sandbox["metadata"]["name"]
        eventually(lambda: name in pods.names(self.stack.api), f"the pod {name}")
        return pods.read(self.stack.api, name)

    def until(self, pod: Object, reached: Callable[[Object], bool], what: str) -> Object:
        """The pod once its status is like that."""

        def found() -> Object | None:
            now = pods.read(self.stack.api, pod["metadata"]["name"])
            return now if reached(now["status"]) else None

        return eventually(found, f"{what}; it is {pods.read(self.stack.api, pod['metadata']['name'])['status']}", 60)

    def restarted(self, pod: Object) -> Object:
        """The pod once its container was restarted and is Ready again."""

        def again(status: Object) -> bool:
            return status["containerStatuses"][0]["restartCount"] == 1 and is_ready({"status": status})

        return self.until(pod, again, "the container to run again")

    def kill_container(self, pod: Object) -> None:
        self.nodes.on(pod["spec"]["nodeName"], "pkill", "-KILL", "-f", f"session-of-{self.name}")

    def entries(self) -> list[Entry]:
        annotations = self.sessions.read(self.workload)["metadata"].get("annotations", {})
        return list(memory.parse(annotations, AGENTCUBE_PREFIX))

    def records(self, pod: Object) -> list[SessionRecord]:
        url = f"{self.stack.recorder_url}/sessions?pod_uid={pod['metadata']['uid']}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return JOURNAL.decode(answer.read()).sessions

    def outcome(self, pod: Object) -> tuple[str, str]:
        """Of a session: what became of it, and on which node."""
        (record,) = self.records(pod)
        return str(record.outcome), record.node


def ready_at(pod: Object) -> str:
    """As the kubelet has written it."""
    (moment,) = (c["lastTransitionTime"] for c in pod["status"]["conditions"] if c["type"] == "Ready")
    return str(moment)
