"""Asks the extender's replicas what they decided about a pod: ``GET /decisions``, from each address of each URL."""

import logging
import socket
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from lastnode.kube.errors import KubeError
from lastnode.kube.fetch import fetch
from lastnode.kube.wire import decode
from lastnode.outcome import DECISIONS, Decision, Decisions
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
        self._urls = [] if self._none else [url for url in urls.split(",") if url]
        self._ca_file = ca_file

    def decided(self, pod_uid: str, namespace: str, created_at: datetime) -> Answer:
        """What was decided about a pod that was created at that time. Never raises."""
        if self._none:
            return Answer(Found.NOTHING)
        about = urlencode({"pod_uid": pod_uid, "namespace": namespace})
        answers = [answer for url in self._urls for answer in self._ask_all(url, about)]
        return sum_up(answers, created_at)

    def _ask_all(self, url: str, about: str) -> Iterator[Decisions | None]:
        """Each replica's answer, None for one that did not give any."""
        place = urlsplit(url)
        try:
            found = socket.getaddrinfo(place.hostname, place.port or _PORTS[place.scheme], type=socket.SOCK_STREAM)
        except OSError as error:
            log.debug("extender %s: %s", url, error)
            yield None
            return
        asked = f"{url.rstrip('/')}/decisions?{about}"
        for *_, address in found:
            try:
                # The CA is read anew each time: the extender's certificate may be made after this program has started.
                body = fetch(asked, seconds=SECONDS, ca=self._ca_file, address=str(address[0]))
                yield decode(DECISIONS, body, "decisions")
            except KubeError as error:
                log.debug("extender %s at %s: %s", url, address[0], error)
                yield None


def sum_up(answers: Sequence[Decisions | None], created_at: datetime) -> Answer:
    """What all replicas together know of a pod that was created at that time; None for one that did not answer."""
    decisions = [decision for answer in answers if answer for decision in answer.decisions]
    if decisions:
        return Answer(Found.ANSWERED, max(decisions, key=lambda decision: decision.at))
    # Only who was there, and forgot nothing, since the pod was created knows that nobody asked.
    sure = bool(answers) and all(answer and answer.since <= created_at for answer in answers)
    return Answer(Found.NOTHING if sure else Found.FAILED)
