"""Tokens of service accounts: the way to become a new user while the API server runs, as programs in pods do."""

from __future__ import annotations

from typing import Any

from .api import Api
from .errors import ApiError

PREFIX = "system:serviceaccount:"
_TOKEN_SECONDS = 24 * 3600


def token(api: Api, user: str) -> str:
    """A day's token of `system:serviceaccount:NAMESPACE:NAME`; namespace and account are made when missing."""
    namespace, name = user.removeprefix(PREFIX).split(":")
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    _ensure(api, "/api/v1/namespaces", {"metadata": {"name": namespace}})
    _ensure(api, accounts, {"metadata": {"name": name}})
    request = {"spec": {"expirationSeconds": _TOKEN_SECONDS}}
    return str(api.post(f"{accounts}/{name}/token", request)["status"]["token"])


def _ensure(api: Api, collection: str, body: dict[str, Any]) -> None:
    try:
        api.post(collection, body)
    except ApiError as error:
        if error.status != 409:  # there already
            raise
