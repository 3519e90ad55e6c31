"""The roles for who uses kubectl lastnode: every command works with them, and the audit log shows that they grant no
more than the commands ask for.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping

import pytest

from lastnode.reasons import Reason
from testbed.apply import apply
from testbed.stack import Stack
from tests.kubectl.journal import journal, moved, recorder_pod, served
from tests.kubectl.terminal import run
from tests.kubectl.test_doctor import deployment
from tests.kubectl.test_looking import memory
from tests.rbac import Audit, Right, granted
from tests.recorder.space import START, Space
from tools.render import NAMESPACE, Object, by_key

# Command and number -> exit code, output, warnings and errors.
Results = Mapping[str, tuple[int, str, str]]
PEOPLE = ("viewer", "operator")
TOKEN = {"name": "sessions-token", "secret": {"secretName": "lastnode-sessions"}}
# What the API server allows everybody, and what nobody is given for doctor's sake.
EVERYBODY_S = Right("create", "authorization.k8s.io", "selfsubjectaccessreviews")
CREATE_PODS = Right("create", "", "pods")


class Person:
    """A ServiceAccount with the roles of the chart for such people."""

    def __init__(self, stack: Stack, audit: Audit, roles: list[Object]) -> None:
        self.roles = [role for role in roles if role["kind"].endswith("Role")]
        self.name = self.roles[0]["metadata"]["name"].rpartition("-")[2]
        self.user = f"system:serviceaccount:{NAMESPACE}:{self.name}"
        self._stack, self._audit = stack, audit
        apply(stack.cp, [*self.roles, *map(self._bound, self.roles)])

    def run(self, *words: str) -> tuple[int, str, str]:
        done = run(self._stack.cp.kubeconfig_for(self.user), *words)
        return done.returncode, done.stdout, done.stderr

    @property
    def asked(self) -> set[Right]:
        refs = [(event["verb"], event["objectRef"]) for event in self._audit.of(self.user) if "objectRef" in event]
        return {
            Right(verb, ref.get("apiGroup", ""), "/".join(filter(None, (ref["resource"], ref.get("subresource")))))
            for verb, ref in refs
        }

    def _bound(self, role: Object) -> Object:
        metadata = {name: role["metadata"][name] for name in ("name", "namespace") if name in role["metadata"]}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": metadata["name"]}
        subject = {"kind": "ServiceAccount", "name": self.name, "namespace": NAMESPACE}
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": f"{role['kind']}Binding", "metadata": metadata,
                "roleRef": reference, "subjects": [subject]}  # fmt: skip


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return Audit(tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def stack(audit: Audit) -> Iterator[Stack]:
    with Stack.start(apiserver_flags=audit.flags) as stack:
        yield stack


@pytest.fixture(scope="module")
def people(stack: Stack, audit: Audit, rendered: dict[str, list[Object]]) -> dict[str, Person]:
    apply(stack.cp, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
    objects = by_key(rendered["webhook"])
    parts = [(kind, namespace) for kind, namespace in (("ClusterRole", ""), ("Role", NAMESPACE))]
    return {
        who: Person(stack, audit, [
            objects["rbac.authorization.k8s.io/v1", kind, namespace, f"lastnode-{who}"] for kind, namespace in parts
        ])
        for who in PEOPLE
    }  # fmt: skip


@pytest.fixture(scope="module")
def ran(stack: Stack, people: dict[str, Person], rendered: dict[str, list[Object]]) -> Iterator[dict[str, Results]]:
    """What came of each command of each person, beside a workload with a session and as much of a release as they look
    at. The operator forgets last."""
    space = Space(stack)
    node = space.node("a")
    space.workload(annotations=memory([(node, 1)]))
    space.session("s-1", node, 1)
    objects = by_key(rendered["webhook"])
    kept = [each for at, each in objects.items() if at[1] in ("ConfigMap", "MutatingWebhookConfiguration", "Service")]
    apply(stack.cp, [*kept, deployment("recorder"), *(
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **more}
        for version, kind, name, more in (
            ("coordination.k8s.io/v1", "Lease", "lastnode-recorder", {}),
            ("v1", "Secret", "lastnode-sessions", {"data": {"token": b64encode(b"t" * 40).decode()}}),
        )
    )])  # fmt: skip
    known = moved("gone", Reason.NO_ROOM, ready=START, namespace=space.name, workload="w")
    place = ("-n", space.name)
    with served(journal(known, since=START), host="0.0.0.0") as port:
        recorder_pod(stack.api, NAMESPACE, "recorder-1", port, volumes=[TOKEN])
        stack.wait(lambda: people["operator"].run("report")[0] == 0, "the roles to be in force", within=90)
        yield {
            who: {
                words[0] + str(number): people[who].run(*words)
                for number, words in enumerate((
                    ("list", "-A"), ("show", "w", *place), ("explain", "s-1", *place), ("explain", "gone", *place),
                    ("report",), ("doctor", "-o", "json"), ("forget", "w", *place, "--yes"),
                ))
            }
            for who in PEOPLE
        }  # fmt: skip


@pytest.mark.parametrize("who", PEOPLE)
def test_every_command_works_without_a_word_of_what_is_not_allowed(ran: dict[str, Results], who: str) -> None:
    for command, (code, said, warned) in ran[who].items():
        if command.rstrip("0123456789") not in ("doctor", "forget"):
            assert (code, warned) == (0, ""), command
            assert "w" in said or "1 session since" in said, command
    code, _, warned = ran[who]["forget6"]
    assert (code, "403" in warned) == ((0, False) if who == "operator" else (1, True))


def test_an_operator_s_doctor_is_refused_nothing_but_making_pods(ran: dict[str, Results]) -> None:
    found = json.loads(ran["operator"]["doctor5"][1])
    refused = [each for each in found if "403" in each["text"]]
    assert {each["check"] for each in refused} <= {"policies", "webhook-called"}
    assert all("as a dry run" in each["text"] for each in refused)
    assert [each["level"] for each in found if each["check"] == "my-rights"] == ["OK"]


def test_an_operator_is_granted_what_the_commands_ask_for_and_nothing_else(
    people: dict[str, Person], ran: dict[str, Results]
) -> None:
    operator = people["operator"]
    assert alike(granted(operator.roles)) == alike(operator.asked) - {EVERYBODY_S, CREATE_PODS}


def test_a_viewer_is_granted_the_same_but_for_doctor_and_forget(
    people: dict[str, Person], ran: dict[str, Results]
) -> None:
    assert ran
    mine, theirs = (granted(people[who].roles) for who in PEOPLE)
    assert mine < theirs
    assert {right.collection for right in theirs - mine if right.verb != "patch"} == {
        "customresourcedefinitions.apiextensions.k8s.io", "deployments.apps", "leases.coordination.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io", "services",
        "subjectaccessreviews.authorization.k8s.io",
    }  # fmt: skip
    assert mine <= people["viewer"].asked


def test_nobody_has_the_roles_unless_somebody_gives_them(rendered: dict[str, list[Object]]) -> None:
    bindings = [each for each in rendered["webhook"] if each["kind"].endswith("Binding") and "roleRef" in each]
    assert bindings
    assert not [each for each in bindings if each["roleRef"]["name"].endswith(PEOPLE)]


def alike(rights: set[Right]) -> set[Right]:
    """To forget is to patch one workload, of whatever kind."""
    return {Right("patch", "", "workloads") if right.verb == "patch" else right for right in rights}
