"""Labels, annotations and condition types of the stand-in: what tests and benchmarks may set and read.

Annotations are the pod's (a Sandbox hands them down from its podTemplate); durations are seconds of the model, so
``--time-scale`` applies to them too.
"""

from typing import Final

PREFIX: Final = "local.lastnode.dev/"

# A node with this label is served: its pods are run, its images remembered.
KUBELET_LABEL: Final = PREFIX + "kubelet"
KUBELET_SIMULATED: Final = "simulated"

# Seconds from being bound to being Ready, instead of what follows from the images.
READY_AFTER: Final = PREFIX + "ready-after"
# "pull": the image cannot be pulled, the pod stays Pending. "start": the container dies before it is Ready.
FAIL: Final = PREFIX + "fail"
# Seconds after Ready: the container dies, the pod's phase becomes Failed.
CRASH_AFTER: Final = PREFIX + "crash-after"
# Seconds after Ready: the pod is not Ready any more, but goes on running.
UNREADY_AFTER: Final = PREFIX + "unready-after"
# Bytes of each image of this pod, instead of what follows from its name.
IMAGE_SIZE: Final = PREFIX + "image-size"

# A condition on every pod that became Ready; its message is JSON: {"pulledBytes", "downloadSeconds", "pullSeconds",
# "startSeconds"}, in seconds of the model since it was bound: until all was downloaded, unpacked too, Ready.
START_UP: Final = PREFIX + "StartUp"

# agent-sandbox's own: on a pod whose Sandbox a pool or a claim controls, and the template's name on the Sandbox.
TEMPLATE_HASH: Final = "agents.x-k8s.io/sandbox-template-ref-hash"
TEMPLATE: Final = "agents.x-k8s.io/sandbox-template-ref"
