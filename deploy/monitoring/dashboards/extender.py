"""Rows about the extender: what it is asked, what that costs kube-scheduler, and its certificate."""

from __future__ import annotations

from typing import Final

from .frame import Row
from .panels import COUNT, PER_SECOND, SECONDS, SHARE, WIDTH, About, Query, number, plot
from .queries import growth, mean, of, per_second, quantile

PRIORITIZE: Final = "lastnode_prioritize_duration_seconds"
INJECTION: Final = "lastnode_injection_duration_seconds"
ATTEMPT: Final = "scheduler_scheduling_attempt_duration_seconds"
ALGORITHM: Final = "scheduler_scheduling_algorithm_duration_seconds"
NODES: Final = 'type="nodes"'
NOT_SCRAPED: Final = "kube-scheduler is not scraped"
NO_TLS: Final = "nothing of lastnode serves TLS"


def requests() -> Row:
    asked = About(
        title="Extender: requests",
        description="prioritize: from kube-scheduler, once a pod with two feasible nodes or more. mutate: from the API "
        "server, once or twice a session's pod.",
        unit=PER_SECOND, alert="LastnodeExtenderNotCalled",
    )  # fmt: skip
    results = About(
        title="Extender: what became of prioritize",
        description="docs/metrics.md explains each result. not_ours: pods that are no sessions.",
        unit=PER_SECOND, alert="LastnodeExtenderFailing",
    )  # fmt: skip
    injected = About(
        title="Webhook: what became of mutate",
        description="docs/metrics.md explains each result.",
        unit=PER_SECOND, alert="LastnodeExtenderFailing",
    )  # fmt: skip
    failures = About(
        title="Extender: requests that failed, in 15 minutes",
        description="About session pods, with the result error, not_synced or bad_request. Their pods are scheduled "
        "without the preference.",
        unit=COUNT, alert="LastnodeExtenderFailing",
    )  # fmt: skip
    verdicts = Query(per_second("result", "lastnode_prioritize_total"), "{{result}}")
    mutations = Query(per_second("result", "lastnode_injections_total"), "{{result}}")
    return Row("Extender and webhook", [
        plot(asked, Query(f"sum by (verb) ({of('verb:lastnode_extender_requests:rate5m')})", "{{verb}}")),
        plot(results, verdicts, stacked=True),
        plot(injected, mutations, stacked=True),
        plot(
            failures,
            Query(f"sum by (verb) ({of('verb:lastnode_extender_failures:increase15m')})", "{{verb}}"),
            width=WIDTH,
        ),
    ])  # fmt: skip


def cost() -> Row:
    answers = About(
        title="Extender: time to answer",
        description="Measured inside the program, without the way there. kube-scheduler waits 300 ms at most "
        "(httpTimeout), the API server 1 s; the alert comes at half of it.",
        unit=SECONDS, alert="LastnodeExtenderSlow", steps=((None, "green"), (0.15, "orange"), (0.5, "red")),
    )  # fmt: skip
    attempts = About(
        title="kube-scheduler: time of an attempt",
        description="From taking a pod off the queue to having it bound, of attempts that succeeded. Extenders are "
        "part of it.",
        unit=SECONDS, nothing=NOT_SCRAPED, alert="LastnodeExtenderSlow",
    )  # fmt: skip
    points = About(
        title="kube-scheduler: mean time at each extension point",
        description="What the scheduler's own plugins take, to compare with the extender. Extenders are not in it.",
        unit=SECONDS, nothing=NOT_SCRAPED,
    )  # fmt: skip
    share = About(
        title="Share of the scheduling algorithm spent in the extender",
        description="Time to answer prioritize, inside the program, of the time that kube-scheduler takes to choose "
        "nodes. The way there and back comes on top.",
        unit=SHARE, nothing=NOT_SCRAPED, alert="LastnodeExtenderSlow",
    )  # fmt: skip
    p99, tries = "verb:lastnode_extender_duration_seconds:p99_5m", 'result="scheduled"'
    spent = f"{per_second('', f'{PRIORITIZE}_sum')} / ({per_second('', f'{ALGORITHM}_sum')} > 0)"
    return Row("What it costs kube-scheduler", [
        plot(
            answers,
            Query(f"max by (verb) ({of(p99)})", "{{verb}}: p99"),
            Query(quantile(0.5, "", PRIORITIZE), "prioritize: median"),
            Query(quantile(0.5, "", INJECTION), "mutate: median"),
        ),
        plot(
            attempts,
            Query(quantile(0.99, "profile", ATTEMPT, tries), "{{profile}}: p99"),
            Query(quantile(0.5, "profile", ATTEMPT, tries), "{{profile}}: median"),
        ),
        plot(
            points,
            Query(mean("extension_point", "scheduler_framework_extension_point_duration_seconds"),
                  "{{extension_point}}"),
        ),
        plot(share, Query(spent, "prioritize"), width=WIDTH),
    ])  # fmt: skip


