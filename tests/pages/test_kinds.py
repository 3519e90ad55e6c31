"""The commands of docs/kinds.md, as they are printed, on the kinds that it names."""

from __future__ import annotations

import pytest
import yaml

from lastnode.contract import LAST_NODE, LASTNODE_PREFIX
from testbed.binaries import find_tools
from testbed.sandboxes import sandbox
from testbed.stack import Stack, is_ready
from testbed.workloads import SANDBOX_VERSION, WORKLOAD_VERSION, agent_runtime, sandbox_for
from tests.pages.loaded import make_least_liked
from tests.pages.printed import ROWS, Shell, section
from tests.subjects import CRON_JOBS, Subject
from tests.waiting import eventually
from tools.render import template


@pytest.fixture
def shell(stack: Stack, namespace: str) -> Shell:
    return Shell(stack, namespace)


def node_of(stack: Stack, namespace: str, name: str) -> str:
    """The node of a pod, once it is Ready."""

    def node() -> str | None:
        pods = stack.api.get(f"/api/v1/namespaces/{namespace}/pods?fieldSelector=metadata.name={name}")["items"]
        return next((pod["spec"]["nodeName"] for pod in pods if is_ready(pod)), None)

    return eventually(node, f"the pod {name} to be Ready")


def test_a_sandbox_is_suspended_and_comes_back_as_the_page_says(stack: Stack, shell: Shell, namespace: str) -> None:
    sandboxes = f"/apis/{SANDBOX_VERSION}/namespaces/{namespace}/sandboxes"
    stack.api.post(sandboxes, sandbox("box", namespace=namespace))
    node = node_of(stack, namespace, "box")
    opt_in, suspend, gone, resume, *waits, explain = section("Sandbox")
    shell.run(opt_in, "box")

    def written() -> bool:
        annotations: dict[str, str] = stack.api.get(f"{sandboxes}/box")["metadata"]["annotations"]
        return annotations.get(f"{LASTNODE_PREFIX}/{LAST_NODE}") == node

    eventually(written, "the running session to be written down")
    shell.run(suspend, "box")
    shell.run(gone, "box")
    make_least_liked(stack, namespace, node)
    for line in (resume, *waits):
        shell.run(line, "box")
    assert node_of(stack, namespace, "box") == node
    said = f"{node}: reused"
    eventually(lambda: said in shell.run(explain, "box"), f"the page's command to say {said!r}")


def test_an_agent_runtime_shows_its_node_as_the_page_says(stack: Stack, shell: Shell, namespace: str) -> None:
    runtime = agent_runtime("a", namespace=namespace)
    stack.api.post(f"/apis/{WORKLOAD_VERSION}/namespaces/{namespace}/agentruntimes", runtime)
    opt_in, last_node, show = section("AgentRuntime")
    shell.run(opt_in, "a")
    stack.api.post(f"/apis/{SANDBOX_VERSION}/namespaces/{namespace}/sandboxes", sandbox_for(runtime, "1"))
    node = node_of(stack, namespace, "a-1")
    eventually(lambda: shell.run(last_node, "a") == node, "the page's command to print the node")
    assert node in shell.run(show, "a")


def test_a_cron_job_shows_its_node_as_the_page_says(stack: Stack, shell: Shell, namespace: str) -> None:
    subject = Subject(stack, CRON_JOBS, namespace, "nightly", opted_in=False)
    _upgrade, opt_in, show = section("other")
    shell.run(opt_in, "nightly")
    stack.api.post(f"/api/v1/namespaces/{namespace}/pods", subject.pod("nightly-1"))
    node = node_of(stack, namespace, "nightly-1")
    eventually(lambda: node in shell.run(show, "nightly"), "the page's command to show the node")


def test_the_chart_takes_the_pages_rows(stack: Stack) -> None:
    rows = stack.cp.dir / "kinds.yaml"
    objects = template(find_tools().helm.path, "--values", str(rows))
    (webhook,) = (each for each in objects if each["kind"] == "MutatingWebhookConfiguration")
    asked = {entry["name"].removesuffix(".lastnode.dev") for entry in webhook["webhooks"]}
    assert {row["resource"] for row in yaml.safe_load(ROWS)["kinds"]} <= asked
