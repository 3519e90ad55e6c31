"""Does somebody ask for the remembered node: is the extender there, and is it called at all?"""

from collections.abc import Iterator, Mapping
from typing import Final

from kubectl_lastnode.doctor.finding import Finding, fail, ok, warn
from kubectl_lastnode.doctor.look import Look
from kubectl_lastnode.doctor.probe import by, reached
from lastnode.reasons import Reason

PRIORITIZE: Final = "lastnode_prioritize_total"
INJECTIONS: Final = "lastnode_injections_total"
_TROUBLE: Final = ("error", "bad_request", "not_synced")
_CONFIGURE: Final = "Register the webhook, or name the extender in kube-scheduler's configuration (docs/install.md)."


def replicas(look: Look) -> Iterator[Finding]:
    """Reachable and ready."""
    if not look.extender_probes:
        yield warn("extender", "no extender's pod found: only programs that use the injector library ask for nodes",
                   "Install it, or name it with --extender-url, if that is not what you want.")  # fmt: skip
    yield from reached("extender", look.extender_probes)


def called(look: Look) -> Iterator[Finding]:
    """Whether the scheduler or the API server ever asks, and what they get."""
    answering = [each for each in look.extender_probes if not each.unreachable]
    if not answering:
        return
    asked, shown = by(answering, PRIORITIZE, "result"), by(answering, INJECTIONS, "result")
    if asked or shown:
        yield ok("called", f"since the extenders started: prioritize {_told(asked)}; mutate {_told(shown)}")
        yield from _trouble(asked, shown)
    elif _returning(look):
        yield fail("called", "sessions became Ready, and neither kube-scheduler nor the API server ever asked",
                   _CONFIGURE)  # fmt: skip
    else:
        yield warn("called", "never asked since it started; no session that could return is known either", _CONFIGURE)


def not_asked(look: Look) -> Iterator[Finding]:
    """What the sessions that moved say."""
    moved = [record.reason for record in look.journals.sessions if record.reason]
    silent = sum(reason is Reason.NOT_ASKED for reason in moved)
    if silent:
        yield fail(
            "asked", f"{silent} of {len(moved)} sessions that moved had nobody asking for their node", _CONFIGURE
        )
    elif moved:
        yield ok("asked", f"for each of {len(moved)} sessions that moved somebody had asked, or nothing could be asked")


def _trouble(*counted: Mapping[str, float]) -> Iterator[Finding]:
    bad = {result: sum(each.get(result, 0.0) for each in counted) for result in _TROUBLE}
    if any(bad.values()):
        told = _told({result: number for result, number in bad.items() if number})
        yield warn(
            "answers", f"requests that could not be answered as they should: {told}", "Look at the extender's log."
        )


def _returning(look: Look) -> bool:
    return any(record.last_node for record in look.journals.sessions)


def _told(results: Mapping[str, float]) -> str:
    return ", ".join(f"{number:.0f} {result}" for result, number in sorted(results.items())) or "nothing"
