"""The command lines of the three programs: pure, from where things are to an argv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .binaries import Binary


def etcd(binary: Binary, name: str, directory: Path, port: int, durable: bool) -> list[str]:
    """A single member of that name. `durable`: its data is to outlive it, so writes wait for the disk.

    Its peer port is any (nobody joins), and the peer address it gives is never dialled."""
    url, peer = f"http://127.0.0.1:{port}", "http://127.0.0.1:1"
    return [
        str(binary.path),
        f"--name={name}",
        f"--data-dir={directory}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=http://127.0.0.1:0",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={name}={peer}",
        *([] if durable else ["--unsafe-no-fsync"]),
    ]


def apiserver(
    binary: Binary, certs: Path, token_file: Path, ports: tuple[int, int], flags: Mapping[str, str]
) -> list[str]:
    """`ports`: its own and etcd's; `flags` are added to, or replace, the ones that are enough on loopback.

    The key pair that it makes for its self-signed certificate also signs service account tokens: one key less to
    make, and no tool needed for it. No controller-manager runs: hence no admission by ServiceAccount (it would wait
    for accounts that nobody makes) nor TaintNodesByCondition (nobody would take the not-ready taint away again)."""
    port, etcd_port = ports
    key = str(certs / "apiserver.key")
    all_flags = {
        "etcd-servers": f"http://127.0.0.1:{etcd_port}",
        "secure-port": str(port),
        "bind-address": "127.0.0.1",
        # Else it looks for a network card, and a machine without one cannot start it.
        "advertise-address": "127.0.0.1",
        "cert-dir": str(certs),
        "service-account-issuer": f"https://127.0.0.1:{port}",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "authorization-mode": "RBAC",
        "token-auth-file": str(token_file),
        "service-cluster-ip-range": "10.0.0.0/24",
        "endpoint-reconciler-type": "none",
        "disable-admission-plugins": "ServiceAccount,TaintNodesByCondition",
        **flags,
    }
    return [str(binary.path), *(f"--{name}={value}" for name, value in all_flags.items())]


def scheduler(binary: Binary, config: Path, certificate: Path, port: int, verbosity: int) -> list[str]:
    """Serves with the API server's certificate, so that one ca_file verifies both."""
    return [
        str(binary.path),
        f"--config={config}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={certificate.with_suffix('.key')}",
        "--authentication-skip-lookup",
        "--authorization-always-allow-paths=/healthz,/livez,/readyz,/metrics",
        f"-v={verbosity}",
    ]
