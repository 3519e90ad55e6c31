"""Whom the recorder asks why a session moved: addresses, certificates and network policies have to fit together."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from tools.render import NAMESPACE, Object, by_key, template

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"


def recorder_settings(objects: list[Object]) -> Object:
    config = by_key(objects)["v1", "ConfigMap", NAMESPACE, "lastnode-recorder"]
    settings: Object = yaml.safe_load(config["data"]["recorder.yaml"])
    return settings


@pytest.mark.parametrize(
    ("name", "urls"),
    [
        ("webhook", "https://lastnode-extender-pods"),
        ("cert-manager", "https://lastnode-extender-pods"),
        ("control-plane", "http://lastnode-extender-pods"),
        ("second-scheduler", "https://lastnode-extender-pods http://lastnode-scheduler-pods"),
        ("everything", "https://lastnode-extender-pods http://lastnode-scheduler-pods"),
    ],
)
def test_the_recorder_asks_every_pod_that_can_answer_kube_scheduler_at_its_own_address(
    rendered: dict[str, list[Object]], name: str, urls: str
) -> None:
    wanted = [f"{url}.{NAMESPACE}.svc:8888" for url in urls.split()]
    assert recorder_settings(rendered[name])["extender_url"] == ",".join(wanted)
    objects = by_key(rendered[name])
    for url in wanted:
        service = objects["v1", "Service", NAMESPACE, url.partition("://")[2].partition(".")[0]]["spec"]
        assert service["clusterIP"] == "None"  # which gives the port of the pod, and no other
        component = service["selector"]["app.kubernetes.io/component"]
        pod = objects["apps/v1", "Deployment", NAMESPACE, f"lastnode-{component}"]["spec"]["template"]["spec"]
        ports = {port["name"]: port["containerPort"] for container in pod["containers"] for port in container["ports"]}
        assert ports[service["ports"][0]["targetPort"]] == service["ports"][0]["port"] == 8888
        assert service["ports"][0]["targetPort"] == url.partition(":")[0]


@pytest.mark.parametrize(
    ("values", "schedulers"),
    [
        ("", ""),
        ("scheduler.enabled=true", "lastnode-scheduler"),
        ("webhook.schedulerName=sticky", "sticky"),
        ("scheduler.enabled=true,webhook.schedulerName=lastnode-scheduler", "lastnode-scheduler"),
        ("scheduler.enabled=true,scheduler.schedulerName=own,webhook.schedulerName=sticky", "own,sticky"),
    ],
)
def test_the_recorder_watches_the_schedulers_that_sessions_name_because_of_the_release(
    helm: Path, values: str, schedulers: str
) -> None:
    assert recorder_settings(template(helm, *(["--set", values] if values else [])))["schedulers"] == schedulers


@pytest.mark.parametrize("name", ["webhook", "cert-manager", "everything"])
def test_the_recorder_is_given_the_ca_and_nothing_else_of_the_certificates_secret(
    rendered: dict[str, list[Object]], name: str
) -> None:
    pod = by_key(rendered[name])["apps/v1", "Deployment", NAMESPACE, "lastnode-recorder"]["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"] if "secret" in volume] == ["sessions-token"]
    (secret,) = (one["secret"] for one in pod["volumes"][0]["projected"]["sources"] if "secret" in one)
    assert secret["items"] == [{"key": "ca.crt", "path": "extender-ca.crt"}]
    assert secret["optional"] is True  # it must not wait for an extender that does not come
    assert recorder_settings(rendered[name])["extender_ca"] == "/etc/lastnode/extender-ca.crt"


def test_the_certificate_is_for_the_name_that_the_recorder_uses_too(rendered: dict[str, list[Object]]) -> None:
    name = f"lastnode-extender-pods.{NAMESPACE}.svc"
    secret = by_key(rendered["webhook"])["v1", "Secret", NAMESPACE, "lastnode-certificate"]
    pem = base64.b64decode(secret["data"]["tls.crt"])
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert name in names.get_values_for_type(x509.DNSName)
    certificate = by_key(rendered["cert-manager"])[
        "cert-manager.io/v1", "Certificate", NAMESPACE, "lastnode-certificate"
    ]
    assert name in certificate["spec"]["dnsNames"]


def test_no_service_monitor_finds_a_pod_twice(rendered: dict[str, list[Object]]) -> None:
    objects = rendered["everything"]
    services = [obj for obj in objects if obj["kind"] == "Service"]
    for monitor in (obj["spec"] for obj in objects if obj["kind"] == "ServiceMonitor"):
        selected = [
            s for s in services if monitor["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()
        ]
        names = [port["name"] for service in selected for port in service["spec"]["ports"]]
        assert names.count(monitor["endpoints"][0]["port"]) == 1


@pytest.mark.parametrize("component", ["extender", "scheduler"])
def test_network_policies_let_the_recorder_reach_the_extender(helm: Path, component: str) -> None:
    peer = "networkPolicy.from[0].podSelector.matchLabels.app=prometheus"
    objects = by_key(template(helm, "--set", f"scheduler.enabled=true,networkPolicy.enabled=true,{peer}"))

    def policy(name: str) -> Object:
        spec: Object = objects["networking.k8s.io/v1", "NetworkPolicy", NAMESPACE, f"lastnode-{name}"]["spec"]
        return spec

    port = [{"port": 8888, "protocol": "TCP"}]
    assert {"ports": port, "to": [{"podSelector": policy(component)["podSelector"]}]} in policy("recorder")["egress"]
    assert {"ports": port, "from": [{"podSelector": policy("recorder")["podSelector"]}]} in policy(component)["ingress"]
    assert all("to" not in rule for rule in policy(component)["egress"])


@pytest.mark.parametrize(
    ("values", "url", "ca"),
    [
        (("extenderUrl=none",), "none", None),
        (("extenderUrl=",), "", None),
        (("extenderUrl=http://a:1\\,http://b:1",), "http://a:1,http://b:1", None),
        (("extenderUrl=https://a:1", f"extenderCa={PEM}"), "https://a:1", PEM),
    ],
)
def test_the_recorder_may_ask_somebody_else_or_nobody(
    helm: Path, values: tuple[str, ...], url: str, ca: str | None
) -> None:
    given = [word for value in values for word in ("--set", f"recorder.settings.{value}")]
    objects = by_key(template(helm, "--set", "scheduler.enabled=true", *given))
    data = objects["v1", "ConfigMap", NAMESPACE, "lastnode-recorder"]["data"]
    settings = yaml.safe_load(data["recorder.yaml"])
    assert settings["extender_url"] == url
    assert settings.get("extender_ca") == (ca and "/etc/lastnode/extender-ca.crt")
    assert data.get("extender-ca.crt", "").strip() == (ca or "")
    assert not [at for at in objects if at[3].endswith("-pods")]


def test_with_a_certificate_of_yours_the_recorder_trusts_its_bundle(helm: Path) -> None:
    bundle = base64.b64encode(PEM.encode()).decode()
    objects = by_key(template(helm, "--set", f"extender.tls.secretName=s,extender.tls.caBundle={bundle}"))
    data = objects["v1", "ConfigMap", NAMESPACE, "lastnode-recorder"]["data"]
    assert data["extender-ca.crt"].strip() == PEM


def test_where_somebody_else_tells_the_api_server_the_recorder_trusts_the_secrets_ca(helm: Path) -> None:
    objects = by_key(template(helm, "--set", "extender.tls.secretName=s,extender.tls.caBundle=elsewhere"))
    pod = objects["apps/v1", "Deployment", NAMESPACE, "lastnode-recorder"]["spec"]["template"]["spec"]
    (secret,) = (one["secret"] for one in pod["volumes"][0]["projected"]["sources"] if "secret" in one)
    assert (secret["name"], secret["items"]) == ("s", [{"key": "ca.crt", "path": "extender-ca.crt"}])
    assert "extender-ca.crt" not in objects["v1", "ConfigMap", NAMESPACE, "lastnode-recorder"]["data"]
