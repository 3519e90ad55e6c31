"""Which pods wait for a look of their scheduler, and how long; the watch never runs here."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from lastnode.kube.api import Api
from lastnode.kube.observer import NOBODY
from recorder.silence import Silence, read_waiting

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def pod(name: str, seconds: float, *conditions: dict[str, str]) -> bytes:
    """Created so many seconds before NOW."""
    created = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"namespace": "n", "name": name, "uid": name, "creationTimestamp": created}
    content: dict[str, Any] = {"metadata": metadata, "spec": {}, "status": {"conditions": conditions or None}}
    return json.dumps(content).encode()


@pytest.mark.parametrize("reason", ["Unschedulable", "SchedulingGated"])
def test_only_pods_wait_of_which_nobody_has_said_why_they_are_not_bound(reason: str) -> None:
    said = {"type": "PodScheduled", "status": "False", "reason": reason}
    assert read_waiting(pod("a", 9, said)).unseen_since is None
    other = {"type": "Initialized", "status": "True"}
    assert read_waiting(pod("a", 9, other)).unseen_since == NOW - timedelta(seconds=9)


def test_a_scheduler_is_silent_for_as_long_as_the_oldest_pod_waits_unless_the_api_server_is_lost() -> None:
    silence = Silence(cast(Api, None), "second", NOBODY, now=lambda: NOW)
    store = silence.watch.store
    assert silence.seconds() == 0
    for each in (pod("young", 5), pod("old", 90), pod("seen", 900, {"type": "PodScheduled", "status": "False"})):
        store.upsert(read_waiting(each))
    assert silence.seconds() == 90
    silence.watch.progress.lost = True
    assert silence.seconds() == 0
    silence.watch.progress.lost = False
    store.upsert(read_waiting(pod("old", 90, {"type": "PodScheduled", "status": "False"})))
    assert silence.seconds() == 5
