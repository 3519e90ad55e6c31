"""The dashboard for whoever runs lastnode: is anything of ours broken, and what does it cost the scheduler."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from . import extender, recorder
from .frame import Row, assemble
from .panels import COUNT, SHARE, About, Query, number, plot, rows
from .queries import TARGET, of

FIRING: Final = ('alertname=~"Lastnode.+"', 'alertstate="firing"')
_ANY: Final = ((None, "green"), (1.0, "red"))


def whole() -> Dashboard:
    made = [_glance(), extender.requests(), extender.cost(), extender.given(), recorder.writing(), recorder.watches(),
            extender.certificates(), _processes()]  # fmt: skip
    says = "Recorder, extender and webhook: whether they work, and what they cost kube-scheduler and the API server."
    return assemble("lastnode-programs", "lastnode / programs", says, made, kinds=False)


def _glance() -> Row:
    alerts = About(
        title="Alerts firing",
        description="Alerts of lastnode's rules. The list is in Prometheus and in Grafana's alerting.",
        unit=COUNT, nothing="the rules are not loaded", steps=_ANY,
    )  # fmt: skip
    leader = About(
        title="Leaders",
        description="Recorders that may write. One is right in each cluster.",
        unit=COUNT, nothing="no recorder", alert="LastnodeNoLeader", steps=((None, "red"), (1.0, "green")),
    )  # fmt: skip
    replicas = About(
        title="Replicas", description="Programs that Prometheus reaches now.", unit=COUNT,
        nothing="nothing of lastnode is scraped", alert="LastnodeTargetDown",
    )  # fmt: skip
    unsynced = About(
        title="Resources not listed yet",
        description="Lists that a program needs and does not have. It is not ready until then.",
        unit=COUNT, alert="LastnodeCacheNotSynced", steps=_ANY,
    )  # fmt: skip
    builds = About(
        title="Versions", description="One row a replica. During a rollout there are two versions.", unit=COUNT
    )
    firing = f"count({of('ALERTS', *FIRING)})"
    # A series of our rules says that they are loaded: only then is "none" the truth.
    loaded = f"0 * count({of('resource:lastnode_watch_age_seconds:max')})"
    return Row("At a glance", [
        number(alerts, Query(f"{firing} or {loaded}", "firing"), width=4),
        number(leader, Query(f"sum by (cluster) ({of('lastnode_leader')})", "{{cluster}}"), width=4),
        number(replicas, Query(f"count by (program) ({of('lastnode_build_info')})", "{{program}}")),
        number(unsynced, Query(f"sum({of('lastnode_watch_synced')} == bool 0)", "not listed"), width=4),
        rows(builds, Query(f"sum by ({TARGET}, program, version) ({of('lastnode_build_info')})", ""), width=6),
    ])  # fmt: skip


def _processes() -> Row:
    memory = About(title="Memory", description="Resident. It grows with pods and workloads.", unit="bytes")
    cpu = About(title="CPU", description="Cores in use. Throttling makes the extender slow.", unit=COUNT,
                alert="LastnodeExtenderSlow")  # fmt: skip
    files = About(title="Open files", description="Of those that the process may have.", unit=SHARE)

    def whose(expr: str) -> Query:
        named = f"{expr} * on ({TARGET}) group_left (program) {of('lastnode_build_info')}"
        return Query(named, "{{program}} {{instance}}")

    fds = f"({of('process_open_fds')} / {of('process_max_fds')})"
    return Row("Processes", [
        plot(memory, whose(of("process_resident_memory_bytes"))),
        plot(cpu, whose(f"rate({of('process_cpu_seconds_total')}[$__rate_interval])")),
        plot(files, whose(fds)),
    ])  # fmt: skip
