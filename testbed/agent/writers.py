"""Sends requests: a few threads with kept-alive connections, retrying what may succeed later."""

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final
from zlib import crc32

from lastnode.kube.api import Api
from lastnode.kube.errors import Conflict, KubeError, NotFound, Refused
from lastnode.kube.queue import Backoff
from testbed.agent.requests import Request

# The answers are not read: without the spec and status they cost both sides less.
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_JOIN_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Writers:
    """``send`` returns at once; requests of one key are sent in the order they came.

    ``refused`` is called, in a writer's thread, for a request that the server will never accept.
    """

    def __init__(self, api: Api, threads: int, refused: Callable[[Request, Refused], None]) -> None:
        self._api = api
        self._refused = refused
        self._stopping = Event()
        self._queues: list[SimpleQueue[Request | None]] = [SimpleQueue() for _ in range(threads)]
        self._threads = [
            Thread(target=self._work, args=(queue,), name=f"writer-{number}", daemon=True)
            for number, queue in enumerate(self._queues)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the requests that are on their way; what is still queued is dropped."""
        self._stopping.set()
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    def send(self, request: Request) -> None:
        self._queues[crc32(request.key.encode()) % len(self._queues)].put(request)

    def _work(self, queue: "SimpleQueue[Request | None]") -> None:
        while (request := queue.get()) is not None and not self._stopping.is_set():
            self._deliver(request)

    def _deliver(self, request: Request) -> None:
        backoff = Backoff(first=0.2, cap=5.0)
        while not self._stopping.is_set():
            try:
                self._send_once(request)
                return
            except (NotFound, Conflict) as error:
                # Gone, replaced or made by somebody else: the watch says what is to be done now.
                log.debug("%s %s: %s", request.method, request.path, error)
                return
            except Refused as error:
                log.warning("%s %s: %s", request.method, request.path, error)
                self._refused(request, error)
                return
            except KubeError as error:
                delay = backoff.next(getattr(error, "retry_after", None))
                log.warning("%s %s: %s; again in %.1f s", request.method, request.path, error, delay)
                self._stopping.wait(delay)

    def _send_once(self, request: Request) -> None:
        self._api.request(
            request.method,
            request.path,
            body=request.body,
            content_type=request.content_type,
            accept=_METADATA_ONLY,
        )
