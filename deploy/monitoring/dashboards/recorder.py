"""Rows about the recorder, and about what every program of ours watches."""

from __future__ import annotations

from typing import Final

from .frame import Row
from .panels import COUNT, PER_SECOND, SECONDS, About, Query, plot
from .queries import TARGET, growth, of, per_second, quantile

# What is counted by label values that appear with their first case is 0 before: seen from targets that do answer.
_NONE_SO_FAR: Final = f"0 * sum by (resource) ({of('lastnode_watch_synced')})"


def writing() -> Row:
    writes = About(
        title="Recorder: writes, by result",
        description="refused: 403 or 422. retried: the API server did not answer, or not in time. conflict: somebody "
        "else wrote at the same time; tried again at once.",
        unit=PER_SECOND, alert="LastnodeWritesFailing",
    )  # fmt: skip
    lag = About(
        title="Recorder: from Ready to written",
        description="Up to 1 s of it is the rounding of the API's timestamps.",
        unit=SECONDS, nothing="nothing was written",
    )  # fmt: skip
    pending = About(
        title="Recorder: workloads not written yet",
        description="Of the leader. Some for a moment are normal, some for long mean that writes fail.",
        unit=COUNT, alert="LastnodeWritesFailing",
    )  # fmt: skip
    sessions = About(
        title="Recorder: whose sessions they are",
        description="found: the workload is known. Anything else is a session that lastnode can do nothing for; "
        "docs/metrics.md explains each verdict.",
        unit=PER_SECOND,
    )  # fmt: skip
    leaders = About(
        title="Recorder: who may write",
        description="1 for the leader, 0 for those that stand by.",
        unit=COUNT, nothing="no recorder", alert="LastnodeSeveralLeaders",
    )  # fmt: skip
    open_work = f"{of('lastnode_record_pending_workloads')} * on ({TARGET}) ({of('lastnode_leader')} == 1)"
    return Row("Recorder", [
        plot(writes, Query(f"sum by (result) ({of('result:lastnode_record_writes:rate5m')})", "{{result}}")),
        plot(
            lag,
            Query(quantile(0.5, "", "lastnode_record_lag_seconds"), "median"),
            Query(quantile(0.99, "", "lastnode_record_lag_seconds"), "p99"),
        ),
        plot(pending, Query(open_work, "{{instance}}")),
        plot(sessions, Query(per_second("verdict", "lastnode_attributions_total"), "{{verdict}}"), width=12),
        plot(leaders, Query(of("lastnode_leader"), "{{instance}}"), width=12),
    ])  # fmt: skip


def watches() -> Row:
    age = About(
        title="Watches: last heard of",
        description="The longest silence of any replica. A silent watch is opened anew after 75 s.",
        unit=SECONDS, alert="LastnodeWatchStale", steps=((None, "green"), (180.0, "red")),
    )  # fmt: skip
    failures = About(
        title="Watches: failures",
        description="List and watch requests that ended or failed, in 15 minutes. closed is how API servers end "
        "watches now and then.",
        unit=COUNT, alert="LastnodeWatchStale",
    )  # fmt: skip
    events = About(title="Watches: events", description="What the API server sends.", unit=PER_SECOND)
    lists = About(
        title="Lists: mean time",
        description="Since each program's start. A complete list is needed at the start and after long silences only.",
        unit=SECONDS, alert="LastnodeCacheNotSynced",
    )  # fmt: skip
    skipped = About(
        title="Objects that could not be read",
        description="Of a shape that lastnode does not know, in an hour. Everything else goes on.",
        unit=COUNT, steps=((None, "green"), (1.0, "red")),
    )  # fmt: skip
    failed = growth("resource, reason", "lastnode_watch_failures_total", over="15m")
    unread = growth("resource", "lastnode_objects_skipped_total")
    listed = "sum by (resource) ({}) / sum by (resource) ({})".format(
        *(of(f"lastnode_list_duration_seconds_{part}") for part in ("sum", "count"))
    )
    return Row("Watches and lists", [
        plot(age, Query(f"max by (resource) ({of('resource:lastnode_watch_age_seconds:max')})", "{{resource}}")),
        plot(failures, Query(f"{failed} or {_NONE_SO_FAR}", "{{resource}} {{reason}}")),
        plot(events, Query(per_second("resource", "lastnode_watch_events_total"), "{{resource}}")),
        plot(lists, Query(listed, "{{resource}}"), width=12),
        plot(skipped, Query(f"{unread} or {_NONE_SO_FAR}", "{{resource}}"), width=12),
    ])  # fmt: skip
