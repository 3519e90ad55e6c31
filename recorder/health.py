"""Whether a program may be asked (readyz) and whether it still moves (livez). The probes read state and do no work."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from recorder.listwatch import SILENCE_SECONDS, ListWatch

# A list-watch may rightly show no sign of life while it waits on a silent connection and then for its back-off
# (75 s + 30 s) and for one request (30 s): beyond that sum it hangs.
STUCK_SECONDS = SILENCE_SECONDS + 105.0

# name -> what is wrong, None when nothing is
Checks = Mapping[str, Callable[[], str | None]]


class Report(NamedTuple):
    """An answer to a probe: HTTP status 200 or 503 and its text."""

    status: int
    text: str


def report(path: str, checks: Checks, verbose: bool) -> Report:
    """The answer in the form of Kubernetes' own components: ``ok``, or every check with its state."""
    results = {name: check() for name, check in checks.items()}
    healthy = not any(results.values())
    if healthy and not verbose:
        return Report(200, "ok")
    lines = [f"[-]{name} failed: {why}" if why else f"[+]{name} ok" for name, why in results.items()]
    lines.append(f"{path} check {'passed' if healthy else 'failed'}")
    return Report(200 if healthy else 503, "\n".join(lines) + "\n")


def ready_checks(watches: Iterable[ListWatch[Any]], *, current: bool = False) -> Checks:
    """Ready: every resource was listed once and, where ``current`` is asked for, the server has not been lost since.

    The recorder does nothing useful without the API server, and says so. The extender answers from its last view, which
    only grows older: unready, it would be taken out of its Service and answer nobody.
    """
    return {watch.resource: _not_synced(watch, current) for watch in watches}


def live_checks(watches: Iterable[ListWatch[Any]], clock: Callable[[], float] = time.monotonic) -> Checks:
    """Live: every loop moved lately. An API server that is away is waited for, so it is no reason to be restarted."""
    return {watch.resource: _stuck(watch, clock) for watch in watches}


def _not_synced(watch: ListWatch[Any], current: bool) -> Callable[[], str | None]:
    def check() -> str | None:
        progress = watch.progress
        if not progress.synced:
            return f"not listed yet: {progress.trouble or 'just started'}"
        return f"lost: {progress.trouble}" if current and progress.lost else None

    return check


def _stuck(watch: ListWatch[Any], clock: Callable[[], float]) -> Callable[[], str | None]:
    def check() -> str | None:
        silent = clock() - watch.progress.moved_at
        return f"has not moved for {silent:.0f} s" if silent > STUCK_SECONDS else None

    return check
