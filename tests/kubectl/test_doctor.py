"""`kubectl lastnode doctor`: each thing that can be wrong in an installation is made wrong, and found."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lastnode import contract, rights
from lastnode.kinds import BUILT_IN
from lastnode.reasons import Reason
from testbed import webhook
from testbed.apply import apply
from testbed.component import Component
from testbed.extras import CRDS
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests import rbac
from tests.extender.test_policies import policy
from tests.kubectl.journal import journal, moved, record, reused, served
from tests.kubectl.terminal import run
from tests.kubectl.test_looking import memory
from tests.recorder.space import START, TEMPLATE, Space
from tests.subjects import SANDBOXES, STATEFUL_SETS, Subject

Finding = Mapping[str, str]
GROUP = "runtime.agentcube.volcano.sh"
UNREACHABLE = "http://127.0.0.1:1"


@dataclass
class Installation:
    """A recorder that holds the Lease, an extender, and the webhook, registered."""

    stack: Stack
    recorder: Component
    recorder_url: str
    extender_url: str
    webhook_url: str

    @property
    def urls(self) -> tuple[str, ...]:
        extenders = f"{self.extender_url},{self.webhook_url}"
        return ("--recorder-url", self.recorder_url, "--extender-url", extenders, "--extender-ca", str(self.ca))

    @property
    def ca(self) -> Path:
        return self.stack.cp.dir / "webhook" / "ca.crt"


@pytest.fixture(scope="module")
def installed(stack: Stack) -> Iterator[Installation]:
    """They end with these tests: sessions of others are not to be written down."""
    recorder = stack.start_recorder("--leader-elect", "--lease-duration", "5")
    components = [recorder, stack.start_extender(), stack.start_webhook()]
    stack.wait(lambda: stack.metrics(stack.recorder_url)["lastnode_leader"] == 1, "the recorder to lead")
    yield Installation(stack, recorder, stack.recorder_url, stack.extender_url, stack.webhook_url)
    stack.unregister_webhook()
    for component in components:
        component.kill()


def examine(stack: Stack, *words: str, user: str | None = None) -> list[Finding]:
    """All findings; the exit code says whether one of them is FAIL."""
    kubeconfig = stack.cp.kubeconfig_for(user) if user else stack.cp.kubeconfig
    done = run(kubeconfig, "doctor", "-o", "json", *words)
    assert done.stderr == ""
    found: list[Finding] = yaml.safe_load(done.stdout)
    assert done.returncode == any(each["level"] == "FAIL" for each in found)
    assert all(each["remedy"] for each in found if each["level"] != "OK"), "each says what to do"
    return found


def of(found: list[Finding], check: str) -> list[tuple[str, str]]:
    """Level and text of a check's findings."""
    return [(each["level"], each["text"]) for each in found if each["check"] == check]


def test_an_installation_that_fits_together_has_no_failure(installed: Installation, space: Space) -> None:
    space.workload()
    file = str(REPOSITORY / "scheduler-config" / "extender.yaml")
    found = examine(installed.stack, *installed.urls, "--scheduler-config", file)
    assert not [each for each in found if each["level"] == "FAIL"]
    levels = {each["check"]: each["level"] for each in found}
    # What is not installed here is a Deployment, and the journal: recorders of this release may not have it.
    assert {check for check, level in levels.items() if level != "OK"} <= {"accounts", "journals"}
    assert ("OK", "the API server asks it about new session pods") in of(found, "webhook-called")


def test_people_see_one_line_a_check_and_a_verdict(installed: Installation) -> None:
    done = run(installed.stack.cp.kubeconfig, "doctor", *installed.urls)
    *lines, blank, verdict = done.stdout.splitlines()
    assert (done.returncode, blank) == (0, "")
    assert all(line.split()[0] in ("OK", "WARN", "FAIL") for line in lines)
    assert verdict.startswith("No failure, ")
    assert "kube-scheduler's configuration is not needed: the webhook puts the preference into the pods" in done.stdout


