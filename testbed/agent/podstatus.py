"""Pod statuses as a kubelet would report them. Pure: a pod and what happened in, the status of a patch out."""

import hashlib
import json
from datetime import datetime
from typing import Any

from testbed.agent import names
from testbed.agent.nodes import timestamp
from testbed.agent.wire import SeenPod


def starting(pod: SeenPod, host: str, wall: datetime, running: bool) -> dict[str, Any]:
    """Not Ready yet: ``running`` or still waiting for its image."""
    state = _running(wall) if running else _waiting("ContainerCreating", "")
    why = "ContainersNotReady"
    return _status(pod, host, wall, phase="Running" if running else "Pending", state=state, ready=False, why=why)


def ready(pod: SeenPod, host: str, wall: datetime, start_up: dict[str, float]) -> dict[str, Any]:
    """Running and Ready since ``wall``. ``start_up``: see :data:`names.START_UP`."""
    status = _status(pod, host, wall, phase="Running", state=_running(wall), ready=True)
    message = json.dumps(start_up, separators=(",", ":"))
    status["conditions"].append(_condition(names.START_UP, True, wall, "Measured", message))
    return status


def unready(pod: SeenPod, host: str, wall: datetime) -> dict[str, Any]:
    """Running, but its readiness probe fails."""
    return _status(pod, host, wall, phase="Running", state=_running(wall), ready=False, why="ContainersNotReady")


def unpullable(pod: SeenPod, host: str, wall: datetime) -> dict[str, Any]:
    """Pending for good: the image is not to be had."""
    state = _waiting("ErrImagePull", "this pod's annotations say that its image cannot be pulled")
    return _status(pod, host, wall, phase="Pending", state=state, ready=False, why="ContainersNotReady")


def failed(pod: SeenPod, host: str, wall: datetime, reason: str, message: str) -> dict[str, Any]:
    """Failed: every container ended with exit code 1."""
    ended = {"exitCode": 1, "reason": "Error", "startedAt": timestamp(wall), "finishedAt": timestamp(wall)}
    status = _status(pod, host, wall, phase="Failed", state={"terminated": ended}, ready=False, why="PodFailed")
    return {**status, "reason": reason, "message": message}


def pod_ip(uid: str) -> str:
    """An address from 10.0.0.0/8 that follows from the UID: the same after a restart, not certainly unique."""
    first, second, third = hashlib.blake2s(uid.encode(), digest_size=3).digest()
    return f"10.{first}.{second}.{third}"


def _status(
    pod: SeenPod,
    host: str,
    wall: datetime,
    *,
    phase: str,
    state: dict[str, Any],
    ready: bool,
    why: str = "",
) -> dict[str, Any]:
    """``state``: of every container. ``why``: the reason of the conditions that are not True."""
    address = pod_ip(pod.uid)
    return {
        "phase": phase,
        "startTime": pod.started_at or timestamp(wall),
        "hostIP": host or None,
        "hostIPs": [{"ip": host}] if host else None,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            *pod.kept,
            _condition("Initialized", True, wall),
            _condition("ContainersReady", ready, wall, why),
            _condition("Ready", ready, wall, why),
        ],
        "containerStatuses": [_container(name, image, ready, state) for name, image in pod.containers],
    }


def _condition(kind: str, true: bool, wall: datetime, reason: str = "", message: str = "") -> dict[str, Any]:
    condition = {
        "type": kind,
        "status": str(true),
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(wall),
    }
    texts = {"reason": reason, "message": message}
    return condition | {key: text for key, text in texts.items() if text}


def _container(name: str, image: str, ready: bool, state: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imageID": "" if "waiting" in state else f"simulated://{image}",
        "ready": ready,
        "started": "running" in state,
        "restartCount": 0,
        "state": state,
    }


def _running(wall: datetime) -> dict[str, Any]:
    return {"running": {"startedAt": timestamp(wall)}}


def _waiting(reason: str, message: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}
