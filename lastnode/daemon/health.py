"""Whether a program may be asked (readyz) and whether it still moves (livez). The probes read state and do no work."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from lastnode.kube.api import REQUEST_TIMEOUT, RETRY_AFTER_CAP
from lastnode.kube.observer import Together, Watched, by_resource

# While its API server is away a loop rightly shows no sign of life for as long as it waits before an attempt and then
# for answers that do not come, to discovery and to the request itself. Beyond that it hangs.
STUCK_SECONDS = RETRY_AFTER_CAP + 4 * REQUEST_TIMEOUT

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


def ready_checks(watches: Iterable[Watched], *, current: bool = False) -> Checks:
    """Ready: every resource was listed once and, where ``current`` is asked for, the server has not been lost since.

    The recorder does nothing useful without the API server, and says so. The extender answers from its last view, which
    only grows older: unready, it would be taken out of its Service and answer nobody.
    """
    return {name: partial(_not_synced, progress, current) for name, progress in by_resource(watches).items()}


def live_checks(
    watches: Iterable[Watched],
    others: Mapping[str, Callable[[], float]] = MappingProxyType({}),
    clock: Callable[[], float] = time.monotonic,
    limit: float = STUCK_SECONDS,
) -> Checks:
    """Live: every loop moved in the last ``limit`` seconds. An API server that is away is waited for, so it is no
    reason to be restarted.

    ``others``: loops beside the watches by name, each with when it last moved in seconds of ``clock``.
    """
    progresses = by_resource(watches).items()
    moved = {name: partial(getattr, progress, "moved_at") for name, progress in progresses} | dict(others)
    return {name: partial(_stuck, moved_at, clock, limit) for name, moved_at in moved.items()}


def _not_synced(progress: Together, current: bool) -> str | None:
    if not progress.synced:
        return f"not listed yet: {progress.trouble or 'just started'}"
    return f"lost: {progress.trouble}" if current and progress.lost else None


def _stuck(moved_at: Callable[[], float], clock: Callable[[], float], limit: float) -> str | None:
    silent = clock() - moved_at()
    return f"has not moved for {silent:.0f} s" if silent > limit else None
