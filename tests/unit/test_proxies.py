"""Which proxy is taken from the environment: as Go's programs take it (golang.org/x/net/http/httpproxy)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kube.transport import is_loopback, proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://api.example:6443", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://api.example:6443", {"https_proxy": PROXY}, PROXY),
        ("https://api.example:6443", {"HTTPS_PROXY": PROXY, "https_proxy": "http://other"}, PROXY),
        ("https://api.example:6443", {"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}, ""),
        ("http://api.example", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://api.example:6443", {"HTTPS_PROXY": ""}, ""),
        ("https://10.96.0.1", {"HTTPS_PROXY": PROXY}, PROXY),
    ],
)
def test_the_scheme_says_which_variable_counts(url: str, environ: dict[str, str], proxy: str) -> None:
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize(
    ("exempt", "through"),
    [
        ("", True),
        ("*", False),
        ("api.corp.example", False),
        ("corp.example", False),
        (".corp.example", False),
        ("*.corp.example", False),
        ("api.corp.example:6443", False),
        ("api.corp.example:443", True),
        ("orp.example", True),
        ("other.example, corp.example", False),
        ("CORP.example", False),
    ],
)
def test_no_proxy_names_hosts_and_their_domains(exempt: str, through: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        environ = {"HTTPS_PROXY": PROXY, name: exempt}
        assert bool(proxy_for("https://api.corp.example:6443", environ)) is through


@pytest.mark.parametrize(
    ("url", "exempt"), [("https://10.96.0.1", "10.0.0.0/8"), ("https://[fd00::1]:6443", "fd00::/8")]
)
def test_no_proxy_names_networks(url: str, exempt: str) -> None:
    assert proxy_for(url, {"HTTPS_PROXY": PROXY}) == PROXY
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, "NO_PROXY": exempt}) == ""


@given(
    st.ip_addresses(v=4, network="127.0.0.0/8").map(str) | st.sampled_from(["localhost", "LOCALHOST", "[::1]"]),
    st.sampled_from(["http", "https"]),
    st.integers(1, 65535),
)
def test_this_machine_is_never_reached_by_a_proxy(host: str, scheme: str, port: int) -> None:
    assert proxy_for(f"{scheme}://{host}:{port}", {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY}) == ""


@given(st.ip_addresses().filter(lambda ip: ip not in ipaddress.ip_network("127.0.0.0/8")))
def test_no_other_address_is_this_machine(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert is_loopback(str(ip)) is (ip == ipaddress.ip_address("::1"))