def given() -> Row:
    offered = About(
        title="Nodes offered for a session",
        description="How many nodes kube-scheduler asks about, beside all that it knows. Far fewer: it samples, and "
        "the last node is often not among them (not_offered). Set percentageOfNodesToScore: 100.",
        unit=COUNT, alert="LastnodeReuseRatioLow",
    )  # fmt: skip
    waits = About(
        title="Extender: waits for a Sandbox",
        description="The watch had not brought the pod's Sandbox yet. came: within 120 ms, or 300 ms for a "
        "mutate. missing: not in that time. crowded: too many waited already.",
        unit=PER_SECOND,
    )  # fmt: skip
    nodes = "lastnode_prioritize_offered_nodes"
    return Row("What the extender is given", [
        plot(
            offered,
            Query(quantile(0.5, "", nodes), "offered: median"),
            Query(quantile(0.05, "", nodes), "offered: 5 % have at most"),
            Query(f"max({of('scheduler_cache_size', NODES)})", "nodes that kube-scheduler knows"),
            width=WIDTH // 2,
        ),
        plot(
            waits,
            Query(per_second("verb, result", "lastnode_sandbox_wait_seconds_count"), "{{verb}}: {{result}}"),
            width=WIDTH // 2,
        ),
    ])  # fmt: skip


def certificates() -> Row:
    left = About(
        title="Certificate: time left",
        description="Renewed when a third of its time is left, a month by default.",
        unit=SECONDS, nothing=NO_TLS, alert="LastnodeCertificateExpiring",
        steps=((None, "red"), (7 * 86400.0, "yellow"), (14 * 86400.0, "green")),
    )  # fmt: skip
    reloads = About(
        title="Certificate: reloads, last hour",
        description="failed: the files changed and could not be used; the former certificate is kept.",
        unit=COUNT, nothing=NO_TLS, alert="LastnodeCertificateExpiring",
    )  # fmt: skip
    upkeep = About(
        title="Certificate: upkeep, last hour",
        description="Looks at a self-made certificate. failed: the Secret or caBundle could not be read or written.",
        unit=COUNT, nothing="no self-made certificate", alert="LastnodeCertificateExpiring",
    )  # fmt: skip
    refused = About(
        title="Clients turned away",
        description="handshake: no TLS, or a CA that the client does not trust. no_certificate: --client-ca asks"
        " for one.",
        unit=PER_SECOND, nothing=NO_TLS,
    )  # fmt: skip
    ends = of("lastnode_certificate_expiry_timestamp_seconds")
    return Row("Certificates", [
        number(left, Query(f"min by (cluster, namespace, job) ({ends} > 0) - time()", "{{job}}")),
        plot(reloads, Query(growth("result", "lastnode_certificate_reloads_total"), "{{result}}"), width=6),
        plot(upkeep, Query(growth("result", "lastnode_certificate_upkeep_total"), "{{result}}"), width=6),
        plot(refused, Query(per_second("reason", "lastnode_clients_refused_total"), "{{reason}}"), width=6),
    ])  # fmt: skip
