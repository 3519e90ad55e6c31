"""Asks the extender's replicas what they decided about a pod: ``GET /decisions``, from each address of each URL."""

import http.client
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

from lastnode.journal import DECISIONS, Decision, Decisions
from lastnode.kube.errors import KubeError, Unreachable
from lastnode.kube.wire import decode
from lastnode.reasons import Meant

# Nobody waits for the answer but a counter; a replica that does not answer must not hold up the next question.
SECONDS: Final = 1.0
# In place of a URL: there is no extender, so that nobody asked where the pod carries no term.
NONE: Final = "none"

log = logging.getLogger(__name__)

_PORTS: Final = {"http": 80, "https": 443}


class Found(Meant):
    """How an inquiry ended."""

    ANSWERED = "answered", "a replica knew the pod"
    NOTHING = "nothing", "no replica was asked about the pod, and all of them would know"
    FAILED = "failed", "not known: a replica did not answer, or has forgotten"


class Answer(NamedTuple):
    """The newest decision, set exactly when ``found`` is ANSWERED."""

    found: Found
    decision: Decision | None = None


class Extenders:
    """``urls``: by commas, empty where none is known, ``none`` where there is none. A name with several addresses, as a
    headless Service has them, means a replica at each. ``ca_file``: PEM, which need not be there yet."""

    def __init__(self, urls: str, ca_file: str | None = None) -> None:
        self._none = urls == NONE
        self._urls = [] if self._none else [urlsplit(url) for url in urls.split(",") if url]
        self._ca_file = ca_file

    def decided(self, pod_uid: str, created_at: datetime) -> Answer:
        """What was decided about a pod that was created at that time. Never raises."""
        if self._none:
            return Answer(Found.NOTHING)
        answers = [answer for url in self._urls for answer in self._ask_all(url, pod_uid)]
        return sum_up(answers, created_at)

    def _ask_all(self, url: SplitResult, pod_uid: str) -> Iterator[Decisions | None]:
        """Each replica's answer, None for one that did not give any."""
        try:
            addresses = socket.getaddrinfo(url.hostname, url.port or _PORTS[url.scheme], type=socket.SOCK_STREAM)
        except OSError as error:
            log.debug("extender %s: %s", url.geturl(), error)
            yield None
            return
        for *_, address in addresses:
            try:
                yield self._ask(url, address, pod_uid)
            except (KubeError, OSError, http.client.HTTPException) as error:  # an unreadable CA among them
                log.debug("extender %s at %s: %s", url.geturl(), address[0], error)
                yield None

    def _ask(self, url: SplitResult, address: tuple[Any, ...], pod_uid: str) -> Decisions:
        with self._connect(url, address) as there:
            connection = http.client.HTTPConnection(url.hostname or "", url.port)
            connection.sock = there
            connection.request("GET", f"{url.path.rstrip('/')}/decisions?{urlencode({'pod_uid': pod_uid})}")
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise Unreachable(f"{answer.status} {answer.reason}")
            return decode(DECISIONS, answer.read(), "decisions")

    def _connect(self, url: SplitResult, address: tuple[Any, ...]) -> socket.socket:
        # Read anew each time: the extender may make its certificate after the recorder has started, and renew it.
        tls = ssl.create_default_context(cafile=self._ca_file) if url.scheme == "https" else None
        plain = socket.create_connection(address[:2], SECONDS)
        if tls is None:
            return plain
        try:
            return tls.wrap_socket(plain, server_hostname=url.hostname)
        except BaseException:
            plain.close()
            raise


def sum_up(answers: Sequence[Decisions | None], created_at: datetime) -> Answer:
    """What all replicas together know of a pod that was created at that time; None for one that did not answer."""
    decisions = [decision for answer in answers if answer for decision in answer.decisions]
    if decisions:
        return Answer(Found.ANSWERED, max(decisions, key=lambda decision: decision.at))
    # Only who was there, and forgot nothing, since the pod was created knows that nobody asked.
    sure = bool(answers) and all(answer and answer.since <= created_at for answer in answers)
    return Answer(Found.NOTHING if sure else Found.FAILED)
