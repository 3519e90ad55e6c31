"""One row of the kinds' table each, as a cluster's user meets it: the workload, and what its controllers make of it.

No controller runs here but Sandbox's: a test makes a Job, say, and its pod, as kube-controller-manager would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from lastnode import contract
from lastnode.contract import AGENTCUBE_PREFIX, LASTNODE_PREFIX, SANDBOX_RESOURCE
from testbed.agent import names
from testbed.sandboxes import OPT_IN, from_template, sandbox, template
from testbed.workloads import Object, agent_runtime, code_interpreter, container_of, sandbox_for

# What a session is made of: from what came before (first the workload) and its name to what comes next.
Make = Callable[[Object, str], Object]


class Row(NamedTuple):
    """``config``: under ``kinds`` of the programs' settings, None for a built-in row. ``workload``: of a namespace, a
    name, and whether it has opted in. ``chain``: what is made for a session, each by the one before; the last is its
    pod, or a Sandbox that gets one. Nothing: the workload is the Sandbox."""

    kind: str
    resource: str
    workload: Callable[[str, str, bool], Object]
    chain: tuple[Make, ...]
    config: Object | None = None
    prefix: str = LASTNODE_PREFIX

    def __str__(self) -> str:
        return self.kind

    def changed(self, change: Callable[[Object], Object]) -> Row:
        """The same, but for the first Sandbox of each session, or the workload where that is one."""
        if self.chain:
            first, *others = self.chain
            return self._replace(chain=(lambda before, name: change(first(before, name)), *others))
        return self._replace(workload=lambda *asked: change(self.workload(*asked)))

    def with_pods(self, **spec: Any) -> Row:
        """The same, with this in the pods of its Sandboxes."""

        def change(made: Object) -> Object:
            template = made["spec"]["podTemplate"]
            return made | {"spec": made["spec"] | {"podTemplate": template | {"spec": template["spec"] | spec}}}

        return self.changed(change)


def opted_in(made: Object) -> Object:
    """A Sandbox that has opted in itself."""
    made["metadata"]["annotations"] = {OPT_IN: contract.STICKINESS_ENABLED} | made["metadata"].get("annotations", {})
    return made


def definition(resource: str, kind: str) -> Object:
    """A CustomResourceDefinition of v1, whose objects may have any fields."""
    plural, _, group = resource.partition(".")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def _any(version: str, kind: str, spec: Object) -> Callable[[str, str, bool], Object]:
    def workload(namespace: str, name: str, sticky: bool) -> Object:
        annotations = {OPT_IN: contract.STICKINESS_ENABLED} if sticky else {}
        metadata = {"name": name, "namespace": namespace, "annotations": annotations}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}

    return workload


def owned(made: Object, owner: Object) -> Object:
    """What is made, controlled by the owner and in its namespace."""
    reference = {key: owner[key] for key in ("apiVersion", "kind")} | {"controller": True}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    made["metadata"] |= {"namespace": owner["metadata"]["namespace"], "ownerReferences": [reference]}
    return made


def _pod(labels: Callable[[Object], dict[str, str]]) -> Make:
    def pod(owner: Object, name: str) -> Object:
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels(owner)}, "spec": _SPEC}
        return owned(made, owner)

    return pod


def _of_the_notebook(owner: Object) -> dict[str, str]:
    return {"notebook-name": owner["metadata"]["name"]}


def _session_of_agentcube(workload: Object, name: str) -> Object:
    return sandbox_for(workload, name.removeprefix(f"{workload['metadata']['name']}-"))


def _stateful_set(notebook: Object, _: str) -> Object:
    """As Kubeflow's controller makes one, of the notebook's name."""
    return owned(_any("apps/v1", "StatefulSet", _SET)("", notebook["metadata"]["name"], False), notebook)


_SPEC: Final[Object] = {"containers": [container_of("c", "registry.local/c:1", "400m", "512Mi")]}
_SET: Final[Object] = {
    "serviceName": "s",
    "selector": {"matchLabels": {"app": "trainer"}},
    "template": {"metadata": {"labels": {"app": "trainer"}}, "spec": _SPEC},
}
_JOB: Final[Object] = {"template": {"spec": _SPEC | {"restartPolicy": "Never"}}}
_CRON: Final[Object] = {"schedule": "@daily", "jobTemplate": {"spec": _JOB}}
JOB_NAME: Final = "batch.kubernetes.io/job-name"

SANDBOX: Final = Row(
    "Sandbox", SANDBOX_RESOURCE, lambda ns, name, sticky: sandbox(name, namespace=ns, sticky=sticky), ()
)
AGENT_RUNTIME: Final = Row(
    "AgentRuntime", "agentruntimes.runtime.agentcube.volcano.sh",
    lambda ns, name, sticky: agent_runtime(name, namespace=ns, sticky=sticky or None, via="annotation"),
    (_session_of_agentcube,), prefix=AGENTCUBE_PREFIX,
)  # fmt: skip
CODE_INTERPRETER: Final = Row(
    "CodeInterpreter", "codeinterpreters.runtime.agentcube.volcano.sh",
    lambda ns, name, sticky: code_interpreter(name, namespace=ns, sticky=sticky or None, via="annotation"),
    (_session_of_agentcube,), prefix=AGENTCUBE_PREFIX,
)  # fmt: skip
TEMPLATE: Final = Row(
    "SandboxTemplate", "sandboxtemplates.extensions.agents.x-k8s.io",
    lambda ns, name, sticky: template(name, namespace=ns, sticky=sticky), (from_template,),
    {"pods": names.TEMPLATE_HASH, "through": SANDBOX_RESOURCE, "named-by": names.TEMPLATE},
)  # fmt: skip
NOTEBOOK: Final = Row(
    "Notebook", "notebooks.kubeflow.org", _any("kubeflow.org/v1", "Notebook", {}),
    (_stateful_set, _pod(_of_the_notebook)), {"pods": "notebook-name", "named-by": "notebook-name"},
)  # fmt: skip
# The same by a pool that keeps Sandboxes of the template ready.
POOL: Final = TEMPLATE._replace(chain=(lambda origin, name: from_template(origin, name, pool="p"),))
ROWS: Final = (
    AGENT_RUNTIME,
    CODE_INTERPRETER,
    SANDBOX,
    Row(
        "StatefulSet", "statefulsets.apps", _any("apps/v1", "StatefulSet", _SET),
        (_pod(lambda _: {"app": "trainer"}),), {"pods": "app=trainer"},
    ),
    Row(
        "CronJob", "cronjobs.batch", _any("batch/v1", "CronJob", _CRON),
        (lambda cron, name: owned(_any("batch/v1", "Job", _JOB)("", name, False), cron),
         _pod(lambda job: {JOB_NAME: job["metadata"]["name"]})),
        {"pods": JOB_NAME, "through": "jobs.batch"},
    ),
    NOTEBOOK,
    TEMPLATE,
)  # fmt: skip
# Of no definition when the programs start.
LATE: Final = Row(
    "Robot", "robots.example.com", _any("example.com/v1", "Robot", {}), (_pod(lambda _: {"robot": "yes"}),),
    {"pods": "robot"},
)  # fmt: skip


def config(rows: tuple[Row, ...]) -> Any:
    """The programs' settings."""
    return {"kinds": [{"resource": row.resource} | row.config for row in rows if row.config]}
