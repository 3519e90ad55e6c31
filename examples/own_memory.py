"""Tasks that run again and again, each time in a new pod, and prefer the node where they ran last.

Needs the packages lastnode and kubernetes, a kubeconfig, and the rights to create, list, watch and delete pods. Nothing
of lastnode's runs in the cluster.

    python examples/own_memory.py NAMESPACE
"""

import json
import sys
from pathlib import Path

from kubernetes import client, config, watch

from lastnode import prefer_node

IMAGES = {"train": "registry.example/train:1", "judge": "registry.example/judge:1"}  # put yours here
MEMORY = Path("last-nodes.json")
READY_SECONDS = 300


def run(core: client.CoreV1Api, namespace: str, task: str, last_node: str | None) -> str:
    """Run a task once, in a pod that is gone afterwards; returns its node."""
    container = client.V1Container(
        name="task", image=IMAGES[task], resources=client.V1ResourceRequirements(requests={"cpu": "500m"})
    )
    spec = client.V1PodSpec(containers=[container], restart_policy="Never")
    if last_node:
        spec = prefer_node(spec, last_node)
    pod = core.create_namespaced_pod(namespace, {"metadata": {"generateName": f"{task}-"}, "spec": spec})
    try:
        return until_ready(core, pod)  # and here the task does its work
    finally:
        core.delete_namespaced_pod(pod.metadata.name, namespace)


def until_ready(core: client.CoreV1Api, pod: client.V1Pod) -> str:
    """Wait until a pod is Ready; returns its node."""
    this = {"namespace": pod.metadata.namespace, "field_selector": f"metadata.name={pod.metadata.name}"}
    for event in watch.Watch().stream(core.list_namespaced_pod, **this, timeout_seconds=READY_SECONDS):
        seen = event["object"]
        if any(condition.type == "Ready" and condition.status == "True" for condition in seen.status.conditions or ()):
            return str(seen.spec.node_name)
    raise TimeoutError(f"pod {pod.metadata.name} was not Ready within {READY_SECONDS} s")


def main(namespace: str) -> None:
    config.load_config()
    core = client.CoreV1Api()
    last_nodes = json.loads(MEMORY.read_text()) if MEMORY.exists() else {}
    for turn in range(1, 4):
        for task in IMAGES:
            last_nodes[task] = run(core, namespace, task, last_nodes.get(task))
            MEMORY.write_text(json.dumps(last_nodes))
            print(f"turn {turn}: {task} ran on {last_nodes[task]}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
