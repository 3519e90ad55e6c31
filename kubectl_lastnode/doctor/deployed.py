"""Does what was installed run, and does a session wait for it?"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from kubectl_lastnode.doctor import Facts, Finding, fail, ok, warn
from kubectl_lastnode.output import plural, short
from lastnode.status import utc

# A scheduler looks at a new pod within milliseconds; one with a long queue within seconds.
_PATIENCE: Final = timedelta(seconds=30)


def deployments(facts: Facts) -> Iterator[Finding]:
    """Are the pods of all parts ready?"""
    for each in facts.deployments:
        namespace, name = each["metadata"]["namespace"], each["metadata"]["name"]
        wanted, ready = each["spec"].get("replicas", 1), each.get("status", {}).get("readyReplicas", 0)
        text = f"{ready} of {plural(wanted, 'pod')} of {namespace}/{name} {'is' if wanted == 1 else 'are'} ready"
        judged = fail if not ready else warn
        remedy = f"kubectl -n {namespace} describe deployments,replicasets,pods says why."
        if "observedGeneration" not in each.get("status", {}):
            remedy = "Nothing has acted on the Deployment: does kube-controller-manager run?"
        yield ok(text) if ready >= wanted else judged(text, remedy)


def waiting(facts: Facts) -> Iterator[Finding]:
    """Do sessions wait for a scheduler that does not run? The only thing of lastnode's that can hold one up."""
    unseen = defaultdict(list)
    for pod in facts.cluster.session_pods(unbound=True):
        if since := unseen_since(pod):
            unseen[pod["spec"].get("schedulerName", "")].append(facts.options.now - since)
    late = {scheduler: ages for scheduler, ages in sorted(unseen.items()) if max(ages) > _PATIENCE}
    for scheduler, ages in late.items():
        whose = f"{plural(len(ages), 'session')} for {scheduler}, up to {short(max(ages).total_seconds())}"
        yield fail(f"waiting: {whose}, which has not looked at them",
                   "Start it, or name no such scheduler (docs/runbook.md#lastnodesessionswaiting).")  # fmt: skip
    if not late:
        yield ok("no session waits for a scheduler")


def unseen_since(pod: Any) -> datetime | None:
    """When a pod was created that no scheduler has looked at yet; None for any other. Pure.

    A scheduler binds a pod or says in its condition PodScheduled why not; so does the API server of a gated one.
    """
    conditions = pod.get("status", {}).get("conditions") or ()
    if pod["spec"].get("nodeName") or any(each["type"] == "PodScheduled" for each in conditions):
        return None
    return utc(pod["metadata"].get("creationTimestamp"))
