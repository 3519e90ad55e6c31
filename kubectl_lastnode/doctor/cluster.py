"""Does the cluster fit: rights, kube-scheduler, clocks."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from kubectl_lastnode.doctor import Account, Facts, Finding, fail, ok, unknown, warn
from kubectl_lastnode.output import share, short
from lastnode.kube.errors import Refused
from lastnode.memory import parse_text
from lastnode.outcome import RETURNING, SessionRecord
from lastnode.preference import ALL_SCORED, EXTENDER_WEIGHT, POINTS
from lastnode.reasons import Reason
from lastnode.rights import YOU, Right, needed

# Session pods that are looked at for the profiles they name.
_SOME: Final = 500
# Below so many sessions that could return a share says nothing.
_ENOUGH: Final = 20
_MUCH: Final = 0.1
_DEFAULT, _PERCENTAGE = "default-scheduler", "percentageOfNodesToScore"
_VERB: Final = "prioritize"
_FORBIDDEN_VERBS: Final = ("filterVerb", "preemptVerb", "bindVerb")
_PORT: Final = ":8888"
_SCORE_ALL: Final = "Give session pods a profile with percentageOfNodesToScore: 100 (scheduler-config/README.md)."
# Clocks that differ by less do no harm: a placement counts that much longer.
_TOLERATED_SECONDS: Final = 5.0
# By more, no clock of a node that works is wrong.
_CLOCKS_DIFFER_SECONDS: Final = 3600.0


def own_rights(facts: Facts) -> Iterator[Finding]:
    """May I read what the other commands need?"""
    # Which Secret it is, a recorder's pod says; nobody may read all, and who names the recorders needs none.
    known = [right for right in needed(YOU, facts.cluster.rows) if right.scope != "token" or facts.token_secret]
    missing = [right for right in known if not _may(facts, right)]
    if not missing:
        yield ok("you may read and write what all commands need")
    for right in missing:
        yield warn(f"you may not {right}: {right.why}",
                   "Ask for lastnode-operator or lastnode-viewer (docs/reference.md#rights).")  # fmt: skip


def accounts(facts: Facts) -> Iterator[Finding]:
    """May the programs do their work?"""
    if not facts.accounts:
        yield unknown(": no Deployment of ours (app.kubernetes.io/part-of=lastnode) says whom recorder and "
                      "extender work as", "See docs/reference.md#rights for what they need.")  # fmt: skip
    for account in facts.accounts:
        rights = needed(account.program, facts.cluster.rows)
        try:
            missing = ", ".join(str(right) for right in rights if not _may(facts, right, account))
        except Refused as error:
            yield unknown(f" whether {account.user} may do its work: {error}",
                          "Ask somebody who may create SubjectAccessReviews.")  # fmt: skip
            continue
        remedy = f"Install the chart with {account.program}.rbac.create, or apply the roles of `make manifests`."
        works = ok(f"{account.user} may do what {account.program} needs")
        yield fail(f"{account.user} may not {missing}", remedy) if missing else works


def configured(facts: Facts) -> Iterator[Finding]:
    """What kube-scheduler's configuration says of the extender."""
    try:
        found = facts.scheduler_configurations
    except ValueError as error:
        yield fail(f"the configuration cannot be used: {error}", "Compare it with scheduler-config/.")
        return
    unseen = [name for name in sorted(facts.handed_to) if not any(scored(each, name) for each in found.values())]
    for name in unseen:
        yield warn(f"the webhook hands sessions to {name}: it cannot be seen from here whether that runs",
                   "Run doctor with --scheduler-config FILE; where it does not run, they stay Pending.")  # fmt: skip
    if not found and not unseen and facts.webhooks:
        yield ok("kube-scheduler's configuration is not needed: the webhook puts the preference into the pods")
    elif not found and not unseen:
        yield unknown(": kube-scheduler's configuration is a file on the control plane's nodes",
                      "Run doctor with --scheduler-config FILE there.")  # fmt: skip
    for source, content in found.items():
        mine = [each for each in content.get("extenders") or () if _is_ours(each)]
        if not mine and facts.webhooks:
            yield ok(f"{source} names no extender of ours: the webhook puts the preference into the pods")
        elif not mine:
            yield warn(f"{source} names no extender of ours: only the library asks",
                       "Nothing, if that is meant; else see scheduler-config/extender.yaml.")  # fmt: skip
        for each in mine:
            whose = f"{source}: extender {each.get('urlPrefix', 'without urlPrefix')}"
            wrong = [fail(f"{whose}: {text}", remedy) for text, remedy in _mistakes(each)]
            yield from wrong or [ok(f"{whose} is called as it should be")]


def _is_ours(extender: Any) -> bool:
    url = str(extender.get("urlPrefix", ""))
    return extender.get("prioritizeVerb") == _VERB or "lastnode" in url or url.rstrip("/").endswith(_PORT)


