"""kubectl lastnode explain: asks the recorders, the Events and the pod itself, in this order."""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import click
import msgspec

from kubectl_lastnode import explanation
from kubectl_lastnode.cluster import RECORDER
from kubectl_lastnode.explanation import Explanation, Live, Ranked
from kubectl_lastnode.journals import Journals, read_journals
from kubectl_lastnode.options import Failure, Options, output, pod_names, warn
from kubectl_lastnode.output import age, document, measured, tinted, visible
from kubectl_lastnode.remedies import REMEDIES
from lastnode.attribution import Attribution, Seen, attribute
from lastnode.kube.errors import KubeError, NotFound, Refused
from lastnode.kube.store import ObjectKey
from lastnode.kube.wire import decode
from lastnode.memory import parse_text
from lastnode.objects import Node, Session, Workload
from lastnode.outcome import Outcome, SessionRecord
from lastnode.reading import Pod, session_of
from lastnode.status import utc

_POD: Final = msgspec.json.Decoder(Pod)
_ASKED: Final = {
    "term": "the preferred term in the pod's own spec (webhook or library)",
    "extender": "the extender, which the scheduler asked",
    "nobody": "nobody: no term in the pod, no call of the extender",
}
# Whether the pod is there -> why it is not known who asked.
_NOT_KNOWN: Final = {
    True: "not known: no term in the pod, and no word of the extender",
    False: "not known: the pod is gone, and its terms with it",
}


@click.command(short_help="Why a session ran where it ran.")
@click.argument("pod", shell_complete=pod_names)
@output("json", "yaml")
@click.pass_obj
def explain(options: Options, pod: str, form: str | None) -> None:
    """Why a session ran where it ran: what was preferred, what happened, and why.

    Says where it knows that from: the recorder's journal, else the Event on the workload (there is one only where the
    session moved), else "derived" from the pod and its workload's memory as they are now, and then the reason is
    unknown. The first two also know pods that are gone.

    \b
    Examples:
      kubectl lastnode explain agent-1-x7k2 -n team-a
      kubectl lastnode explain pod/agent-1-x7k2 -o json | jq -r .reason
    """
    name = pod.removeprefix("pod/").removeprefix("pods/")
    found = _explain(options, options.current_namespace, name)
    click.echo(document(found, form) if form else "\n".join(lines(found, options.now)))


def lines(found: Explanation, now: datetime) -> list[str]:
    """For people, in the form of ``kubectl describe``."""
    texts = {name: visible(text) for name, text in msgspec.structs.asdict(found).items() if type(text) is str}
    found = msgspec.structs.replace(found, **texts, notes=[*map(visible, found.notes)])
    told = [
        ("Pod", f"{found.namespace}/{found.pod}{'' if found.exists else ' (gone)'}"),
        ("Workload", f"{found.kind} {found.namespace}/{found.workload}" if found.workload else "not known"),
        ("Source", found.source.meaning),
        ("Preferred", _preferred(found, now)),
        ("Ranked now", ", ".join(f"{one.node} {one.weight} ({one.standing})" for one in found.ranked) or "-"),
        ("Asked by", _asked(found) if found.preferred else "-"),
        *([("Nominated", f"{found.nominated}, to be tried first")] if found.nominated else []),
        ("Ran on", f"{found.node or '<none>'}: {tinted(found.outcome or 'unknown')}"),
        ("Start-up", _startup(found)),
        ("Why", f"{found.reason}: {found.meaning}" if found.reason else "-"),
        *(("What helps", text) for reason, text in REMEDIES.items() if reason == found.reason),
        *(("Note", note) for note in found.notes),
    ]
    return [f"{heading + ':':<12}{text}" for heading, text in told]


def _preferred(found: Explanation, now: datetime) -> str:
    then = age(found.entry.ready_at, now) if found.entry else ""
    since = f" (its session became Ready {then}{'' if then.startswith('in ') else ' ago'})" if then else ""
    if not found.last_node:
        return "nothing that is known"
    return ("" if found.preferred else "nothing; its last node was ") + found.last_node + since


def _asked(found: Explanation) -> str:
    return _ASKED.get(found.asked, found.asked) or _NOT_KNOWN[found.exists]


def _startup(found: Explanation) -> str:
    if found.startup_seconds is None:
        return "not known"
    phases = f": scheduled after {measured(found.scheduled_seconds)}, Ready {measured(found.ready_seconds)} later"
    return measured(found.startup_seconds) + (phases if found.scheduled_seconds is not None else "")


