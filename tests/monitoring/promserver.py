"""A real Prometheus beside a control plane: it scrapes the targets it is given, and is asked over its HTTP API."""

from __future__ import annotations

import json
import math
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from testbed.stack import Stack

# Prometheus looks for a changed list of targets this often, if the file system does not tell it.
_LOOK_SECONDS = 1


class Series(NamedTuple):
    """One series of an answer and its newest value."""

    labels: dict[str, str]
    value: float


class PromServer:
    """``directory``: for its configuration and data. ``rules``: a rule file. ``every``: seconds between two scrapes."""

    def __init__(self, stack: Stack, program: Path, directory: Path, rules: Path, every: float) -> None:
        self._stack = stack
        self._sd = directory / "targets.json"
        self._targets: dict[str, tuple[str, str]] = {}
        self._write_targets()
        interval = f"{every * 1000:.0f}ms"
        timing = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
        job = {
            "job_name": "lastnode",
            "tls_config": {"insecure_skip_verify": True},  # the programs' certificates are made for each run
            "file_sd_configs": [{"files": [str(self._sd)], "refresh_interval": f"{_LOOK_SECONDS}s"}],
        }
        config = directory / "prometheus.yaml"
        config.write_text(yaml.safe_dump({"global": timing, "rule_files": [str(rules)], "scrape_configs": [job]}))
        address = f"127.0.0.1:{stack.cp.free_port()}"
        self.url = f"http://{address}"
        argv = [program, f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={address}", "--log.level=warn"]  # fmt: skip
        stack.cp.spawn(f"prometheus-{directory.name}", argv, ready_url=f"{self.url}/-/ready")

    def scrape(self, **targets: str) -> None:
        """Add targets, job=url, and wait until each has answered; ``_`` of a name stands for ``-``."""
        named = {job.replace("_", "-"): url for job, url in targets.items()}
        self._targets |= {job: (url.partition("://")[0], url.partition("://")[2]) for job, url in named.items()}
        self._write_targets()
        self._stack.wait(lambda: named.keys() <= self.jobs_up(), f"scrapes of {', '.join(named)}")

    def forget(self, job: str) -> None:
        """Scrape it no more."""
        del self._targets[job]
        self._write_targets()

    def jobs_up(self) -> set[str]:
        return {series.labels["job"] for series in self.ask("up == 1")}

    def ask(self, expr: str) -> list[Series]:
        """The answer to an instant query, now; series whose value is NaN are left out, as graphs leave them out."""
        answer = self._get("query", query=expr)
        found = [Series(one["metric"], float(one["value"][1])) for one in answer["result"]]
        return [series for series in found if not math.isnan(series.value)]

    def values(self, label: str) -> set[str]:
        """Every value of a label, as a dashboard's choices are filled."""
        return set(self._get(f"label/{label}/values"))

    def alerts(self, *states: str) -> set[str]:
        """Names of the alerts that are in one of these states now: pending, firing."""
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"] if alert["state"] in states}

    def evaluated_at(self) -> float:
        """When the group of rules that is longest ago was evaluated, Unix seconds; 0 before each was once."""
        moments = [datetime.fromisoformat(group["lastEvaluation"]) for group in self._get("rules")["groups"]]
        return min((max(0.0, moment.timestamp()) for moment in moments), default=0.0)

    def _get(self, path: str, **query: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def _write_targets(self) -> None:
        groups = [_group(job, scheme, address) for job, (scheme, address) in self._targets.items()]
        # Renamed into place: a half-written file would be read as well.
        fresh = self._sd.with_suffix(".new")
        fresh.write_text(json.dumps(groups))
        fresh.rename(self._sd)


def _group(job: str, scheme: str, address: str) -> Mapping[str, Any]:
    return {"targets": [address], "labels": {"job": job, "__scheme__": scheme}}
