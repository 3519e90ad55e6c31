"""The images of the experiment and what a machine takes for them: a written model with its sources. Pure and seeded.

Every number below is stated in docs/measured.md with where it comes from; start-up times are this model's, not a
cluster's. All sizes are of compressed layers, in bytes, since that is what is pulled.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from testbed.agent.images import Layer, Layers, layer
from testbed.agent.pulls import Speed

T = TypeVar("T")

# Three tiers, as SWE-bench builds its images: a base of a language, an environment of a repository's version, and an
# instance of one task. Of SWE-bench Verified's 500 images more than 100 GiB of distinct compressed layers are pulled:
# 0.2 GiB an image, most of it in the upper two tiers.
BASES: Final = 5
BASE_BYTES: Final = 300_000_000
WORKLOADS_PER_ENVIRONMENT: Final = 33  # 2,294 instances on about 60 to 70 environments
ENVIRONMENT_BYTES: Final = 700_000_000
INSTANCE_BYTES: Final = 180_000_000
SPREAD: Final = 0.6  # standard deviation of the sizes' logarithm: p95 is 2.7 times the median

# Downloads: 1 Gbit/s, chosen. Unpacking: as measured on real kubelets, and by far the longer part.
SPEED: Final = Speed(bandwidth=125e6)
# From the last layer being there to Ready, of a session's container.
CONTAINER_START: Final = 1.0
# A 200 GB disk for images of which the kubelet uses 85 % (imageGCHighThresholdPercent), at 2.4 bytes on disk for one
# that was pulled (SWE-bench Verified: 240 GiB of 100). With half of that the oracle's start-up times are the same.
IMAGE_CACHE: Final = 70_000_000_000

# What start-up times follow from, beside the seed: runs that differ in it cannot stand side by side.
PARAMETERS: Final = {
    **SPEED._asdict(),
    "container_start": CONTAINER_START,
    "image_cache": IMAGE_CACHE,
    "base_bytes": BASE_BYTES,
    "environment_bytes": ENVIRONMENT_BYTES,
    "instance_bytes": INSTANCE_BYTES,
}


def image_of(workload: int) -> str:
    """One image a workload."""
    return f"registry.example/task-{workload:05d}:1"


def catalogue(workloads: int, seed: int) -> dict[str, Layers]:
    """Image -> its layers, the most shared first: base, environment, instance.

    Environments are taken with Zipf's frequencies (the n-th most popular 1/n as often as the first), bases likewise.
    """
    rng = random.Random(f"images/{seed}")
    bases = [_layer(rng, f"base-{number}", BASE_BYTES) for number in range(BASES)]
    count = max(1, workloads // WORKLOADS_PER_ENVIRONMENT)
    picked = _zipf(rng, bases, count)
    environments = [
        (base, _layer(rng, f"environment-{number}", ENVIRONMENT_BYTES)) for number, base in enumerate(picked)
    ]
    return {
        image_of(number): (*lower, _layer(rng, f"instance-{number}", INSTANCE_BYTES))
        for number, lower in enumerate(_zipf(rng, environments, workloads))
    }


def environments(images: Mapping[str, Layers]) -> dict[int, str]:
    """Workload -> the environment that its image stands on."""
    return {number: images[image_of(number)][1][0] for number in range(len(images))}


def _layer(rng: random.Random, name: str, median: int) -> Layer:
    return layer(name, round(median * math.exp(rng.gauss(0.0, SPREAD))))


def _zipf(rng: random.Random, things: Sequence[T], count: int) -> Iterable[T]:
    edges = list(itertools.accumulate(1 / rank for rank in range(1, len(things) + 1)))
    return [things[bisect.bisect(edges, rng.uniform(0.0, edges[-1]))] for _ in range(count)]
