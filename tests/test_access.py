"""Who gets to an API server, how, and as whom: as kubectl does, with any certificate, address, proxy and kubeconfig."""

from __future__ import annotations

import base64
import functools
import os
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
import yaml
from cryptography.hazmat.primitives import serialization

from lastnode.kube import api
from lastnode.kube.access import contexts
from lastnode.kube.api import Api
from lastnode.kube.errors import ApiError, ConfigError, Unreachable
from lastnode.kube.fetch import fetch
from testbed.apply import apply
from testbed.certificates import Authority
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from testbed.workloads import agent_runtime
from tests.kubectl.terminal import run
from tests.proxy import ForwardProxy
from tests.waiting import eventually

Object = dict[str, Any]
ADDRESSES = ["127.0.0.1", "[::1]"]
# As in Python 3.13: urllib3 sets the same for the connections that it makes a context for.
STRICT = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An API server on both loopback addresses, whose certificates have no key identifiers."""
    certs = tmp_path_factory.mktemp("plane") / "certs"
    certs.mkdir()
    authority = Authority("old")
    cert, key = authority.server()
    (certs / "apiserver.crt").write_bytes(cert + authority.pem)
    (certs / "apiserver.key").write_bytes(traditional(key))
    users = {"boss": ["system:masters"], "ann": ["readers"], "bob": []}
    with Stack.start(directory=certs.parent, users=users, apiserver_flags={"bind-address": "::"}) as stack:
        yield stack


def traditional(key: bytes) -> bytes:
    """The one form in which kube-apiserver signs tokens with it too."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    loaded = serialization.load_pem_private_key(key, None)
    return loaded.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python 3.13 has as its default, on any Python."""
    monkeypatch.setattr(ssl, "create_default_context", as_in_313(ssl.create_default_context))
    made = functools.partial(urllib3.util.ssl_.create_urllib3_context, verify_flags=STRICT)
    monkeypatch.setattr(urllib3.connection, "create_urllib3_context", made)


def as_in_313(make: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    def made(*words: Any, **named: Any) -> ssl.SSLContext:
        context = make(*words, **named)
        context.verify_flags |= STRICT
        return context

    return made


class Kubeconfig:
    """The file of a user, of which a test changes parts."""

    def __init__(self, stack: Stack, user: str, path: Path) -> None:
        self._document: Object = yaml.safe_load(stack.cp.kubeconfig_for(user).read_text(encoding="utf-8"))
        self.path = path
        self.user: Object = self._document["users"][0]["user"]
        self.cluster: Object = self._document["clusters"][0]["cluster"]
        self.token: str = self.user["token"]

    def named(self, name: str) -> Kubeconfig:
        """Its one cluster, user and context are called so."""
        for part in ("clusters", "users", "contexts"):
            self._document[part][0]["name"] = name
        self._document["contexts"][0]["context"] = {"cluster": name, "user": name, "namespace": f"{name}-space"}
        self._document["current-context"] = name
        return self

    def written(self) -> Path:
        self.path.write_text(yaml.safe_dump(self._document), encoding="utf-8")
        return self.path


@pytest.fixture
def config(stack: Stack, tmp_path: Path) -> Kubeconfig:
    """The administrator's."""
    return Kubeconfig(stack, "boss", tmp_path / "config")


def load(kubeconfig: Path | str, context: str | None = None, environ: Mapping[str, str] | None = None) -> Api:
    return api.load(str(kubeconfig), "test", context=context, environ=environ or {})


def who(server: Api) -> Object:
    """Whom the API server takes a client for."""
    kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = server.request("POST", f"/apis/{kind['apiVersion']}/selfsubjectreviews", body=kind)
    found: Object = yaml.safe_load(answer)["status"]["userInfo"]
    return found


# Certificates and addresses


@pytest.mark.usefixtures("strict")
def test_certificates_without_key_identifiers_are_no_obstacle(stack: Stack, config: Kubeconfig) -> None:
    with (
        urllib3.PoolManager(ca_certs=str(stack.cp.ca_file), retries=False) as others,
        pytest.raises(urllib3.exceptions.SSLError, match="Authority Key Identifier"),
    ):
        others.request("GET", stack.cp.url)
    assert who(load(config.written()))["username"] == "boss"
    assert fetch(f"{stack.cp.url}/livez", seconds=10, ca=str(stack.cp.ca_file)) == b"ok"


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_certificate_is_verified_all_the_same(config: Kubeconfig) -> None:
    config.cluster["certificate-authority-data"] = base64.b64encode(Authority("another").pem).decode()
    with pytest.raises(Unreachable, match="verify failed"):
        who(load(config.written()))
    config.cluster |= {"insecure-skip-tls-verify": True}
    del config.cluster["certificate-authority-data"]
    assert who(load(config.written()))["username"] == "boss"


