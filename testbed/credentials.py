"""Who may talk to the API server: a token file written before it starts, and kubeconfigs made from it."""

from __future__ import annotations

import base64
import csv
import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ADMIN = "admin"
NOBODY = "nobody"  # known, and allowed nothing: for tests of RBAC
# The API server's own component identity: RBAC grants it what a scheduler needs (system:kube-scheduler).
SCHEDULER = "system:kube-scheduler"


@dataclass(frozen=True)
class User:
    name: str
    token: str
    groups: tuple[str, ...] = ()


def new_user(name: str, groups: Sequence[str] = ()) -> User:
    return User(name, secrets.token_hex(16), tuple(groups))


def write_token_file(path: Path, users: Iterable[User]) -> None:
    """kube-apiserver's --token-auth-file: token, user, uid, "group,group"."""
    with open(path, "w", newline="", encoding="utf-8", opener=_private) as file:
        csv.writer(file).writerows((u.token, u.name, u.name, ",".join(u.groups)) for u in users)


def kubeconfig(url: str, ca_file: Path, token: str) -> dict[str, Any]:
    """Self-contained: the certificate is copied in."""
    authority = base64.b64encode(ca_file.read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
        "current-context": "local",
    }


def write_yaml(path: Path, document: Any) -> Path:
    """Readable by its owner only: kubeconfigs hold tokens. Never half written for whoever reads it meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with open(part, "w", encoding="utf-8", opener=_private) as file:
        yaml.safe_dump(document, file, sort_keys=False)
    return part.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