def test_a_definition_without_the_field_is_found(installed: Installation) -> None:
    apply(installed.stack.cp, CRDS / "without-stickiness")
    try:
        found = of(examine(installed.stack), "field")
        assert {level for level, _ in found} == {"WARN"}
        assert all("has no spec.nodeStickiness" in text for _, text in found)
    finally:
        apply(installed.stack.cp, CRDS / "with-stickiness")
    assert {level for level, _ in of(examine(installed.stack), "field")} == {"OK"}


def test_a_policy_against_node_affinity_is_found_where_sessions_run(installed: Installation, space: Space) -> None:
    stack, rest = installed.stack, Space(installed.stack)
    space.workload()
    rest.pod("s", rest.node("a"))
    rules = policy(space.name)

    def found(user: str | None = None) -> dict[str, str]:
        return dict(of(examine(stack, "-n", space.name, user=user), "policies"))

    assert [*found()] == ["OK"]
    apply(stack.cp, rules)
    try:
        stack.wait(lambda: "FAIL" in found(), "the policy to be enforced")
        assert found()["FAIL"].startswith(f"{space.name}: pods with a preference are refused: 422 ")
        assert "OK" in found()
    finally:
        for each in rules:
            kind = {"ValidatingAdmissionPolicy": "policies"}.get(each["kind"], "policybindings")
            stack.api.delete(f"/apis/{each['apiVersion']}/validatingadmission{kind}/{each['metadata']['name']}")
    reader = "system:serviceaccount:default:reader"
    apply(stack.cp, may_read(reader))
    ((level, text),) = found(reader).items()
    assert level == "WARN"
    assert f"as a dry run; {space.name}: 403 " in text


