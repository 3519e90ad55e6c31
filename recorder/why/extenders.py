"""Asks the extender's replicas what they decided about a pod: ``GET /decisions``, from each address of each URL."""

import socket
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from lastnode.kube.fetch import fetch
from lastnode.kube.wire import decode
from lastnode.outcome import DECISIONS, Decision, Decisions
from lastnode.reasons import Meant
from recorder.why.asking import Asking

# Nobody waits for the answer but a counter; a replica that does not answer must not hold up the next question.
SECONDS: Final = 1.0
# In place of a URL: there is no extender, so that nobody asked where the pod carries no term.
NONE: Final = "none"

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

    def __init__(self, urls: str, ca_file: str | None = None, asking: Asking | None = None) -> None:
        self._none = urls == NONE
        self._urls = [] if self._none else [url for url in urls.split(",") if url]
        self._ca_file = ca_file
        self._asking = asking or Asking()

    def decided(self, pod_uid: str, created_at: datetime) -> Answer:
        """What was decided about a pod that was created at that time. Never raises; takes twice :data:`SECONDS` at
        most, whatever is silent: name servers, or replicas."""
        if self._none:
            return Answer(Found.NOTHING)
        found = self._asking.all({url: partial(_addresses, url) for url in self._urls}, SECONDS)
        asked = {
            (url, address): partial(self._ask, url, address, pod_uid)
            for url, addresses in found.items()
            for address in addresses or ()
        }
        unknown = [None for addresses in found.values() if addresses is None]
        return sum_up([*unknown, *self._asking.all(asked, SECONDS).values()], created_at)

    def _ask(self, url: str, address: str, pod_uid: str) -> Decisions:
        """:raises KubeError: no answer, or none that can be read."""
        asked = f"{url.rstrip('/')}/decisions?{urlencode({'pod_uid': pod_uid})}"
        # Longer than anybody waits for it, so that who is silent is told from who answers with an error.
        # The CA is read anew each time: the extender's certificate may be made after this program has started.
        return decode(DECISIONS, fetch(asked, seconds=2 * SECONDS, ca=self._ca_file, address=address), "decisions")


def _addresses(url: str) -> list[str]:
    """:raises OSError: the name is not known."""
    place = urlsplit(url)
    found = socket.getaddrinfo(place.hostname, place.port or _PORTS[place.scheme], type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def sum_up(answers: Sequence[Decisions | None], created_at: datetime) -> Answer:
    """What all replicas together know of a pod that was created at that time; None for one that did not answer."""
    decisions = [decision for answer in answers if answer for decision in answer.decisions]
    if decisions:
        return Answer(Found.ANSWERED, max(decisions, key=lambda decision: decision.at))
    # Only who was there, and forgot nothing, since the pod was created knows that nobody asked.
    sure = bool(answers) and all(answer and answer.since <= created_at for answer in answers)
    return Answer(Found.NOTHING if sure else Found.FAILED)