def test_a_certificate_is_for_a_name_and_tls_server_name_says_which(stack: Stack, config: Kubeconfig) -> None:
    config.cluster["server"] = stack.cp.url.replace("127.0.0.1", "localhost")
    with pytest.raises(Unreachable, match="verify failed"):
        who(load(config.written()))
    config.cluster["tls-server-name"] = "127.0.0.1"
    assert who(load(config.written()))["username"] == "boss"


@pytest.mark.parametrize("bind", ["[::1]", "[::]"])
@pytest.mark.parametrize("module", ["recorder.program", "extender.program"])
def test_both_programs_live_on_ipv6_alone(stack: Stack, config: Kubeconfig, module: str, bind: str) -> None:
    config.cluster["server"] = stack.cp.url.replace("127.0.0.1", "[::1]")
    port = stack.cp.free_port()
    argv = [sys.executable, "-m", module, "--kubeconfig", config.written(), "--bind", f"{bind}:{port}"]
    program = stack.cp.spawn(f"{module}-{port}", argv, ready_url=f"http://[::1]:{port}/readyz", cwd=REPOSITORY)
    assert program.stop() == 0


def test_the_command_line_finds_a_recorder_by_its_ipv6_address(stack: Stack, config: Kubeconfig) -> None:
    config.cluster["server"] = stack.cp.url.replace("127.0.0.1", "[::1]")
    url = f"http://[::1]:{stack.cp.free_port()}"
    alone = ["--no-leader-elect", "--kubeconfig", config.written(), "--bind", url.removeprefix("http://")]
    recorder = stack.cp.spawn(
        "recorder-v6", [sys.executable, "-m", "recorder.program", *alone], ready_url=f"{url}/readyz", cwd=REPOSITORY
    )
    done = run(config.path, "doctor", "--recorder-url", url)
    assert f"{url} is ready" in done.stdout
    assert recorder.stop() == 0


# Who we are


def test_whom_to_act_as_is_told_with_every_request(config: Kubeconfig) -> None:
    config.user |= {
        "as": "jané",
        "as-uid": "4711",
        "as-groups": ["red", "blue"],
        "as-user-extra": {"scopes": ["a", "b"], "Team/Ä%": ["c"]},
    }
    assert who(load(config.written())) == {
        "username": "jané",
        "uid": "4711",
        "groups": ["red", "blue", "system:authenticated"],
        "extra": {"scopes": ["a", "b"], "team/Ä%": ["c"]},
    }


def test_forget_writes_with_no_more_rights_than_meant(stack: Stack, config: Kubeconfig) -> None:
    memory = {"runtime.agentcube.io/last-node": "a"}
    workload = agent_runtime("kept", sticky=True)
    workload["metadata"]["annotations"] = memory
    apply(stack.cp, [workload, *reading("readers")])
    config.user |= {"as": "ann", "as-groups": ["readers"]}
    done = run(config.written(), "forget", "kept", "--yes")
    assert done.returncode == 1
    assert 'User "ann" cannot patch' in done.stderr
    path = "/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/default/agentruntimes/kept"
    assert stack.api.get(path)["metadata"]["annotations"] == memory
    assert "kept" in run(config.path, "list").stdout


def reading(group: str) -> list[Object]:
    """The right to read everything."""
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": group}}
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": group}
    return [
        rbac | {"kind": "ClusterRole", "rules": rules},
        rbac | {"kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]},
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"as-groups": ["red"]}, "need as"),
        ({"as": "ann", "as-groups": "red"}, "as-groups"),
        ({"as": 7}, "as"),
        ({"token": None, "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}}, "exec"),
        ({"token": None, "auth-provider": {"name": "azure"}}, "auth-provider"),
        ({"token": None, "tokenFile": "nowhere"}, "No such file"),
    ],
)
def test_what_cannot_be_honoured_is_refused(config: Kubeconfig, changes: Object, why: str) -> None:
    config.user |= changes
    for name in [name for name, value in changes.items() if value is None]:
        del config.user[name]
    with pytest.raises(ConfigError, match=why):
        load(config.written())


@pytest.mark.parametrize("server", ["127.0.0.1:6443", "unix:///socket", ""])
def test_a_server_without_a_scheme_is_refused(config: Kubeconfig, server: str) -> None:
    config.cluster["server"] = server
    with pytest.raises(ConfigError, match="no http:// or https:// URL"):
        load(config.written())


def test_a_user_that_the_kubeconfig_does_not_have_is_refused(stack: Stack, config: Kubeconfig) -> None:
    text = config.written().read_text().replace("user: user", "user: nobody")
    config.path.write_text(text)
    with pytest.raises(ConfigError, match="name nobody in"):
        load(config.path)


def test_of_several_kubeconfigs_the_first_says_what_is_current_and_any_context_can_be_named(
    stack: Stack, tmp_path: Path
) -> None:
    """A token's file is looked for beside the kubeconfig that names it."""
    paths = []
    for user in ("ann", "bob"):
        (tmp_path / user).mkdir()
        file = Kubeconfig(stack, user, tmp_path / user / "config").named(user)
        (tmp_path / user / "token").write_text(f"{file.user.pop('token')}\n")
        file.user["tokenFile"] = "token"
        paths.append(str(file.written()))
    both = os.pathsep.join(paths)
    assert who(load(both))["username"] == "ann"
    assert who(load(both, "bob"))["username"] == "bob"
    assert contexts(both) == ({"ann": "ann-space", "bob": "bob-space"}, "ann")


