"""What a release consists of, as CycloneDX 1.6 says it: a lock file's packages with the hashes they are held to."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

_PACKAGE = re.compile(r"^([\w.-]+)==(\S+)((?:.*\\\n)+.*)?", re.MULTILINE)


def bom(lock: str, version: str, when: int) -> dict[str, Any]:
    """``lock``: text of requirements/run.txt; ``version``: of lastnode; ``when``: Unix time of the commit."""
    components = [_component(name, its, held or "") for name, its, held in _PACKAGE.findall(lock)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'lastnode {version} {lock}')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z"),
            "component": _named("application", "lastnode", version),
        },
        "components": components,
        "dependencies": [{"ref": _purl("lastnode", version), "dependsOn": [one["bom-ref"] for one in components]}],
    }


def _component(name: str, version: str, held: str) -> dict[str, Any]:
    """A package may be any of the files that the lock allows: one for each platform."""
    hashes = [{"alg": "SHA-256", "content": found} for found in re.findall(r"--hash=sha256:([0-9a-f]{64})", held)]
    where = {"type": "distribution", "url": _purl(name, version), "hashes": hashes}
    return _named("library", name, version) | {"externalReferences": [where]}


def _named(kind: str, name: str, version: str) -> dict[str, Any]:
    purl = _purl(name, version)
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"
