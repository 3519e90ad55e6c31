"""Plain HTTP to the API server and to the components' health endpoints."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import urllib3

from lastnode.kube.transport import trust

from .errors import ApiError

_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
# What an API server says for a moment after a definition has changed; nothing has come of the request then.
_NOT_NOW = (429, 503)
_PATIENCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.2
_PROBE_TIMEOUT = urllib3.Timeout(connect=1.0, read=5.0)


class Api:
    """One user's view of one API server. Thread-safe; opens connections when used.

    ``patience``: for so many seconds it asks again where the answer is "not now".
    """

    def __init__(self, url: str, ca_file: Path, token: str, patience: float = _PATIENCE_SECONDS) -> None:
        self._url = url
        self._patience = patience
        self._pool = urllib3.PoolManager(maxsize=8, ssl_context=trust(str(ca_file)), timeout=_TIMEOUT, retries=False)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any, content_type: str = "application/merge-patch+json") -> Any:
        return self.request("PATCH", path, body, content_type)

    def delete(self, path: str) -> Any:
        return self.request("DELETE", path)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """The decoded answer (None when empty; the text where it is not JSON). Raises ApiError."""
        headers = self._headers | ({"Content-Type": content_type} if body is not None else {})
        data = None if body is None else json.dumps(body).encode()
        until = time.monotonic() + self._patience
        try:
            response = self._pool.request(method, self._url + path, body=data, headers=headers)
            while response.status in _NOT_NOW and time.monotonic() < until:
                time.sleep(_PAUSE_SECONDS)
                response = self._pool.request(method, self._url + path, body=data, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, f"{method} {path}: no answer from {self._url}: {error}") from error
        answer = _decode(response.data)
        if response.status >= 400:
            said = answer.get("message") if isinstance(answer, dict) else answer
            raise ApiError(response.status, f"{method} {path}: {response.status}: {said}")
        return answer

    def close(self) -> None:
        self._pool.clear()


def _decode(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")


def answers(url: str, ca_file: Path | None = None, token: str | None = None) -> bool:
    """Whether a GET of this health endpoint answers 200 now. `ca_file` for https; it may not exist yet."""
    if ca_file is not None and not ca_file.exists():
        return False
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        context = trust(str(ca_file)) if ca_file else None
        with urllib3.PoolManager(retries=False, timeout=_PROBE_TIMEOUT, ssl_context=context) as pool:
            return pool.request("GET", url, headers=headers).status == 200
    except (urllib3.exceptions.HTTPError, OSError):
        return False


def answers_as(url: str, member: str) -> bool:
    """Whether the etcd at `url` is healthy and the one whose only member has this name: another control plane's,
    on a port that ours could not get, would answer as well."""
    if not answers(f"{url}/health"):
        return False
    try:
        with urllib3.PoolManager(retries=False, timeout=_PROBE_TIMEOUT) as pool:
            answer = pool.request("POST", f"{url}/v3/cluster/member/list", json={}).json()
        return [one["name"] for one in answer["members"]] == [member]
    except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError, TypeError):
        return False