def test_a_token_s_file_is_read_again_and_wins_over_a_token(stack: Stack, config: Kubeconfig, tmp_path: Path) -> None:
    tokens = {user: Kubeconfig(stack, user, tmp_path / user).token for user in ("ann", "bob")}
    (tmp_path / "token").write_text(f"{tokens['ann']}\n")
    config.user["tokenFile"] = "token"
    server = load(config.written())
    assert who(server)["username"] == "ann"
    (tmp_path / "token").write_text(tokens["bob"])
    eventually(lambda: who(server)["username"] == "bob", "the new token to be used")
    (tmp_path / "token").unlink()
    assert who(server)["username"] == "bob"


# Proxies


@pytest.fixture
def proxy(stack: Stack) -> Iterator[ForwardProxy]:
    with ForwardProxy(urlsplit(stack.cp.url).port or 0) as proxy:
        yield proxy


def everywhere(proxy: str) -> dict[str, str]:
    """The environment of a machine that reaches the world by that proxy, and exempts nothing."""
    names = ("http_proxy", "https_proxy", "all_proxy")
    return {name: proxy for each in names for name in (each, each.upper())} | {"NO_PROXY": "", "no_proxy": ""}


def elsewhere(stack: Stack, config: Kubeconfig) -> Path:
    """The API server has a name that only the proxy knows."""
    config.cluster |= {"server": "https://api.invalid:6443", "tls-server-name": "127.0.0.1"}
    return config.written()


def test_nothing_that_is_on_this_machine_goes_through_a_proxy(
    stack: Stack, config: Kubeconfig, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The programs, what the recorder asks the extender, the command line, and the testbed itself."""
    for name, value in everywhere(proxy.url).items():
        monkeypatch.setenv(name, value)
    stack.start_extender()
    stack.start_recorder("--extender-url", stack.extender_url.replace("127.0.0.1", "localhost"))
    url = stack.recorder_url.replace("127.0.0.1", "localhost")
    done = run(config.written(), "doctor", "--recorder-url", url, "--extender-url", stack.extender_url)
    assert f"{url} is ready" in done.stdout
    assert stack.metrics(stack.recorder_url)["lastnode_leader"] == 1
    assert stack.api.get("/version")
    for address in ADDRESSES:
        config.cluster["server"] = stack.cp.url.replace("127.0.0.1", address)
        assert who(api.load(str(config.written()), "test"))["username"] == "boss"
    assert stack.recorder
    assert stack.extender
    assert (stack.recorder.stop(), stack.extender.stop()) == (0, 0)
    assert proxy.heard == []


def test_a_proxy_of_the_environment_is_used_and_sees_no_token(
    stack: Stack, config: Kubeconfig, proxy: ForwardProxy
) -> None:
    url = proxy.url.replace("http://", "http://me:secret@")
    assert who(load(elsewhere(stack, config), environ={"HTTPS_PROXY": url}))["username"] == "boss"
    (heard,) = proxy.heard
    assert heard.startswith(b"CONNECT api.invalid:6443 ")
    assert b"Basic " + base64.b64encode(b"me:secret") in heard
    assert config.token.encode() not in heard


def test_a_proxy_of_the_kubeconfig_is_used_for_any_host(stack: Stack, config: Kubeconfig, proxy: ForwardProxy) -> None:
    config.cluster["proxy-url"] = proxy.url
    assert who(load(config.written(), environ={"NO_PROXY": "*"}))["username"] == "boss"
    assert len(proxy.heard) == 1


def test_a_host_that_is_exempt_is_not_looked_for_by_a_proxy(
    stack: Stack, config: Kubeconfig, proxy: ForwardProxy
) -> None:
    environ = everywhere(proxy.url) | {"NO_PROXY": "*.invalid"}
    with pytest.raises(Unreachable):
        who(load(elsewhere(stack, config), environ=environ))
    assert proxy.heard == []


def test_without_tls_no_token_goes_to_a_proxy(config: Kubeconfig, proxy: ForwardProxy) -> None:
    config.cluster["server"] = "http://api.invalid"
    config.user["as"] = "ann"
    with pytest.raises(ApiError, match="502"):
        load(config.written(), environ=everywhere(proxy.url)).get("/version")
    (heard,) = proxy.heard
    assert heard.startswith(b"GET http://api.invalid/version")
    assert b"uthorization" not in heard


def test_a_proxy_that_cannot_be_used_is_named_without_its_password(config: Kubeconfig) -> None:
    config.cluster["proxy-url"] = "socks5://me:secret@127.0.0.1:1"
    with pytest.raises(ConfigError, match="socks5") as error:
        load(config.written())
    assert "secret" not in str(error.value)