def may_read(user: str) -> list[dict[str, Any]]:
    """Everything, and change nothing."""
    rbac_ = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "doctor-reader"}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "doctor-reader"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    return [
        rbac_ | {"kind": "ClusterRole", "rules": rules},
        rbac_ | {"kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]},
    ]


def configured(file: Path, rows: list[dict[str, str]], **more: Any) -> tuple[str, str]:
    file.write_text(yaml.safe_dump({"kinds": rows, "memory_ttl": "1h", **more}), encoding="utf-8")
    return "--config", str(file)


def test_each_row_is_judged_by_what_the_api_server_serves(installed: Installation, tmp_path: Path) -> None:
    rows = [
        {"resource": "things.example.org", "pods": "thing", "through": "others.example.org"},
        {"resource": "cronjobs.batch", "pods": "batch.kubernetes.io/job-name", "through": "jobs.batch"},
        {"resource": "clusterroles.rbac.authorization.k8s.io", "pods": "role"},
        {"resource": "statefulsets.apps", "pods": "app=trainer", "through": "parts.example.org"},
        {"resource": "daemonsets.apps", "pods": "app=d", "through": "localsubjectaccessreviews.authorization.k8s.io"},
    ]
    found = examine(installed.stack, *configured(tmp_path / "rows.yaml", rows))
    assert of(found, "kinds")[3:] == [
        ("WARN", "things.example.org is not installed: its row waits for it"),
        ("OK", "cronjobs.batch is served as batch/v1"),
        (
            "FAIL",
            "clusterroles.rbac.authorization.k8s.io is cluster-scoped, and pods lead to objects of their namespace",
        ),
        ("OK", "statefulsets.apps is served as apps/v1"),
        ("OK", "daemonsets.apps is served as apps/v1"),
    ]
    assert of(found, "controllers")[1:] == [
        ("OK", "jobs.batch is served as batch/v1"),
        ("FAIL", "parts.example.org is not installed: whose session is a pod?"),
        ("FAIL", "the API server knows no list, watch for localsubjectaccessreviews.authorization.k8s.io"),
    ]
    asked = of(found, "webhook-asks")
    assert [level for level, _ in asked] == ["OK", "OK", "WARN", "WARN", "WARN", "WARN"]
    assert asked[0][1] == "webhook.lastnode.dev asks about pods with runtime.agentcube.io/session-id"
    assert asked[2][1].startswith("no webhook asks about pods with batch.kubernetes.io/job-name: ")


@pytest.mark.parametrize(
    ("crds", "sandbox", "missing", "controllers"),
    [(["without-stickiness"], [], 1, ["WARN"]), ([], ["v1alpha1"], 2, [])],
    ids=["agentcube", "agent-sandbox"],
)
def test_a_kind_that_is_not_installed_is_not_missed_where_another_one_is(
    crds: list[str], sandbox: list[str], missing: int, controllers: list[str]
) -> None:
    with Stack.start(crds=crds, sandbox=sandbox) as stack:
        found = examine(stack)
    kinds = of(found, "kinds")
    assert [level for level, _ in kinds] == ["OK"] * 3
    assert sum("is not installed, and not needed" in text for _, text in kinds) == missing
    assert [level for level, _ in of(found, "controllers")] == controllers


def test_rows_that_lead_nowhere_are_found(installed: Installation, tmp_path: Path) -> None:
    row = {"resource": "things.example.org", "pods": "thing"}
    words = configured(tmp_path / "rows.yaml", [row], workload_resources=["things.example.org"])
    found = of(examine(installed.stack, *words), "kinds")
    assert found[-1] == ("FAIL", "no kind of workload is installed")


def test_who_has_opted_in_is_counted_by_kind(installed: Installation, tmp_path: Path, space: Space) -> None:
    words = configured(tmp_path / "rows.yaml", [{"resource": "statefulsets.apps", "pods": "app=trainer"}],
                       workload_resources="statefulsets.apps,sandboxes.agents.x-k8s.io")  # fmt: skip
    for resource, opted_in in ((STATEFUL_SETS, True), (STATEFUL_SETS, False), (SANDBOXES, False)):
        Subject(installed.stack, resource, space.name, f"w-{opted_in}".lower(), opted_in=opted_in)
    ((level, text),) = of(examine(installed.stack, *words), "opted-in")
    assert level == "OK"
    assert re.fullmatch(r"opted in: 1 of \d+ statefulsets.apps, 0 of \d+ sandboxes.agents.x-k8s.io", text)


def test_annotations_that_nobody_heeds_are_found(space: Space) -> None:
    space.workload("typo", enabled=None, annotations={contract.STICKINESS_ANNOTATION: "true"})
    text = f"agentruntimes.{GROUP} {space.name}/typo: {contract.STICKINESS_ANNOTATION} is 'true'"
    space.workload("off", annotations={contract.STICKINESS_ANNOTATION: "disabled"}, enabled=False)
    try:
        ((level, told),) = of(examine(space.stack), "annotations")
    finally:
        space.delete("typo")
    assert level == "WARN"
    assert told.startswith("not heeded: ")
    assert f"{space.name}/off" not in told
    assert text in told or " more" in told


def test_the_rows_are_those_of_the_installed_programs(installed: Installation, space: Space) -> None:
    labels = {"app.kubernetes.io/part-of": "lastnode", "app.kubernetes.io/component": "recorder"}
    text = f"kinds: {rbac.as_json(rbac.ROWS)}\nworkload_resources: [cronjobs.batch, agentruntimes.{GROUP}]\n"
    body = {"metadata": {"name": "recorder", "labels": labels}, "data": {"recorder.yaml": text}}
    space.api.post(f"/api/v1/namespaces/{space.name}/configmaps", body)
    words = ("--release-namespace", space.name)
    told = [
        ("OK", "cronjobs.batch is served as batch/v1"),
        ("OK", f"agentruntimes.{GROUP} is served as {GROUP}/v1alpha1"),
    ]
    assert of(examine(space.stack, *words), "kinds") == told
    assert of(examine(space.stack, *words, "--workload-resources", "cronjobs.batch"), "kinds") == told[:1]
    assert len(of(examine(space.stack, *words, user="nobody"), "kinds")) == 3, (
        "who may not read it has the built-in ones"
    )


def test_nobody_installed_is_found(stack: Stack) -> None:
    found = examine(stack)
    assert of(found, "recorder") == [("FAIL", "no recorder's pod found in lastnode-system: nothing is written down")]
    assert of(found, "extender")[0][0] == "WARN"


def test_a_certificate_that_is_not_trusted_has_a_remedy_of_its_own(installed: Installation) -> None:
    found = examine(installed.stack, "--extender-url", installed.webhook_url)
    (answer,) = (each for each in found if each["check"] == "extender")
    assert answer["level"] == "FAIL"
    assert "--extender-ca" in answer["remedy"]


def test_what_i_may_not_do_is_found_and_the_rest_cannot_be_known(installed: Installation) -> None:
    found = examine(installed.stack, *installed.urls, user="nobody")
    missing = " ".join(text for level, text in of(found, "my-rights") if level == "WARN")
    for need in rights.needed(rights.YOU, BUILT_IN):
        known = need.scope != "token"  # where the recorders are named, no pod says which Secret it is
        assert (f"you may not {need}: " in missing) is known, need
    for check in ("opted-in", "accounts", "lease", "webhook", "scheduler", "sampling", "clocks"):
        ((level, text),) = of(found, check)
        assert (level, text[:17]) == ("WARN", "cannot know: 403 "), check
    assert of(found, "recorder") == [("OK", f"{installed.recorder_url} is ready")]


def test_an_account_without_its_rights_is_found(installed: Installation) -> None:
    account = "system:serviceaccount:lastnode-system:lastnode-recorder"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": rbac.NAMESPACE}}
    documents = rbac.manifest("recorder")
    apply(installed.stack.cp, [namespace, *documents, deployment("recorder")])
    try:
        installed.stack.wait(lambda: of(examine(installed.stack), "accounts")[0][0] == "OK", "the roles to be in force")
        (role,) = (each for each in documents if each["kind"] == "ClusterRole")
        kept = [rule for rule in role["rules"] if "patch" not in rule["verbs"]]
        apply(installed.stack.cp, [role | {"rules": kept}])
        installed.stack.wait(
            lambda: of(examine(installed.stack), "accounts")[0][0] == "FAIL", "the role to be cut down"
        )
        ((_, text),) = of(examine(installed.stack), "accounts")
        assert text.startswith(f"{account} may not ")
        assert "patch agentruntimes.runtime.agentcube.volcano.sh" in text
        ((level, text),) = of(examine(installed.stack, user=account), "accounts")
        assert (level, text[:12]) == ("WARN", "cannot know:")
    finally:
        for path in (
            "/apis/apps/v1/namespaces/lastnode-system/deployments",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        ):
            installed.stack.api.delete(f"{path}/lastnode-recorder")


def test_a_deployment_without_its_pods_is_found_and_nobody_told_to_install_it(space: Space) -> None:
    words, path = ("--release-namespace", space.name), f"/apis/apps/v1/namespaces/{space.name}/deployments"
    for program in ("recorder", "extender"):
        made = deployment(program)
        space.api.post(path, made | {"metadata": made["metadata"] | {"namespace": space.name},
                                     "spec": made["spec"] | {"replicas": 2}})  # fmt: skip
    found = examine(space.stack, *words)
    told = f"pods of {space.name}/lastnode-recorder are ready"
    assert ("FAIL", f"0 of 2 {told}") in of(found, "deployments")
    (remedy,) = (each["remedy"] for each in found if told in each["text"])
    assert remedy == "Nothing has acted on the Deployment: does kube-controller-manager run?"
    remedies = [each["remedy"] for each in found if each["check"] in ("recorder", "extender")]
    assert len(remedies) == 2
    assert all("is there: see why it has no pods" in remedy for remedy in remedies)
    for ready, level in ((1, "WARN"), (2, "OK")):
        status = {"observedGeneration": 1, "replicas": 2, "readyReplicas": ready}
        space.api.patch(f"{path}/lastnode-recorder/status", {"status": status})
        (one,) = (each for each in examine(space.stack, *words) if told in each["text"])
        assert (one["level"], one["text"]) == (level, f"{ready} of 2 {told}")
        assert ("describe deployments" in one["remedy"]) is (level == "WARN")


def test_sessions_that_no_scheduler_looks_at_are_found(space: Space) -> None:
    assert of(examine(space.stack), "waiting") == [("OK", "no session waits for a scheduler")]
    labels = {contract.SESSION_LABEL: "s"}
    body = {"metadata": {"name": "waits", "labels": labels}, "spec": TEMPLATE["spec"] | {"schedulerName": "second"}}
    path = f"/api/v1/namespaces/{space.name}/pods"
    space.api.post(path, body)

    def found() -> tuple[str, str]:
        (one,) = of(examine(space.stack), "waiting")
        return one

    try:
        space.stack.wait(lambda: found()[0] == "FAIL", "the session to have waited long", within=90)
        assert re.match(r"waiting: 1 session for second, up to \d+", found()[1])
        seen = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        space.api.patch(f"{path}/waits/status", {"status": {"conditions": [seen]}})
        assert found()[0] == "OK", "its scheduler has said why it waits"
    finally:
        space.api.delete(f"{path}/waits")


def test_no_leader_and_a_stale_lease_are_found(installed: Installation) -> None:
    installed.recorder.pause()
    try:
        installed.stack.wait(lambda: of(examine(installed.stack), "lease")[0][0] == "FAIL", "the lease to run out")
        found = examine(installed.stack, *installed.urls)
        ((level, text),) = of(found, "lease")
        assert level == "FAIL"
        assert "has not renewed it for" in text
        ((level, text),) = of(found, "recorder")
        assert level == "FAIL"
        assert text.startswith(f"{installed.recorder_url} does not answer: ")
    finally:
        installed.recorder.resume()
    installed.stack.wait(lambda: of(examine(installed.stack), "lease")[0][0] == "OK", "the recorder to lead again")


def test_a_recorder_that_does_not_answer_may_write_without_a_lease(space: Space) -> None:
    made = deployment("recorder")
    path = f"/apis/apps/v1/namespaces/{space.name}/deployments"
    space.api.post(path, made | {"metadata": made["metadata"] | {"namespace": space.name}})
    words = ("--release-namespace", space.name)
    assert of(examine(space.stack, *words), "lease")[0][0] == "FAIL"
    ((level, text),) = of(examine(space.stack, *words, "--recorder-url", UNREACHABLE), "lease")
    assert (level, text[:12]) == ("WARN", "cannot know:")


def test_recorders_of_which_none_or_two_write_are_found(installed: Installation) -> None:
    stack = installed.stack
    standby = stack.start_recorder("--leader-elect", name="standby")
    ((level, text),) = of(examine(stack, "--recorder-url", stack.recorder_url), "leader")
    assert (level, text) == ("FAIL", "no recorder writes")
    standby.kill()
    second = stack.start_recorder(name="second")
    both = f"{installed.recorder_url},{stack.recorder_url}"
    ((level, text),) = of(examine(stack, "--recorder-url", both), "leader")
    second.kill()
    assert (level, text) == ("FAIL", f"2 recorders write: {both.replace(',', ', ')}")


def test_a_program_that_is_not_ready_and_one_that_is_not_there_are_found(installed: Installation, space: Space) -> None:
    stack = installed.stack
    user = f"system:serviceaccount:{space.name}:new"
    url = f"http://127.0.0.1:{stack.cp.free_port()}"
    argv = [sys.executable, "-m", "recorder.program", "--kubeconfig", str(stack.cp.kubeconfig_for(user))]
    argv += ["--bind", url.removeprefix("http://"), "--no-leader-elect"]
    blind = stack.cp.spawn("blind", argv, ready_url=f"{url}/livez", cwd=REPOSITORY)
    found = of(examine(stack, "--recorder-url", f"{url},{UNREACHABLE}", "--extender-url", UNREACHABLE), "recorder")
    blind.kill()
    assert [level for level, _ in found] == ["FAIL", "FAIL"]
    assert found[0][1].startswith(f"{url} is not ready: [-]nodes failed: not listed yet: 403 ")
    assert found[1][1].startswith(f"{UNREACHABLE} does not answer: ")


def test_an_extender_that_nobody_calls_is_found(installed: Installation) -> None:
    url = ("--extender-url", installed.extender_url)
    assert of(examine(installed.stack, *url), "called")[0][0] == "WARN", "nobody could have come back"
    returning = moved("s", Reason.NOT_ASKED, ready=START)
    with served(journal(returning, since=START)) as port:
        found = examine(installed.stack, *url, "--recorder-url", f"http://127.0.0.1:{port}")
        words = (*url, "--extender-url", UNREACHABLE, "--recorder-url", f"http://127.0.0.1:{port}")
        assert of(examine(installed.stack, *words), "called")[0][0] == "WARN", "the other one may be called"
    assert of(found, "called")[0][0] == "FAIL"
    assert of(found, "asked") == [("FAIL", "1 of 1 sessions that moved had nobody asking for their node")]


def test_an_extender_that_nobody_needs_to_call_is_no_failure(installed: Installation) -> None:
    url = ("--extender-url", installed.extender_url)
    back, first = reused("s", ready=START, asked="term"), record("f", ready=START)
    with served(journal(back, back, first, since=START)) as port:
        found = examine(installed.stack, *url, "--recorder-url", f"http://127.0.0.1:{port}")
    ((level, text),) = of(found, "called")
    assert level == "OK"
    assert "1 of 1 session that could return had the preference in their pods" in text


def test_calls_are_told_by_what_came_of_them(installed: Installation) -> None:
    body = json.dumps({"Pod": {"metadata": {"name": "p"}}, "NodeNames": ["n"]}).encode()
    for content in (body, body, b"nonsense"):
        request = urllib.request.Request(f"{installed.extender_url}/prioritize", content)
        urllib.request.urlopen(request, timeout=10).close()
    found = examine(installed.stack, "--extender-url", installed.extender_url)
    ((level, text),) = of(found, "called")
    assert level == "OK"
    assert "prioritize 1 bad_request, 2 not_ours; mutate nothing" in text
    assert of(found, "answers") == [("WARN", "requests that could not be answered as they should: 1 bad_request")]


@pytest.mark.parametrize(
    ("wrong", "level", "said"),
    [
        ({"clientConfig": {"caBundle": "another"}}, "FAIL", "caBundle does not fit the certificate at "),
        ({"clientConfig": {"caBundle": ""}}, "FAIL", "caBundle is empty"),
        ({"failurePolicy": "Fail"}, "FAIL", "when it is down, no session starts"),
        ({"timeoutSeconds": 10}, "WARN", "may hold a pod's creation up for 10 s"),
        ({"objectSelector": {}}, "WARN", "is asked about pods that are no sessions'"),
        ({"clientConfig": {"service": {"namespace": "default", "name": "missing"}}}, "FAIL",
         "its Service default/missing does not exist"),
    ],
)  # fmt: skip
def test_a_webhook_that_is_registered_wrongly_is_found(
    installed: Installation, tmp_path: Path, wrong: dict[str, Any], level: str, said: str
) -> None:
    stack, path = installed.stack, f"{webhook.CONFIGURATIONS}/wrong"
    made = webhook.configuration(
        "wrong", f"{installed.webhook_url}/mutate", installed.ca.read_bytes(), only=["nowhere"]
    )
    hook = made["webhooks"][0]
    client = hook["clientConfig"] | wrong.pop("clientConfig", {})
    if client["caBundle"] == "another":
        client["caBundle"] = b64encode(webhook.write_certificate(tmp_path).ca.read_bytes()).decode()
    if "service" in client:
        del client["url"]
    stack.api.post(webhook.CONFIGURATIONS, made | {"webhooks": [hook | wrong | {"clientConfig": client}]})
    try:
        found = of(examine(stack, *installed.urls), "webhook")
    finally:
        stack.api.delete(path)
    assert any(each == level and text.startswith("wrong.lastnode.dev: ") and said in text for each, text in found), (
        found
    )


def test_a_webhook_that_the_api_server_does_not_get_through_to_is_found(
    installed: Installation, tmp_path: Path
) -> None:
    stack, path = installed.stack, f"{webhook.CONFIGURATIONS}/webhook"
    hooks = stack.api.get(path)["webhooks"]
    other = b64encode(webhook.write_certificate(tmp_path).ca.read_bytes()).decode()
    stack.unregister_webhook()
    assert of(examine(stack, *installed.urls), "webhook")[0][1].startswith("not registered")
    wrong = [hook | {"clientConfig": hook["clientConfig"] | {"caBundle": other}} for hook in hooks]
    stack.api.post(webhook.CONFIGURATIONS, {"metadata": {"name": "webhook"}, "webhooks": wrong})
    stack.wait(
        lambda: of(examine(stack, *installed.urls), "webhook-called")[0][0] == "FAIL", "the wrong CA to be in force"
    )
    stack.unregister_webhook()
    stack.register_webhook("webhook", installed.webhook_url, installed.ca.read_bytes())
    assert of(examine(stack, *installed.urls), "webhook-called")[0][0] == "OK"


EXTENDER = yaml.safe_load((REPOSITORY / "scheduler-config" / "extender.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"weight": 1}, "weight is 1: its answer is worth 100 points, not 200"),
        ({"prioritizeVerb": "score"}, "prioritizeVerb is 'score': it is never asked"),
        ({"nodeCacheCapable": False}, "nodeCacheCapable is not true"),
        ({"ignorable": None}, "ignorable is not true: when it is down, no pod is scheduled"),
        ({"filterVerb": "filter"}, "filterVerb is set"),
    ],
)
def test_a_scheduler_configuration_that_does_not_fit_is_found(
    stack: Stack, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    extender = EXTENDER["extenders"][0] | wrong
    file = tmp_path / "scheduler.yaml"
    file.write_text(yaml.safe_dump(EXTENDER | {"extenders": [extender]}), encoding="utf-8")
    ((level, text),) = of(examine(stack, "--scheduler-config", str(file)), "scheduler")
    assert (level, said in text) == ("FAIL", True)


def test_the_second_scheduler_s_configuration_is_found_in_its_config_map(space: Space) -> None:
    text = (REPOSITORY / "scheduler-config" / "second-scheduler.yaml").read_text(encoding="utf-8")
    labels = {"app.kubernetes.io/part-of": "lastnode", "app.kubernetes.io/component": "scheduler"}
    maps = f"/api/v1/namespaces/{space.name}/configmaps"
    body = {
        "metadata": {"name": "scheduler", "labels": labels},
        "data": {"scheduler.yaml": text, "extender.yaml": "{}"},
    }
    space.api.post(maps, body)
    try:
        ((level, said),) = of(examine(space.stack, "--release-namespace", space.name), "scheduler")
        assert "ConfigMap" not in of(examine(space.stack), "scheduler")[0][1], "elsewhere nobody is believed"
    finally:
        space.api.delete(f"{maps}/scheduler")
    assert level == "OK"
    assert said.startswith(
        f"ConfigMap {space.name}/scheduler (scheduler.yaml): extender http://127.0.0.1:8888 is called"
    )


@pytest.fixture
def handing(space: Space) -> Iterator[tuple[str, ...]]:
    """A release in the space whose webhook hands sessions to sticky-scheduler; what names it."""
    maps = f"/api/v1/namespaces/{space.name}/configmaps"
    labels = {"app.kubernetes.io/part-of": "lastnode", "app.kubernetes.io/component": "extender"}
    settings = {"extender.yaml": "bind: '[::]:8888'\nsticky_scheduler: sticky-scheduler\n"}
    space.api.post(maps, {"metadata": {"name": "extender", "labels": labels}, "data": settings})
    yield "--release-namespace", space.name
    space.api.delete(f"{maps}/extender")


@pytest.mark.parametrize(
    ("file", "level", "said"),
    [
        ("", "WARN", "the webhook hands sessions to sticky-scheduler: it cannot be seen from here whether that runs"),
        ("second-scheduler.yaml", "WARN", "the webhook hands sessions to sticky-scheduler: it cannot be seen"),
        ("sticky.yaml", "OK", "names no extender of ours: the webhook puts the preference into the pods"),
    ],
)
def test_a_scheduler_that_the_webhook_hands_sessions_to_and_nobody_is_seen_to_run_is_found(
    installed: Installation, handing: tuple[str, ...], file: str, level: str, said: str
) -> None:
    words = ("--scheduler-config", str(REPOSITORY / "scheduler-config" / file)) if file else ()
    found = of(examine(installed.stack, *handing, *words), "scheduler")
    assert (found[0][0], said in found[0][1]) == (level, True), found
    assert not [text for _, text in found if "not needed" in text]


def test_something_else_than_a_scheduler_configuration_is_found(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text("kind: Pod", encoding="utf-8")
    ((level, text),) = of(examine(stack, "--scheduler-config", str(file)), "scheduler")
    assert (level, text) == ("FAIL", "the configuration cannot be used: its kind is not KubeSchedulerConfiguration")
    assert run(stack.cp.kubeconfig, "doctor", "--scheduler-config", str(tmp_path / "missing")).returncode == 2


def test_sampling_that_hides_the_preferred_node_is_found(space: Space, handing: tuple[str, ...]) -> None:
    nodes = [space.node(f"n{number}") for number in range(101)]
    space.pod("s", nodes[0])
    try:
        words = ("--scheduler-config", str(REPOSITORY / "scheduler-config" / "extender.yaml"))
        levels = {text.split()[2].rstrip(","): level for level, text in of(examine(space.stack, *words), "sampling")}
        assert levels["default-scheduler"] == "FAIL"
        ((level, text),) = of(examine(space.stack), "sampling")
        assert (level, text[:12]) == ("WARN", "cannot know ")
        # Whom the webhook leaves to the default one has no node to come back to.
        ((level, text),) = of(examine(space.stack, *words, *handing), "sampling")
        assert level == "OK"
        assert re.fullmatch(r"sticky-scheduler scores all of 10\d nodes", text)  # others' nodes go late
        ((level, text),) = of(examine(space.stack, *handing), "sampling")
        assert (level, "nodes sticky-scheduler scores" in text) == ("WARN", True)
    finally:
        for node in nodes:
            space.delete_node(node)


def test_a_placement_in_the_future_is_found(space: Space) -> None:
    for hours, says, remedy in (
        (-1, "that node's clock or this one is wrong", "Synchronize the clocks of nodes and control plane."),
        (-24 * 365, "its memory was probably written by hand",
         f"kubectl lastnode forget agentruntimes.{GROUP}/w -n {space.name}"),
    ):  # fmt: skip
        space.workload(annotations=memory([("n", hours)]))
        try:
            (found,) = (each for each in examine(space.stack) if each["check"] == "clocks")
            shown = run(space.stack.cp.kubeconfig, "show", "w", "-n", space.name).stdout
        finally:
            space.delete("w")
        assert (found["level"], found["remedy"]) == ("WARN", remedy)
        assert re.search(
            rf", of agentruntimes.{GROUP} {space.name}/w on n, lies \w+ in the future: {says}$", found["text"]
        )
        assert re.search(r" in (59m|364d) +- +0 +ahead$", shown)


def deployment(program: str) -> dict[str, Any]:
    """As the chart makes it, as far as doctor looks."""
    name = f"lastnode-{program}"
    labels = {"app.kubernetes.io/part-of": "lastnode", "app.kubernetes.io/component": program}
    spec = {"serviceAccountName": name, "containers": [{"name": program, "image": "none"}]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": rbac.NAMESPACE, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
