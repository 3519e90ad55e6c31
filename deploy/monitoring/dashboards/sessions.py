"""The dashboard for whoever runs agents: do sessions come back, why not, and what it saves."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from .frame import Row, assemble
from .panels import COUNT, PER_SECOND, SECONDS, SHARE, WIDTH, About, Query, bars, number, plot
from .queries import HOUR, KIND, growth, mean, of, per_second, quantile

SESSIONS: Final = "lastnode_sessions_total"
STARTUP: Final = "lastnode_session_startup_seconds"
MOVED: Final = 'outcome="moved"'
_RATIO: Final = "kind:lastnode_sessions:reuse_ratio1h"
_RETURNING: Final = "kind:lastnode_sessions_returning:increase1h"
_SAVED: Final = "kind:lastnode_session_startup_seconds:saved_estimate_rate1h"
_FORMULA: Final = (
    "An estimate, by kind: (mean start-up time of sessions that moved − that of reused ones) × reused sessions, "
    "each over one hour. As if every reused session would have taken as long as those that moved."
)
# The alert fires under a half.
_RATIO_STEPS: Final = ((None, "red"), (0.5, "yellow"), (0.8, "green"))


def whole() -> Dashboard:
    rows = [_reuse(), _moved(), _startup(), _explained()]
    says = "How often sessions come back to their last node, why not when they do not, and what it saves."
    return assemble("lastnode-sessions", "lastnode / sessions", says, rows, kinds=True)


def _reuse() -> Row:
    ratio, returning = of(_RATIO, KIND), of(_RETURNING, KIND)
    now = About(
        title="Reuse ratio, last hour",
        description="Of the sessions whose workload has a remembered node, the share that ran there.",
        unit=SHARE, nothing="no session came back or moved", alert="LastnodeReuseRatioLow", steps=_RATIO_STEPS,
    )  # fmt: skip
    counts = About(
        title="Sessions, last hour",
        description="Sessions that became Ready. first: nothing remembered. reused: came back. moved: ran elsewhere.",
        unit=COUNT, nothing="no session",
    )  # fmt: skip
    saved = About(title="Time saved, last hour (estimate)", description=_FORMULA, unit=SECONDS, nothing="no estimate")
    by_kind = About(
        title="Reuse ratio, by kind",
        description="Each point is the ratio of the hour before it. A gap: nothing came back or moved in that hour.",
        unit=SHARE, alert="LastnodeReuseRatioLow", steps=_RATIO_STEPS,
    )  # fmt: skip
    outcomes = About(title="Sessions, by outcome", description="Sessions that became Ready.", unit=PER_SECOND)
    return Row("Do sessions come back?", [
        number(now, Query(f"sum({ratio} * {returning}) / sum({returning} > 0)", "reused")),
        number(counts, Query(growth("outcome", SESSIONS, KIND), "{{outcome}}"), width=12),
        number(saved, Query(f"sum({of(_SAVED, KIND)}) * 3600", "saved")),
        plot(by_kind, Query(f"avg by (kind) ({ratio})", "{{kind}}"), width=12).max(1),
        plot(outcomes, Query(per_second("outcome", SESSIONS, KIND), "{{outcome}}"), width=12, stacked=True),
    ])  # fmt: skip


def _moved() -> Row:
    moved = About(
        title="Moved, by reason",
        description="Sessions that had a last node and ran elsewhere. The runbook says what helps against each reason.",
        unit=PER_SECOND, nothing="nothing moved", alert="LastnodeReuseRatioLow",
    )  # fmt: skip
    leading = About(
        title="Moved in the last hour, by reason",
        description="The longest bar is where to begin.",
        unit=COUNT, nothing="nothing moved", alert="LastnodeReuseRatioLow",
    )  # fmt: skip
    unknown = About(
        title="Moves without a reason",
        description="Of the sessions that moved in the last hour, the share for which nothing explains it.",
        unit=SHARE, nothing="nothing moved", alert="LastnodeOutcomesUnknown",
        steps=((None, "green"), (0.05, "yellow"), (0.2, "red")),
    )  # fmt: skip
    unexplained = growth("", SESSIONS, KIND, MOVED, 'reason="unknown"')
    share = f"({unexplained} or vector(0)) / ({growth('', SESSIONS, KIND, MOVED)} > 0)"
    return Row("Why did sessions run elsewhere?", [
        plot(moved, Query(per_second("reason", SESSIONS, KIND, MOVED), "{{reason}}"), width=12, stacked=True),
        bars(leading, Query(f"sort_desc({growth('reason', SESSIONS, KIND, MOVED)})", "{{reason}}")),
        number(unknown, Query(share, "unknown"), width=4),
    ])  # fmt: skip


def _startup() -> Row:
    says = "From the pod's creation to its Ready, over one hour, in whole seconds as the API server writes them."
    halves = About(title="Start-up time, median", description=says, unit=SECONDS, nothing="no session")
    slow = About(title="Start-up time, p95", description=says, unit=SECONDS, nothing="no session")
    means = About(title="Start-up time, mean", description=says, unit=SECONDS, nothing="no session")
    phases = About(
        title="Start-up time, by phase (all kinds)",
        description="Means over one hour. scheduled: creation to being bound. ready: bound to Ready, where images are "
        "pulled, which a return to the last node spares.",
        unit=SECONDS, nothing="no session",
    )  # fmt: skip
    saved = About(title="Time saved per hour, by kind (estimate)", description=_FORMULA, unit=SECONDS)
    return Row("How long do they take to start?", [
        plot(halves, Query(quantile(0.5, "outcome", STARTUP, KIND, over=HOUR), "{{outcome}}")),
        plot(slow, Query(quantile(0.95, "outcome", STARTUP, KIND, over=HOUR), "{{outcome}}")),
        plot(means, Query(mean("outcome", STARTUP, KIND, over=HOUR), "{{outcome}}")),
        plot(
            phases,
            Query(mean("outcome, phase", "lastnode_session_phase_seconds", over=HOUR), "{{outcome}}: {{phase}}"),
            width=WIDTH // 2,
        ),
        plot(saved, Query(f"sum by (kind) ({of(_SAVED, KIND)}) * 3600", "{{kind}}"), width=WIDTH // 2, stacked=True),
    ])  # fmt: skip


def _explained() -> Row:
    events = About(
        title="Events about moves",
        description="A session that moved leaves one Event on its workload: kubectl describe shows it. suppressed: "
        "too many at a time. refused: the right to create Events is missing. failed: the API server did not answer.",
        unit=PER_SECOND,
    )  # fmt: skip
    inquiries = About(
        title="Inquiries at the extender",
        description="The recorder asks the extender what it answered about a session that moved. nothing: it does not "
        "know the pod. failed: it could not be reached, and moves stay without a reason.",
        unit=PER_SECOND, nothing="no --extender-url", alert="LastnodeOutcomesUnknown",
    )  # fmt: skip
    return Row("Are moves explained?", [
        plot(events, Query(per_second("result", "lastnode_session_events_total"), "{{result}}"), width=12),
        plot(inquiries, Query(per_second("result", "lastnode_extender_inquiries_total"), "{{result}}"), width=12),
    ])  # fmt: skip
