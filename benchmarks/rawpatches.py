"""The peer of the recorder's writes: the same merge patches, sent by a process that does nothing else."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from lastnode.kube import api

Patch = tuple[str, dict[str, Any]]  # path, body


def send(kubeconfig: str, patches: Sequence[Patch], connections: int) -> float:
    """Send them from a process of their own, so that whoever measures does not share its interpreter's lock; returns
    its seconds of CPU, without those of its start. The request is the recorder's, to the last header.

    :raises ApiError, Unreachable: as the first patch that failed.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_send, kubeconfig, patches, connections).result()


def _send(kubeconfig: str, patches: Sequence[Patch], connections: int) -> float:
    server = api.load(kubeconfig, "lastnode-bench-raw", connections)
    accept = api.METADATA.an_object
    before = time.process_time()
    with ThreadPoolExecutor(connections) as pool:
        for _ in pool.map(lambda patch: server.merge_patch(patch[0], patch[1], accept), patches):
            pass
    return time.process_time() - before
