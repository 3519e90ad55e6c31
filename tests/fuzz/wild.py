"""Wild values: what a JSON document about a cluster may hold, and some that it may not. Pure: all from one dice."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

from lastnode.contract import HOSTNAME_LABEL
from lastnode.preference import PREFERRED

# What breaks arithmetic, calendars or parsers. kube-apiserver accepts all of them but those with a leap second.
DATES = [
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:01Z", "0001-01-01T00:00:29Z",
    "0001-01-01T00:00:00+23:59", "0001-01-02T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z",
    "2000-02-29T12:00:00.123456789-12:00", "2038-01-19T03:14:08Z", "2262-04-11T23:47:17Z", "9998-12-31T23:59:59Z",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-23:59", "2016-12-31T23:59:60Z",
]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 100, 255, 2**31 - 1, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), 2**64, 0.5, -0.0, 1e300]
TEXTS = ["", " ", "enabled", "null", "ü", "\u2028", "\x00", "\x1b[2J", "\ud800", "a" * 64, "A.b_c-9", "..", "[", "{}"]
DEEP = [1, 2, 30, 200]
TOO_DEEP = 1500  # deeper than Python's decoders go
LARGE = 1_450_000  # with a little more, etcd would not take it


class Wild:
    """``now``: what the dates near the present are near to."""

    def __init__(self, dice: random.Random, now: datetime) -> None:
        self.dice = dice
        self._now = now

    def often(self, share: float) -> bool:
        return self.dice.random() < share

    def date(self) -> str:
        """An extreme one, or one of about now, or one some time away, in any zone."""
        if self.often(0.7):
            return self.dice.choice(DATES) if self.often(0.6) else self.lately()
        return self._near(3600, -86400, 86400 * 400, -86400 * 400) + self.dice.choice(["Z", ".5Z", "+14:00", "-23:59"])

    def lately(self) -> str:
        return self._near(0, 1, -1, 29, -31, -3600) + "Z"

    def _near(self, *seconds: int) -> str:
        return (self._now + timedelta(seconds=self.dice.choice(seconds))).strftime("%Y-%m-%dT%H:%M:%S")

    def text(self) -> str:
        return self.dice.choice([*TEXTS, self.date(), "x" * self.dice.randrange(300)])

    def any(self, depth: int = 3) -> Any:
        """A JSON value."""
        kind = self.dice.randrange(10 if depth else 6)
        if kind < 2:
            return self.dice.choice(NUMBERS)
        if kind < 4:
            return self.text()
        if kind < 6:
            return self.dice.choice([None, True, False])
        if kind < 8:
            return [self.any(depth - 1) for _ in range(self.dice.randrange(4))]
        if kind == 8:
            return self.nested(self.dice.choice(DEEP))
        return {self.text(): self.any(depth - 1) for _ in range(self.dice.randrange(4))}

    def nested(self, depth: int) -> Any:
        """That many lists or objects in each other."""
        value: Any = None
        for _ in range(depth):
            value = {"a": value} if depth % 2 else [value]
        return value

    def maybe(self, **fields: Any) -> dict[str, Any]:
        """Some of these fields; now and then one is null."""
        given = {name: value for name, value in fields.items() if self.often(0.8)}
        return {name: None if self.often(0.05) else value for name, value in given.items()}

    # What the fields of a status and an annotation look like, with anything in the places that are read.

    def conditions(self, *types: str) -> list[dict[str, Any]]:
        kinds = self.dice.sample([*types, *types, "Initialized"], self.dice.randrange(len(types) + 2))
        return [
            {"type": kind, "status": self.dice.choice(["True", "True", "False", "Unknown"]),
             **self.maybe(lastTransitionTime=self.date(), reason=self.dice.choice(["", "A"]))}
            for kind in kinds
        ]  # fmt: skip

    def state(self) -> dict[str, Any] | None:
        code = self.dice.choice([0, 1, 1, 137, 255, -1, 2**31 - 1])
        reason = self.dice.choice(["Error", "Unknown", "ContainerStatusUnknown", "OOMKilled", "Completed", ""])
        ended = self.maybe(startedAt=self.date(), finishedAt=self.date(), reason=reason)
        return self.dice.choice([None, {}, {"running": self.maybe(startedAt=self.date())},
                                 {"terminated": {"exitCode": code, **ended}},
                                 {"terminated": {"exitCode": code, **ended}}])  # fmt: skip

    def ready(self) -> dict[str, Any]:
        """Of a pod or a node with which nothing is wrong."""
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": self.lately()}
        return {"phase": "Running", "conditions": [ready]}

    def node_status(self) -> dict[str, Any]:
        if self.often(0.6):
            return self.ready()
        return self.maybe(conditions=self.conditions("Ready", "MemoryPressure"), phase=self.text())

    def pod_status(self) -> dict[str, Any]:
        if self.often(0.4):
            return self.ready()
        phase = self.dice.choice(["Running", "Running", "Running", "Pending", "Failed", "Succeeded", "Unknown"])
        containers = [
            {"name": f"c{number}", "image": "", "imageID": "", "ready": self.often(0.5), "restartCount": number,
             **self.maybe(state=self.state(), lastState=self.state())}
            for number in range(self.dice.randrange(3))
        ]  # fmt: skip
        return {"phase": phase, **self.maybe(conditions=self.conditions("Ready", "PodScheduled", "DisruptionTarget"),
                                             containerStatuses=containers, startTime=self.date())}  # fmt: skip

    def entry(self, nodes: list[str]) -> Any:
        """One of recent-nodes, often as it should be."""
        node = self.dice.choice(nodes)
        known: dict[str, Any] = {"node": node, "hostname": node[:63], "readyAt": self.lately(), "podUID": "p"}
        if self.often(0.5):
            field = self.dice.choice([*known, "nodeUID", "more"])
            known[field] = self.dice.choice([self.date(), self.text(), self.any()])
        return self.any() if self.often(0.05) else known

    def memory(self, nodes: list[str]) -> str:
        """Text of recent-nodes: a list of entries, cut, changed, huge or something else."""
        if self.often(0.1):
            size = self.dice.choice([5000, 40_000])
            return self.dice.choice(["[" * size, "[" + "1," * size + "1]", "[" + "{}," * size + "{}]", "x" * size])
        text = json.dumps([self.entry(nodes) for _ in range(self.dice.choice([0, 1, 3, 9, 60]))])
        if self.often(0.2):
            at = self.dice.randrange(len(text))
            text = text[:at] + self.dice.choice(["", "\x00", '"', "]", "\\ud800"]) + text[at + self.dice.randrange(3) :]
        return text

    def affinity(self, nodes: list[str]) -> Any:
        """A pod's affinity that may have our terms already, others like them, or none."""
        key = self.dice.choice([HOSTNAME_LABEL, "zone"])
        values = self.dice.sample([*nodes, "gone"], self.dice.randrange(1, 3))
        by_label = {"matchExpressions": [{"key": key, "operator": self.dice.choice(["In", "NotIn"]), "values": values}]}
        by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": values[:1]}]}
        terms = [
            {"weight": self.dice.choice([1, 10, 99, 100]), "preference": self.dice.choice([by_label, by_name, {}])}
            for _ in range(self.dice.randrange(4))
        ]
        return self.dice.choice([None, {}, {"nodeAffinity": None}, {"nodeAffinity": {PREFERRED: None}},
                                 {"nodeAffinity": {PREFERRED: terms}}])  # fmt: skip
