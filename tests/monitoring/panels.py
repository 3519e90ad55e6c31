"""The dashboards that are checked in, read as Grafana reads them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from testbed.paths import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "chart" / "files" / "dashboards"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
# What Grafana makes of it at a scrape interval of 15 s is 1m; the tests' own may not have run that long.
_RATE_INTERVAL = "5m"
_NAME = re.compile(r"\b(?:[a-z_]+:)?(?:lastnode|scheduler|process)_[a-z_]+(?::\w+)?|\bup\b|\bALERTS\b")


@dataclass(frozen=True)
class Panel:
    """``queries``: (expr, legend)."""

    dashboard: str
    spec: dict[str, Any]

    @property
    def title(self) -> str:
        return str(self.spec["title"])

    @property
    def queries(self) -> list[tuple[str, str]]:
        return [(target["expr"], target.get("legendFormat", "")) for target in self.spec["targets"]]

    @property
    def exprs(self) -> list[str]:
        return [expr for expr, _ in self.queries]

    def __str__(self) -> str:
        return self.title


PANELS = [
    Panel(name, spec) for name, dashboard in DASHBOARDS.items() for spec in dashboard["panels"] if spec["type"] != "row"
]


def substituted(expr: str, *, cluster: str = ".*", kind: str = ".*") -> str:
    """With its variables replaced, as by the choices above the dashboard; `.*` is All."""
    values = {"$cluster": cluster, "$kind": kind, "$__rate_interval": _RATE_INTERVAL}
    for variable, value in values.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, expr
    return expr


def names_in(text: str) -> set[str]:
    """Names of metrics and of recording rules in PromQL."""
    return set(_NAME.findall(re.sub(r'"[^"]*"', "", text)))