def _explain(options: Options, namespace: str, name: str) -> Explanation:
    live = _live(options, namespace, name)
    uid = live.session.uid if live else ""
    journals = _journals(options, uid)
    record = explanation.newest_record(journals.sessions, namespace, name, uid)
    if record is not None:
        workload = _recorded_workload(options, record)
        found = explanation.from_record(record, workload, exists=live is not None)
        return _with_ranks(options, _with_asker(options, found, live, workload), workload)
    event = explanation.newest_event(_events(options, namespace), name, uid)
    if event is not None:
        return _with_asker(options, explanation.from_event(event, exists=live is not None), live, None)
    if live is None:
        unknown = "neither a journal nor an Event knows it" if journals.found else "no Event knows it"
        instead = _of_a_workload(options, namespace, name, journals.sessions)
        raise Failure(instead or f"no pod {name} in namespace {namespace}, and {unknown}")
    whose = _whose(options, live.session)
    nodes: Mapping[str, Node] = options.cluster.nodes() or {}
    relatives = options.cluster.relatives(whose.workload) if whose.workload else ()
    found = explanation.derived(
        live, whose.workload, nodes,
        now=options.now, ttl=options.memory_ttl, relatives=relatives, weights=options.weights,
    )  # fmt: skip
    notes = [f"Whose session it is cannot be known: {whose.verdict}."]
    if whose.workload:
        notes = [f"{line}." for line in options.cluster.ignored(whose.workload)]
    return _with_ranks(options, msgspec.structs.replace(found, notes=[*found.notes, *notes]), whose.workload)


def _with_asker(options: Options, found: Explanation, live: Live | None, workload: Workload | None) -> Explanation:
    if found.asked or live is None or not live.terms:
        return found
    return explanation.with_asker(found, live.terms, workload, options.cluster.nodes() or {}, options.weights)


def _of_a_workload(options: Options, namespace: str, name: str, sessions: Iterable[SessionRecord]) -> str:
    """What to tell who names a workload: which of its sessions to ask about; empty where there is none of that name."""
    with contextlib.suppress(KubeError):
        for each in options.cluster.find(name, namespace):
            whose = (namespace, each.kind, each.name)
            mine = [record for record in sessions if (record.namespace, record.kind, record.workload) == whose]
            moved = [record for record in mine if record.outcome is Outcome.MOVED]
            told = f"{each.kind} {namespace}/{each.name} is a workload, and explain asks for a session's pod; "
            if not mine:
                return f"{told}no journal knows one of its sessions"
            return f"{told}its last session{' that moved' if moved else ''}: explain {(moved or mine)[-1].pod}"
    return ""


def _with_ranks(options: Options, found: Explanation, workload: Workload | None) -> Explanation:
    if workload is None or not workload.sticky:
        return found
    memory = parse_text(workload.last_node, workload.recent_nodes)
    preference = options.preference(workload, memory, options.cluster.nodes())
    return msgspec.structs.replace(found, ranked=[Ranked.of(one) for one in preference.nodes])


def _live(options: Options, namespace: str, name: str) -> Live | None:
    """:raises Failure: that pod is no session's."""
    try:
        pod = decode(_POD, options.api.get(f"/api/v1/namespaces/{namespace}/pods/{name}"))
    except NotFound:
        return None
    session = session_of(pod, options.cluster.ways)
    if session is None:
        selectors = " or ".join(str(way.pods) for way in options.cluster.ways.all)
        raise Failure(f"pod {namespace}/{name} is no session's: it is not selected by {selectors}")
    conditions = (pod.status.conditions if pod.status else None) or ()
    scheduled = [c.last_transition_time for c in conditions if c.type == "PodScheduled" and c.status == "True"]
    return Live(session, pod.preferred_terms, utc(scheduled[0]) if scheduled else None)


def _journals(options: Options, uid: str) -> Journals:
    """What the recorders know of that pod; whom that leaves out is said."""
    try:
        recorders = options.cluster.replicas(RECORDER, options.recorder_url)
    except KubeError as error:
        warn(f"no recorder is asked: their pods cannot be listed (name them with --recorder-url): {error}")
        return Journals()
    read = read_journals(recorders, uid)
    for line in read.trouble if recorders else [f"no recorder is asked: {options.no_recorder}"]:
        warn(line)
    return read


def _events(options: Options, namespace: str) -> list[Any]:
    query = {"fieldSelector": f"reason={explanation.MOVED_EVENT}"}
    try:
        return [*options.cluster.objects(f"/api/v1/namespaces/{namespace}/events", query)]
    except Refused as error:
        warn(f"Events are not looked at: {error}")
        return []


def _recorded_workload(options: Options, record: SessionRecord) -> Workload | None:
    """The record's workload as it is now, for its memory; None where it is gone or cannot be read."""
    try:
        found = options.cluster.find(f"{record.kind}/{record.workload}", record.namespace)
        return found[0] if found else None
    except KubeError as error:
        warn(f"the memory is not looked at: {error}")
        return None


def _whose(options: Options, session: Session) -> Attribution:
    """Whose session it is, by the rule of the recorder."""
    cluster = options.cluster
    everything = cluster.workloads(session.namespace)

    def known(resource: str) -> Mapping[ObjectKey, Workload]:
        return {each.key: each for each in everything if each.resource == resource}

    ways = {way: {row.resource: known(row.resource) for row in cluster.rows if row.way == way} for way in session.ways}
    return attribute(session, Seen(cluster.controller, ways))
