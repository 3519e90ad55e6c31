"""Sessions that prefer the nodes which lastnode-recorder has written onto their workload, an AgentRuntime.

What a workload manager does, in small: each session's pod carries the two labels by which the recorder knows it.

    python examples/recorded.py NAMESPACE AGENTRUNTIME
"""

import sys
import uuid
from typing import Any

from kubernetes import client, config
from own_memory import until_ready

from lastnode import prefer_last_node

AGENT_RUNTIMES = ("runtime.agentcube.volcano.sh", "v1alpha1", "agentruntimes")


def session_pod(runtime: dict[str, Any]) -> dict[str, Any]:
    """The pod of a new session: the workload's template, and a preference where there is something to come back to."""
    name, template = runtime["metadata"]["name"], runtime["spec"]["podTemplate"]
    labels = {
        **template.get("labels", {}),
        "runtime.agentcube.io/session-id": str(uuid.uuid4()),
        "runtime.agentcube.io/workload-name": name,
    }
    metadata = {"generateName": f"{name}-", "labels": labels}
    return {"metadata": metadata, "spec": prefer_last_node(template["spec"], runtime)}


def main(namespace: str, name: str) -> None:
    config.load_config()
    core = client.CoreV1Api()
    group, version, plural = AGENT_RUNTIMES
    # Read anew for each session: it carries the memory.
    runtime = client.CustomObjectsApi().get_namespaced_custom_object(group, version, namespace, plural, name)
    pod = core.create_namespaced_pod(namespace, session_pod(runtime))
    try:
        print(f"a session of {name} ran on {until_ready(core, pod)}")
    finally:
        core.delete_namespaced_pod(pod.metadata.name, namespace)


if __name__ == "__main__":
    main(*sys.argv[1:])
