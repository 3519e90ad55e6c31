"""What the recorder keeps of a workload, a session or a namespace goes with it: nothing grows for months."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from pathlib import Path

from lastnode.kube import api
from lastnode.kube.queue import WorkQueue
from lastnode.objects import WorkloadKey
from lastnode.view import MemoryCache, View
from testbed.stack import Stack
from tests.recorder.httpproxy import Answer, Asked, HttpProxy, refusal
from tests.recorder.loops import following, running, writer_of
from tests.recorder.space import Space

ROUNDS = 3


def test_after_conflicts_refusals_and_sessions_that_wait_nothing_is_left_of_what_is_gone(
    plane: Stack, tmp_path: Path
) -> None:
    """The program's own parts, put together here so that they can be looked into."""
    with HttpProxy(plane.cp) as proxy, ExitStack() as loops:
        server = api.load(str(proxy.kubeconfig(tmp_path / "config")), "test")
        view = View()
        queue: WorkQueue[WorkloadKey] = WorkQueue()
        sessions = following(view, queue, early_crash=30.0)
        cache = MemoryCache(0, size=8)
        writer = writer_of(server, view, sessions, queue, cache, nodes_known=True)
        for watch in view.watches(server, sessions=True):
            loops.enter_context(running(watch))
        loops.enter_context(running(writer))
        spaces = [Space(plane) for _ in range(ROUNDS)]
        for space in spaces:
            _live_through_trouble(space, proxy)
        mine = {space.name for space in spaces}
        stores = [view.sessions, *view.controllers.values(), *view.workloads.values()]
        plane.wait(lambda: not any(mine & set(store._objects) for store in stores), "the view to be empty")
        plane.wait(lambda: not mine & {key.namespace for key in sessions.unwritten()}, "nothing to be pending")
        assert not mine & {key.namespace for key in [*writer._conflicts, *writer.queue._turns.busy]}
        assert not mine & {life.session.namespace for life in sessions._lives.values()}
        assert not mine & {awaited.namespace for awaited in sessions._waiting}
        assert len(writer._refused) <= 2  # once a status and resource, not once a workload
        assert len(cache) <= 8


def _live_through_trouble(space: Space, proxy: HttpProxy) -> None:
    """One workload is refused, one conflicts, one has sessions that wait and crash; then all of them go."""
    refusals = {"refused": refusal(403, "Forbidden"), "invalid": refusal(422, "Invalid"), "conflict": refusal(409)}

    def fault(asked: Asked) -> Answer | None:
        path = asked.path.partition("?")[0]
        return refusals.get(path.rpartition("/")[2]) if asked.method == "PATCH" else None

    proxy.fault = fault
    node = space.node("a")
    numbers = itertools.count(1)
    pods = []
    for name in refusals:
        space.workload(name)
        pods += [space.session(f"{name}-{next(numbers)}", node, number, name) for number in range(2)]
        space.stack.wait(lambda n=name: bool(proxy.writes(f"/{space.name}/agentruntimes/{n}")), "a write")  # type: ignore[misc]
    crashed = {"state": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:00:00Z"}}}
    waiting = space.pod("waits", node, workload="never-made", kind="AgentRuntime")
    space.status(waiting, "Running", 3)
    space.status(pods[0], "Failed", None, containerStatuses=[{"name": "c", "image": "", "imageID": "", "ready": False,
                                                              "restartCount": 0, **crashed}])  # fmt: skip
    for pod in [*pods, waiting]:
        space.delete_pod(pod)
    for name in refusals:
        space.delete(name)
    for sandbox in {pod["metadata"]["name"] for pod in pods}:
        space.delete_sandbox(sandbox)
    proxy.fault = None
