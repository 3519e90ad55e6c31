"""Where an API server is and who we are to it: from a kubeconfig, read as kubectl reads it, or from a pod's files.

The official client reads kubeconfigs and runs credential plugins. What it leaves out of kubectl's rules (client-go's
tools/clientcmd) is added here: the first of several files that names a current context wins, paths are relative to the
file they stand in, ``as`` and its companions count, and a ``tokenFile`` may be replaced.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec
from kubernetes import client, config
from kubernetes.config.kube_config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    ConfigNode,
    KubeConfigLoader,
    KubeConfigMerger,
)

from lastnode.kube.errors import ConfigError, Unreachable, one_line

# The client's own refreshing looks a minute to five ahead, and costs as much as half of a request each time.
CREDENTIALS_SECONDS = 5.0
_FILES: Final = ("client-certificate", "client-key", "tokenFile")
# What may stand in a header's name as it is (RFC 7230).
_HEADER_NAME: Final = "!#$&'*+-.^_`|~"

Headers = tuple[tuple[str, str], ...]


class _User(msgspec.Struct, rename="kebab"):
    """What of a kubeconfig's user the official client does not look at, or only once."""

    user: str = msgspec.field(default="", name="as")
    as_uid: str = ""
    as_groups: list[str] | None = None
    as_user_extra: dict[str, list[str]] | None = None
    token_file: str = msgspec.field(default="", name="tokenFile")


class Access(NamedTuple):
    """``impersonation``: headers, which may repeat. ``token_file``: followed; it wins over any other token."""

    configuration: client.Configuration
    impersonation: Headers = ()
    token_file: Path | None = None


def load(kubeconfig: str | None, context: str | None = None) -> Access:
    """From a kubeconfig file (several are separated by a colon), else in-cluster, else from the usual kubeconfig.

    ``context``: which of the kubeconfig's, default its current one; in-cluster there are none, so it is not tried then.

    :raises ConfigError: no usable credentials, in one line.
    """
    # Without a proxy of the client's own choice: see transport.
    configuration = client.Configuration(proxy="", no_proxy="")
    configuration.keep_alive = True
    try:
        if not kubeconfig and not context:
            with contextlib.suppress(config.ConfigException):
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
                return Access(configuration)
        return _from_file(configuration, kubeconfig, context)
    except Exception as error:  # those of the client's own parser have no common base class
        where = kubeconfig or "in-cluster or the usual kubeconfig"
        raise ConfigError(f"no credentials for a cluster ({where}): {one_line(error)}") from error


def contexts(kubeconfig: str | None) -> tuple[dict[str, str], str]:
    """The namespace that each context of the kubeconfig names (empty where it names none), and which is current.

    Nothing where there is no kubeconfig that can be read: whoever connects hears why.
    """
    with contextlib.suppress(Exception):  # as in load()
        files = _read(kubeconfig)
        found = files.config["contexts"].value
        return {one["name"]: one["context"].value.get("namespace") or "" for one in found}, _current(files) or ""
    return {}, ""


def _read(kubeconfig: str | None) -> KubeConfigMerger:
    files = KubeConfigMerger(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION)  # type: ignore[no-untyped-call]
    if files.config is None:
        raise ConfigError("no such file")
    return files


def _current(files: KubeConfigMerger) -> str | None:
    named = (file.get("current-context") for file in files.config_files.values())
    return next(filter(None, named), None)


def _from_file(configuration: client.Configuration, kubeconfig: str | None, context: str | None) -> Access:
    files = _read(kubeconfig)
    loader = KubeConfigLoader(files.config, context or _current(files))  # type: ignore[no-untyped-call]
    name = loader.current_context["context"].get("user")
    user = files.config["users"].get_with_name(name)["user"] if name else None
    told = _User() if user is None else _read_user(user)
    loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    plugins = {"exec", "auth-provider"} & set(user.value if user else ())
    if plugins and not configuration.api_key and not configuration.cert_file:
        raise ConfigError(f"{' and '.join(sorted(plugins))} of user {name} gave no credentials")
    return Access(configuration, tuple(_impersonation(told)), Path(told.token_file) if told.token_file else None)


def _read_user(user: ConfigNode) -> _User:
    for name in _FILES:
        if user.value.get(name):
            user.value[name] = str(Path(user.path).absolute().parent / user.value[name])
    return msgspec.convert(user.value, _User)


def _impersonation(told: _User) -> Iterator[tuple[str, str]]:
    """As client-go's transport.NewImpersonatingRoundTripper writes it."""
    if not told.user:
        if told.as_uid or told.as_groups or told.as_user_extra:
            raise ConfigError("as-uid, as-groups and as-user-extra need as: whom to act as")
        return
    yield "Impersonate-User", told.user
    if told.as_uid:
        yield "Impersonate-Uid", told.as_uid
    for group in told.as_groups or ():
        yield "Impersonate-Group", group
    for key, values in (told.as_user_extra or {}).items():
        for value in values:
            yield f"Impersonate-Extra-{quote(key, _HEADER_NAME)}", value


class Credentials:
    """The headers that say who we are, asked for again every few seconds. ``token``: whether one may be sent."""

    def __init__(self, access: Access, *, token: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._clock = clock
        self._token = token
        self._from_file = ""
        self._known: tuple[float, Headers] | None = None  # until when, and what: replaced as one

    def headers(self) -> Headers:
        """:raises Unreachable: a credential plugin failed."""
        if self._known and self._clock() < self._known[0]:
            return self._known[1]
        token = self._authorization() if self._token else ""
        headers = (*((("Authorization", token),) if token else ()), *self._access.impersonation)
        self._known = self._clock() + CREDENTIALS_SECONDS, headers
        return headers

    def _authorization(self) -> str:
        if self._access.token_file:
            with contextlib.suppress(OSError, UnicodeDecodeError):  # being replaced: the last one counts
                text = self._access.token_file.read_text(encoding="ascii").strip()
                self._from_file = f"Bearer {text}" if text else self._from_file
            if self._from_file:
                return self._from_file
        try:
            # Asking is what refreshes a token that the kubelet or a credential plugin renews.
            token = self._access.configuration.auth_settings().get("BearerToken")
        except Exception as error:  # credential plugins may raise anything
            raise Unreachable(f"credentials: {one_line(error)}") from error
        return (token["value"] or "").strip() if token else ""
