"""Both programs beside a tenant who writes anything, on a real API server: they live, and serve the others.

``FUZZ_SEED=…`` plays the same steps again, ``FUZZ_SECONDS=600`` goes on for longer (``make fuzz``). What was found
belongs into a test of the module that it was found in.
"""

from __future__ import annotations

import copy
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
import yaml

from testbed import sandboxversions
from testbed.apply import apply
from testbed.paths import CRDS
from testbed.stack import Stack
from tests.extender.golden.edits import parent, places
from tests.fuzz.oracle import NAMESPACE, NODE, Asker, Looker, Program, Sentinel
from tests.fuzz.tenant import NODES, Object, Tenant
from tests.fuzz.wild import Wild

SECONDS = float(os.environ.get("FUZZ_SECONDS", "40"))
SEED = int(os.environ.get("FUZZ_SEED") or random.randrange(10**6))
WILD = "wild"
STEPS = 60  # between two looks at the programs
RESTARTS = 0.15  # of these looks: on what is there now
LOOKS = [
    ["list", "-A"], ["list", "-A", "-o", "json"], ["list", "-n", WILD, "-o", "wide"], ["show", "-n", WILD, "w1"],
    ["show", "-n", WILD, "w2", "-o", "yaml"], ["explain", "-n", WILD, "p1"], ["explain", "-n", WILD, "p2"],
    ["report"], ["report", "-o", "json"], ["doctor", "-n", WILD],
]  # fmt: skip
DEPTH = 20_000  # of calls: this process has to write and read what is too deep for the programs


def open_definitions() -> Iterator[dict]:
    """The published CRDs, but everything may stand in a spec or status."""
    anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    published = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in (CRDS / "without-stickiness").iterdir()]
    for definition in (*published, sandboxversions.definition(sandboxversions.VERSIONS)):
        for version in definition["spec"]["versions"]:
            version["schema"] = copy.deepcopy(anything)
        yield definition


@pytest.fixture
def deep() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(DEPTH)
    yield
    sys.setrecursionlimit(before)


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack.start(crds=(), sandbox=()) as stack:
        apply(stack.cp, open_definitions())
        for name in (NAMESPACE, WILD):
            stack.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
        yield stack


@pytest.mark.timeout(SECONDS + 400)
def test_whatever_a_tenant_writes_both_programs_live_and_serve_the_others(stack: Stack, deep: None) -> None:
    print(f"FUZZ_SEED={SEED} FUZZ_SECONDS={SECONDS:g}")
    dice = random.Random(SEED)
    extender = Program(stack, stack.start_webhook("--page-size", "7", only=[NAMESPACE, WILD]), stack.webhook_url)
    recorder = Program(stack, stack.start_recorder("--page-size", "7"), stack.recorder_url)
    asker = Asker(stack, stack.webhook_url)
    sentinel, looker = Sentinel(stack, asker), Looker(stack)
    tenant = Tenant(stack.api, WILD, Wild(dice, datetime.now(UTC)))
    # Dice of their own: how a pod looks depends on what came first, and the steps must not.
    asking = Wild(random.Random(SEED + 1), datetime.now(UTC))
    end = time.monotonic() + SECONDS
    steps = 0
    try:
        while time.monotonic() < end:
            for _ in range(STEPS):
                tenant.step()
                ask(asker, tenant.pods, asking)
            steps += STEPS
            if dice.random() < RESTARTS:
                dice.choice([recorder, extender]).restart()
                looker.holds(*dice.choice(LOOKS))
            for program in (recorder, extender):
                program.holds()
            sentinel.holds()
            json.loads(recorder.fetch("/sessions"))
    except BaseException:
        print(f"FUZZ_SEED={SEED}: after {steps} steps, of which the last were", *tenant.steps, sep="\n")
        raise
    print(f"{steps} steps; answers by status: {dict(tenant.statuses)}")
    print(*(recorder.metric(f"lastnode_{name}_total") for name in ("record_writes", "sessions", "objects_skipped")))
    print(*(extender.metric(f"lastnode_{name}_total") for name in ("prioritize", "injections", "objects_skipped")))


def ask(asker: Asker, pods: Mapping[str, Object], wild: Wild) -> None:
    """About one of the pods, as it is or as nobody would write it."""
    pod = copy.deepcopy(wild.dice.choice(list(pods.values()) or [{}]))
    for _ in range(wild.dice.choice([0, 0, 1, 3])):
        if at := wild.dice.choice(places(pod) or [()]):
            parent(pod, at)[at[-1]] = wild.any()
    if wild.often(0.5):
        offered = wild.dice.choice([{"NodeNames": [*NODES, NODE]}, {"nodenames": NODES}, {"NodeNames": None}])
        scores = asker.prioritize(json.dumps({wild.dice.choice(["Pod", "pod"]): pod, **offered}).encode())
        assert {score["Host"] for score in scores} <= {*NODES, NODE}
    else:
        if wild.often(0.7) and isinstance(pod.get("spec"), dict):
            pod["spec"].pop("nodeName", None)
        asker.mutate(pod, WILD)
