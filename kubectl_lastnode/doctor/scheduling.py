"""Is kube-scheduler configured to ask, with the right weight, and does it look at the preferred node at all?"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from kubectl_lastnode.doctor.finding import Finding, fail, ok, warn
from kubectl_lastnode.doctor.look import Look, SchedulerConfiguration
from kubectl_lastnode.output import share
from lastnode.journal import SessionRecord
from lastnode.outcome import Outcome
from lastnode.preference import EXTENDER_WEIGHT, POINTS
from lastnode.reasons import Reason

# kube-scheduler's minFeasibleNodesToFind: up to so many nodes it scores all (pkg/scheduler/schedule_one.go).
ALWAYS_SCORED: Final = 100
# Below so many sessions that could return a share says nothing.
_ENOUGH: Final = 20
_MUCH: Final = 0.1
_VERB: Final = "prioritize"
_FORBIDDEN_VERBS: Final = ("filterVerb", "preemptVerb", "bindVerb")
_PORT: Final = ":8888"
_SCORE_ALL: Final = "Give session pods a profile with percentageOfNodesToScore: 100 (scheduler-config/README.md)."


def configured(look: Look) -> Iterator[Finding]:
    """What its file says of the extender."""
    try:
        found = look.scheduler_configurations
    except ValueError as error:
        yield fail("scheduler", f"the configuration cannot be used: {error}", "Compare it with scheduler-config/.")
        return
    if not found:
        yield warn("scheduler", "cannot know: kube-scheduler's configuration is a file on the control plane's nodes",
                   "Run doctor with --scheduler-config FILE there.")  # fmt: skip
    for each in found:
        yield from judged(each)


def judged(configuration: SchedulerConfiguration) -> Iterator[Finding]:
    """One configuration. Pure."""
    mine = [each for each in configuration.content.get("extenders") or () if _is_ours(each)]
    if not mine:
        text = f"{configuration.source} names no extender of ours: only the webhook and the library ask"
        yield warn("scheduler", text, "Nothing, if that is meant; else see scheduler-config/extender.yaml.")
    for each in mine:
        url = each.get("urlPrefix", "without urlPrefix")
        wrong = [*_mistakes(each)]
        yield from (
            fail("scheduler", f"{configuration.source}: extender {url}: {text}", remedy) for text, remedy in wrong
        )
        if not wrong:
            yield ok("scheduler", f"{configuration.source}: extender {url} is called as it should be")


def _is_ours(extender: Any) -> bool:
    url = str(extender.get("urlPrefix", ""))
    return extender.get("prioritizeVerb") == _VERB or "lastnode" in url or url.rstrip("/").endswith(_PORT)


def _mistakes(extender: Any) -> Iterator[tuple[str, str]]:
    """What is wrong, and its remedy."""
    if extender.get("prioritizeVerb") != _VERB:
        yield (
            f"prioritizeVerb is {extender.get('prioritizeVerb')!r}: it is never asked",
            f"Set prioritizeVerb: {_VERB}.",
        )
    weight = extender.get("weight", 0)
    if weight != EXTENDER_WEIGHT:
        yield (f"weight is {weight}: its answer is worth {weight * POINTS // EXTENDER_WEIGHT} points, not {POINTS}",
               f"Set weight: {EXTENDER_WEIGHT}.")  # fmt: skip
    if extender.get("nodeCacheCapable") is not True:
        yield "nodeCacheCapable is not true: whole Node objects are sent for every pod", "Set nodeCacheCapable: true."
    if extender.get("ignorable") is not True:
        yield "ignorable is not true: when it is down, no pod is scheduled", "Set ignorable: true."
    for verb in _FORBIDDEN_VERBS:
        if extender.get(verb):
            yield f"{verb} is set: it serves none, and pods would fail", f"Remove {verb}."


def sampling(look: Look) -> Iterator[Finding]:
    """Whether kube-scheduler scores the preferred node, by its configuration."""
    if look.node_count <= ALWAYS_SCORED:
        yield ok("sampling", f"{look.node_count} nodes: kube-scheduler scores all of them")
        return
    try:
        contents = [each.content for each in look.scheduler_configurations]
    except ValueError:
        contents = []  # configured() says so
    for profile in sorted(look.session_profiles):
        yield _profile(profile, contents, look.node_count)
    if not look.session_profiles:
        yield warn("sampling", f"cannot know: there is no session's pod to see its profile ({look.node_count} nodes)",
                   _SCORE_ALL)  # fmt: skip


def _profile(name: str, contents: Sequence[dict[str, Any]], nodes: int) -> Finding:
    percentages = [found for content in contents for found in scored(content, name)]
    if not percentages:
        return warn("sampling", f"cannot know how many of {nodes} nodes {name} scores: its configuration was not found",
                    "Run doctor with --scheduler-config FILE.")  # fmt: skip
    if min(percentages) >= 100:
        return ok("sampling", f"{name} scores all of {nodes} nodes")
    how = f"{min(percentages)} %" if min(percentages) else "a sample"
    return fail("sampling", f"sessions use {name}, which scores {how} of {nodes} nodes: the preferred one is often not "
                "among them", _SCORE_ALL)  # fmt: skip


def scored(content: Any, profile: str) -> list[int]:
    """The percentageOfNodesToScore of a profile; 0: kube-scheduler's own choice. Empty where it has no such profile."""
    profiles = content.get("profiles") or [{}]
    general = content.get("percentageOfNodesToScore") or 0
    mine = [each for each in profiles if each.get("schedulerName", "default-scheduler") == profile]
    return [
        general if each.get("percentageOfNodesToScore") is None else each["percentageOfNodesToScore"] for each in mine
    ]


def hidden(look: Look) -> Iterator[Finding]:
    """The same by what became of the sessions."""
    yield from judged_sessions(look.journals.sessions)


def judged_sessions(records: Sequence[SessionRecord]) -> Iterator[Finding]:
    """Pure; nothing where too few sessions are known."""
    returning = [record for record in records if record.outcome is not Outcome.FIRST]
    lost = sum(record.reason in (Reason.NOT_OFFERED, Reason.NOT_CHOSEN) for record in returning)
    if len(returning) < _ENOUGH:
        return
    text = (
        f"the node of {share(lost / len(returning))} of {len(returning)} returning sessions was not offered or chosen"
    )
    yield fail("hidden", text, _SCORE_ALL) if lost / len(returning) > _MUCH else ok("hidden", text)
