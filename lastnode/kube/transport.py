"""How bytes get to a server: TLS as Go checks it, and proxies as Go takes them from the environment.

kubectl is the measure: what it connects to, we connect to. Nothing here knows Kubernetes.
"""

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3
from kubernetes import client
from kubernetes.client.rest import should_bypass_proxies
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from lastnode.kube.errors import ConfigError

# Of servers and of proxies. PySocks, which other proxies need, is no dependency.
_SCHEMES: Final = ("http", "https")


def trust(ca: str | None = None, pem: str | None = None) -> ssl.SSLContext:
    """A client's side of TLS that trusts a file of CAs, or their PEM text, or by default the system's.

    Not ``ssl.create_default_context``: with Python 3.13 that one refuses certificates without Authority Key Identifier,
    as older API servers and many private CAs have them (VERIFY_X509_STRICT). Here, as in Go, whatever is trusted needs
    no issuer that is trusted as well, and a certificate's common name is no host's name.

    :raises OSError: the CAs cannot be read; ssl.SSLError is one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.hostname_checks_common_name = False
    if ca is None and pem is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=ca, cadata=pem)
    return context


class _Connection(HTTPSConnection):
    """A context for each connection: files that were replaced count from the next one on. A request goes out in one
    piece: of two, the first would wake the server for nothing, and each is a system call and encrypted by itself."""

    _parts: list[bytes] | None = None

    def request(self, *args: Any, **more: Any) -> None:
        self._parts = []
        try:
            super().request(*args, **more)
            whole = b"".join(self._parts)
        finally:
            self._parts = None
        self.send(whole)

    def send(self, data: Any) -> None:
        if self._parts is None:
            super().send(data)
        else:
            self._parts.append(data)

    def connect(self) -> None:
        self.ssl_context = trust(self.ca_certs)
        self.ssl_context.check_hostname = self.cert_reqs != ssl.CERT_NONE
        super().connect()


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


def connect(configuration: client.Configuration, environ: Mapping[str, str]) -> urllib3.PoolManager:
    """The connections of a configuration. Its ``proxy``, if it names one, is used for every host.

    :raises ConfigError: a host or a proxy that cannot be used.
    """
    if urlsplit(configuration.host).scheme not in _SCHEMES:
        raise ConfigError(f"the server {configuration.host!r} is no http:// or https:// URL")
    configuration.proxy = _usable(configuration.proxy or proxy_for(configuration.host, environ))
    configuration.no_proxy = ""
    if configuration.proxy:
        configuration.proxy_headers = _authorization(configuration.proxy)
        configuration.proxy_ssl_context = trust()
    manager: urllib3.PoolManager = client.ApiClient(configuration).rest_client.pool_manager
    manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": _Pool}
    return manager


def in_the_open(configuration: client.Configuration) -> bool:
    """Whether others could read what is sent: no TLS, and a proxy or a network on the way."""
    parts = urlsplit(configuration.host)
    return parts.scheme != "https" and bool(configuration.proxy or not is_loopback(parts.hostname or ""))


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The proxy that the environment names for ``url``, empty without one; for this machine itself there is none.

    As golang.org/x/net/http/httpproxy has it: HTTPS_PROXY or HTTP_PROXY by the URL's scheme, NO_PROXY, all of them in
    lower case too; never for localhost and loopback addresses.
    """
    parts = urlsplit(url)
    name = f"{parts.scheme}_proxy"
    found = environ.get(name.upper()) or environ.get(name) or ""
    besides = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if is_loopback(parts.hostname or "") or should_bypass_proxies(url, besides.replace("*.", ".")):
        return ""
    return found


def is_loopback(host: str) -> bool:
    """``localhost``, 127.0.0.0/8 and ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _usable(proxy: str) -> str:
    whole = proxy if "://" in proxy or not proxy else f"http://{proxy}"
    scheme = whole.partition("://")[0]
    if whole and scheme not in _SCHEMES:
        raise ConfigError(f"a proxy by {scheme}:// cannot be used, only by http:// or https://")
    return whole


def _authorization(proxy: str) -> Mapping[str, Any]:
    who = urllib3.util.parse_url(proxy).auth
    return urllib3.make_headers(proxy_basic_auth=who) if who else {}
