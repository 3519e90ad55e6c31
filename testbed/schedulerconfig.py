"""What a KubeSchedulerConfiguration needs to run here, filled into a copy of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import LocalError

SchedulerConfig = Mapping[str, Any] | Path | str
_BARE = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


def for_this_server(config: SchedulerConfig | None, kubeconfig: Path, elect: bool = False) -> dict[str, Any]:
    """A copy of `config` (a document or the path of one; None: the scheduler's defaults) that connects with
    `kubeconfig`, without the client's rate limit in the way and, unless `elect`, without leader election."""
    filled = copy.deepcopy(_read(config))
    # So that the scheduler, not the rate limit of its client (50/100 by default), is what a benchmark sees.
    connection = {"kubeconfig": str(kubeconfig), "qps": 1000, "burst": 2000}
    filled["clientConnection"] = {**(filled.get("clientConnection") or {}), **connection}
    if not elect:
        filled["leaderElection"] = {**(filled.get("leaderElection") or {}), "leaderElect": False}
    return filled


def _read(config: SchedulerConfig | None) -> dict[str, Any]:
    if config is None:
        return dict(_BARE)
    if isinstance(config, Mapping):
        return {**_BARE, **config}
    try:
        document = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise LocalError(f"cannot read the scheduler configuration {config}: {error}") from error
    if not isinstance(document, dict):
        raise LocalError(f"the scheduler configuration {config} is not a YAML mapping")
    return {**_BARE, **document}