def _mistakes(extender: Any) -> Iterator[tuple[str, str]]:
    """What is wrong, and its remedy."""
    verb, weight = extender.get("prioritizeVerb"), extender.get("weight", 0)
    if verb != _VERB:
        yield f"prioritizeVerb is {verb!r}: it is never asked", f"Set prioritizeVerb: {_VERB}."
    if weight != EXTENDER_WEIGHT:
        yield (f"weight is {weight}: its answer is worth {weight * POINTS // EXTENDER_WEIGHT} points, not {POINTS}",
               f"Set weight: {EXTENDER_WEIGHT}.")  # fmt: skip
    if extender.get("nodeCacheCapable") is not True:
        yield "nodeCacheCapable is not true: whole Node objects are sent for every pod", "Set nodeCacheCapable: true."
    if extender.get("ignorable") is not True:
        yield "ignorable is not true: when it is down, no pod is scheduled", "Set ignorable: true."
    for forbidden in filter(extender.get, _FORBIDDEN_VERBS):
        yield f"{forbidden} is set: it serves none, and pods would fail", f"Remove {forbidden}."


def sampling(facts: Facts) -> Iterator[Finding]:
    """Whether kube-scheduler scores the preferred node, by its configuration."""
    nodes = sum(1 for _ in facts.cluster.items("/api/v1/nodes"))
    if nodes <= ALL_SCORED:
        yield ok(f"{nodes} nodes: kube-scheduler scores all of them")
        return
    try:
        contents = [*facts.scheduler_configurations.values()]
    except ValueError:
        contents = []  # configured() says so
    pods = itertools.islice(facts.cluster.session_pods(), _SOME)
    named = {pod["spec"].get("schedulerName", _DEFAULT) for pod in pods}
    # Those that the webhook leaves to the default one have no node to come back to.
    profiles = named - {_DEFAULT} | facts.handed_to if facts.handed_to else named
    for profile in sorted(profiles):
        yield _profile(profile, contents, nodes)
    if not profiles:
        yield unknown(f": there is no session's pod to see its profile ({nodes} nodes)", _SCORE_ALL)


def _profile(name: str, contents: Sequence[dict[str, Any]], nodes: int) -> Finding:
    percentages = [found for content in contents for found in scored(content, name)]
    if not percentages:
        return unknown(f" how many of {nodes} nodes {name} scores: its configuration was not found",
                       "Run doctor with --scheduler-config FILE.")  # fmt: skip
    if min(percentages) >= 100:
        return ok(f"{name} scores all of {nodes} nodes")
    how = f"{min(percentages)} %" if min(percentages) else "a sample"
    return fail(f"sessions use {name}, which scores {how} of {nodes} nodes: the preferred one is often not among them",
                _SCORE_ALL)  # fmt: skip


def scored(content: Any, profile: str) -> list[int]:
    """The percentageOfNodesToScore of a profile; 0: kube-scheduler's own choice. Empty where it has no such profile."""
    mine = [each for each in content.get("profiles") or [{}] if each.get("schedulerName", _DEFAULT) == profile]
    percentages = [each.get(_PERCENTAGE) for each in mine]
    return [content.get(_PERCENTAGE) or 0 if percentage is None else percentage for percentage in percentages]


def not_seen(facts: Facts) -> Iterator[Finding]:
    """The same by what became of the sessions."""
    yield from hidden(facts.journals.sessions)


def hidden(records: Iterable[SessionRecord]) -> Iterator[Finding]:
    """Whether the nodes of returning sessions were scored; nothing where too few are known. Pure."""
    returning = [record for record in records if record.outcome in RETURNING]
    if len(returning) < _ENOUGH:
        return
    lost = sum(record.reason in (Reason.NOT_OFFERED, Reason.NOT_CHOSEN) for record in returning) / len(returning)
    text = f"the node of {share(lost)} of {len(returning)} returning sessions was not offered or chosen"
    yield fail(text, _SCORE_ALL) if lost > _MUCH else ok(text)


def clocks(facts: Facts) -> Iterator[Finding]:
    """Ready times come from the nodes' clocks; compared with the clock here."""
    dated = [(entry.ready_at, entry.node, each) for each in facts.workloads
             for entry in parse_text(each.last_node, each.recent_nodes) if entry.ready_at]  # fmt: skip
    if not dated:
        yield ok("nothing is remembered yet that could be compared")
        return
    newest, node, of = max(dated, key=lambda each: each[0])
    ahead = (newest - facts.options.now).total_seconds()
    if ahead <= _TOLERATED_SECONDS:
        yield ok(f"the newest placement is {short(-ahead)} old")
        return
    why, remedy = "that node's clock or this one is wrong", "Synchronize the clocks of nodes and control plane."
    if ahead > _CLOCKS_DIFFER_SECONDS:
        why = "its memory was probably written by hand"
        remedy = f"kubectl lastnode forget {of.resource}/{of.name} -n {of.namespace}"
    whose = f"the newest placement, of {of.workload_key} on {node},"
    yield warn(f"{whose} lies {short(ahead)} in the future: {why}", remedy)


def _may(facts: Facts, right: Right, account: Account | None = None) -> bool:
    """May that account, or else may I?"""
    plain, _, subresource = right.resource.partition("/")
    resource, _, group = plain.partition(".")
    attributes = {"verb": right.verbs[0], "group": group, "resource": resource, "subresource": subresource}
    if right.scope != "cluster":
        attributes["namespace"] = account.namespace if account else facts.cluster.release
    if account and right.scope == "lease":
        attributes["name"] = account.deployment
    if right.scope == "token":
        attributes["name"] = facts.token_secret
    kind, who = ("SubjectAccessReview", {"user": account.user}) if account else ("SelfSubjectAccessReview", {})
    spec = {"resourceAttributes": attributes, **who}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    return bool(facts.cluster.post(f"/apis/authorization.k8s.io/v1/{kind.lower()}s", body)["status"]["allowed"])
