"""What the chart renders: valid for each Kubernetes that we claim, as safe as the docs say, the same in every form."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from extender.settings import ExtenderSettings
from lastnode.daemon.rows import Row, table
from lastnode.daemon.settings import load
from lastnode.kinds import Ways
from recorder.settings import RecorderSettings
from testbed.paths import REPOSITORY
from tests.rbac import ROWS, as_json
from tests.rbac import manifest as granting
from tools.render import CHART, NAMESPACE, Object, by_key, plain, setups, template

ALL_SETUPS = setups()
# The chart's kubeVersion says from where on; 1.37 is what the other tests run on.
CLAIMED = ("1.33", "1.34", "1.35", "1.36", "1.37")
# Kinds of others, of which there is no schema here.
FOREIGN = ("cert-manager.io/v1", "monitoring.coreos.com/v1")
POD_KINDS = ("Deployment",)
# What the chart counts anew, or users may well set in the chart's place.
VOLATILE = ("lastnode.dev/renew-after", "grafana_dashboard")
# Every switch that changes which objects there are, and values each of them takes.
SWITCHES: dict[str, tuple[str, ...]] = {
    "recorder.enabled": ("true", "false"),
    "scheduler.enabled": ("true", "false"),
    "networkPolicy.enabled": ("true", "false"),
    "monitoring.serviceMonitor.enabled": ("true", "false"),
    "extender.enabled=true,webhook.enabled": ("true", "false"),
    "extender.tls.secretName": (
        "",
        ",extender.tls.certManager.enabled=true",
        "mine,extender.tls.caBundle=Y2E=",
        "mine,extender.tls.caBundle=elsewhere",
    ),
}


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for obj in objects:
        if obj["kind"] in POD_KINDS:
            yield obj["metadata"]["name"], obj["spec"]["template"]["spec"]


def combinations() -> list[str]:
    """Values for all switches at once, so many that each two values of two switches meet at least once."""
    kept: list[str] = []
    met: set[tuple[tuple[int, str], ...]] = set()
    for values in itertools.product(*SWITCHES.values()):
        pairs = set(itertools.combinations(enumerate(values), 2))
        if not pairs <= met:
            met |= pairs
            kept.append(",".join(f"{name}={value}" for name, value in zip(SWITCHES, values, strict=True)))
    return [*kept, "extender.tls.enabled=false,webhook.enabled=false", "extender.enabled=false,webhook.enabled=false"]


@cache
def problem(text: str, version: str) -> str:
    """What is wrong with an object (as JSON) for this version of Kubernetes; empty when nothing is."""
    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{version}: {'.'.join(map(str, error.path))}: {error.message}"
    return ""


@pytest.mark.parametrize("version", CLAIMED)
def test_every_object_fits_the_schemas_of_each_kubernetes_that_we_claim(
    rendered: dict[str, list[Object]], version: str
) -> None:
    assert f"{version}.0" in kubernetes_validate.utils.all_versions()
    texts = {
        json.dumps(obj, sort_keys=True)
        for objects in rendered.values()
        for obj in objects
        if obj["apiVersion"] not in FOREIGN
    }
    assert len(texts) > 20
    assert [said for text in texts if (said := problem(text, version))] == []


def test_the_schemas_would_notice_a_mistake(rendered: dict[str, list[Object]]) -> None:
    deployment = next(obj for obj in rendered["webhook"] if obj["kind"] == "Deployment")
    broken = json.loads(json.dumps(deployment))
    broken["spec"]["template"]["spec"]["containers"][0]["readinessprobe"] = {}
    assert "readinessprobe" in problem(json.dumps(broken), CLAIMED[-1])


@pytest.mark.parametrize("values", combinations())
def test_every_combination_of_switches_fits_and_its_parts_find_each_other(helm: Path, values: str) -> None:
    objects = by_key(template(helm, "--set", values))
    known = [json.dumps(obj, sort_keys=True) for at, obj in objects.items() if at[0] not in FOREIGN]
    assert [said for text in known for version in (CLAIMED[0], CLAIMED[-1]) if (said := problem(text, version))] == []
    accounts = {at[3] for at in objects if at[1] == "ServiceAccount"}
    for name, pod in pods(list(objects.values())):
        assert pod["serviceAccountName"] in accounts, name
        sources = [source for v in pod["volumes"] for source in v.get("projected", {"sources": [v]})["sources"]]
        configs = [source["configMap"]["name"] for source in sources if "configMap" in source]
        assert len(configs) == 1
        assert all(("v1", "ConfigMap", NAMESPACE, config) in objects for config in configs)
    for at, obj in objects.items():
        if at[1] in ("RoleBinding", "ClusterRoleBinding"):
            assert {subject["name"] for subject in obj["subjects"]} <= accounts
            assert obj["roleRef"]["name"].startswith(("system:", "extension-apiserver")) or any(
                other[1] == obj["roleRef"]["kind"] and other[3] == obj["roleRef"]["name"] for other in objects
            )
        if at[1] == "MutatingWebhookConfiguration":
            service = obj["webhooks"][0]["clientConfig"]["service"]
            assert ("v1", "Service", service["namespace"], service["name"]) in objects
    selected = [obj["spec"]["selector"] for at, obj in objects.items() if at[1] == "Service"]
    labels = [obj["spec"]["template"]["metadata"]["labels"] for at, obj in objects.items() if at[1] == "Deployment"]
    assert all(sum(selector.items() <= one.items() for one in labels) == 1 for selector in selected)


@pytest.mark.parametrize("name", ALL_SETUPS)
def test_every_container_is_as_restricted_as_it_can_be(rendered: dict[str, list[Object]], name: str) -> None:
    for owner, pod in pods(rendered[name]):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, owner
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not any("hostPath" in volume for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"].keys() == {"memory"}
            probes = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")]
            assert probes == ["/livez", "/livez", "/readyz"]


@pytest.mark.parametrize("name", ALL_SETUPS)
def test_every_deployment_survives_the_loss_of_a_node(rendered: dict[str, list[Object]], name: str) -> None:
    objects = by_key(rendered[name])
    for at, obj in objects.items():
        if at[1] != "Deployment":
            continue
        labels = obj["spec"]["selector"]["matchLabels"]
        assert obj["spec"]["replicas"] == 2
        budget = objects["policy/v1", "PodDisruptionBudget", NAMESPACE, at[3]]["spec"]
        assert budget["selector"]["matchLabels"] == labels
        assert budget["maxUnavailable"] == 1
        spread = obj["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        assert all(one["labelSelector"]["matchLabels"] == labels for one in spread)
        assert all(one["whenUnsatisfiable"] == "ScheduleAnyway" for one in spread)


def test_what_is_off_by_default_is_off(rendered: dict[str, list[Object]]) -> None:
    kinds = {obj["kind"] for obj in rendered["webhook"]}
    assert not kinds & {"NetworkPolicy", "ServiceMonitor", "PrometheusRule", "Certificate", "Issuer"}
    assert all("scheduler" not in obj["metadata"]["name"] for obj in rendered["webhook"])
    assert {"NetworkPolicy", "ServiceMonitor", "Certificate"} <= {obj["kind"] for obj in rendered["everything"]}


def rules(obj: Object) -> list[Object]:
    return sorted((dict(rule) for rule in obj["rules"]), key=lambda rule: json.dumps(rule, sort_keys=True))


@pytest.mark.parametrize("name", ALL_SETUPS)
def test_every_rule_is_of_an_account_that_the_audit_log_watches(rendered: dict[str, list[Object]], name: str) -> None:
    """tests/recorder/test_rbac.py and tests/extender/test_rbac.py use up exactly these; nothing grants more."""
    audited = {at: obj for program in ("recorder", "extender") for at, obj in by_key(granting(program)).items()}
    for at, obj in by_key(rendered[name]).items():
        # The second scheduler's own Lease: tests/extender/test_second_scheduler.py uses it. People's: test_people.py.
        if "rules" in obj and at[3] not in ("lastnode-scheduler", "lastnode-viewer", "lastnode-operator"):
            assert rules(obj) == rules(audited[at]), at


TEXTS = {"Exists": "{key}", "DoesNotExist": "!{key}", "In": "{key}={values[0]}", "NotIn": "{key}!={values[0]}"}
MANY = (
    *ROWS,
    Row(resource="statefulsets.example.com", pods="app=trainer"),
    Row(resource="a.b.c", pods=" !d, e != f, g"),
)


def webhooks(objects: list[Object]) -> list[Object]:
    at = "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "lastnode-webhook"
    found: list[Object] = by_key(objects)[at]["webhooks"]
    return found


@pytest.mark.parametrize("rows", [(), MANY], ids=["built in", "configured too"])
def test_there_is_a_webhook_for_each_selector_in_the_kinds_table(helm: Path, rows: tuple[Row, ...]) -> None:
    found = webhooks(template(helm, "--set-json", f"kinds={as_json(rows)}"))
    selectors = [
        ",".join(TEXTS[one["operator"]].format(**one) for one in each["objectSelector"]["matchExpressions"])
        for each in found
    ]
    assert selectors == [f"{way.pods},lastnode.dev/inject!=disabled" for way in Ways(table(rows)).all]
    assert len({each["name"] for each in found}) == len(found)


@pytest.mark.parametrize("resources", [(), ("sandboxes.agents.x-k8s.io",), ("cronjobs.batch", "statefulsets.apps")])
def test_every_program_is_told_the_rows_that_all_else_follows(
    helm: Path, tmp_path: Path, resources: tuple[str, ...]
) -> None:
    values = f"kinds={as_json(ROWS)},settings.workloadResources={json.dumps(resources)},scheduler.enabled=true"
    objects = by_key(template(helm, "--set-json", values))
    expected = table(ROWS, resources)
    for kind, component, file in (
        (RecorderSettings, "recorder", "recorder.yaml"),
        (ExtenderSettings, "extender", "extender.yaml"),
        (ExtenderSettings, "scheduler", "extender.yaml"),
    ):
        path = tmp_path / component
        path.write_text(objects["v1", "ConfigMap", NAMESPACE, f"lastnode-{component}"]["data"][file], encoding="utf-8")
        assert load(kind, component, ["--config", str(path)]).rows == expected
    assert len(webhooks(list(objects.values()))) == len(Ways(expected).all)


@pytest.mark.parametrize("component", ["recorder", "extender", "scheduler"])
def test_access_rules_can_be_left_to_somebody_else(helm: Path, component: str) -> None:
    left = template(helm, "--set", f"scheduler.enabled=true,{component}.rbac.create=false")
    bound = [obj["subjects"][0]["name"] for obj in left if obj["kind"].endswith("RoleBinding")]
    assert f"lastnode-{component}" not in bound
    assert len(set(bound)) == 2


def test_the_second_scheduler_is_configured_as_scheduler_config_says(rendered: dict[str, list[Object]]) -> None:
    config = by_key(rendered["second-scheduler"])["v1", "ConfigMap", NAMESPACE, "lastnode-scheduler"]
    audited = REPOSITORY / "scheduler-config" / "second-scheduler.yaml"
    assert yaml.safe_load(config["data"]["scheduler.yaml"]) == yaml.safe_load(audited.read_text(encoding="utf-8"))


def test_dashboards_and_rules_come_with_the_chart(rendered: dict[str, list[Object]]) -> None:
    names = {path.stem for path in (CHART / "files").glob("*/*")}
    assert len(names) == 3
    found = [obj for obj in rendered["everything"] if obj["kind"] in ("PrometheusRule", "ConfigMap")]
    assert all(any(name in obj["metadata"]["name"] for obj in found) for name in names)


def test_what_helm_keeps_apart_is_kept_apart_without_it(rendered: dict[str, list[Object]]) -> None:
    assert not any("helm" in json.dumps(obj["metadata"]).lower() for obj in plain(rendered["everything"]))


def test_the_webhook_is_asked_about_session_pods_alone_and_never_in_the_way(rendered: dict[str, list[Object]]) -> None:
    found = webhooks(rendered["webhook"])
    expected: dict[str, Any] = {
        "failurePolicy": "Ignore",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "reinvocationPolicy": "IfNeeded",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    for webhook in found:
        assert {name: webhook[name] for name in expected} == expected
        assert webhook["objectSelector"]["matchExpressions"][0]["operator"] == "Exists"
        assert webhook["namespaceSelector"]["matchExpressions"][0]["values"] == ["kube-system", NAMESPACE]


@pytest.mark.parametrize(
    "values",
    ["extender.tls.certManager.enabled=true", "extender.tls.secretName=mine,extender.tls.caBundle=elsewhere"],
)
def test_a_bundle_that_somebody_else_writes_is_not_written_over(helm: Path, values: str) -> None:
    assert not [each for each in webhooks(template(helm, "--set", values)) if "caBundle" in each["clientConfig"]]


def test_a_secret_that_is_given_is_left_alone(helm: Path) -> None:
    values = "extender.tls.secretName=mine,extender.tls.caBundle=Y2E=,recorder.sessionsToken.secretName=mine"
    assert not [obj for obj in template(helm, "--set", values) if obj["kind"] in ("Secret", "Certificate", "Issuer")]


def test_where_nothing_is_called_over_tls_there_is_no_certificate(rendered: dict[str, list[Object]]) -> None:
    objects = rendered["control-plane"]
    assert not {"Certificate", "Issuer"} & {obj["kind"] for obj in objects}
    assert [obj["metadata"]["name"] for obj in objects if obj["kind"] == "Secret"] == ["lastnode-sessions"]


class Strict(yaml.SafeLoader):
    """As Kustomize and Flux read: a key that is there twice is an error."""


def _mapping(loader: Strict, node: yaml.MappingNode) -> Object:
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"twice: {sorted(key for key in keys if keys.count(key) > 1)}"
    return loader.construct_mapping(node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
FREE = ("commonLabels", "commonAnnotations", "podLabels", "podAnnotations", "annotations", "labels")


def free_maps(values: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where users may put labels and annotations of their own."""
    for key, value in values.items():
        if key in FREE:
            yield (*path, key)
        elif isinstance(value, dict):
            yield from free_maps(value, (*path, key))


def metadata(objects: list[Object]) -> Iterator[Object]:
    for obj in objects:
        yield obj["metadata"]
        if obj["kind"] in POD_KINDS:
            yield obj["spec"]["template"]["metadata"]


def put(maps: list[tuple[str, ...]], theirs: Object) -> str:
    """Values with that in each of these maps."""
    values: Object = {}
    for path in maps:
        at = values
        for part in path[:-1]:
            at = at.setdefault(part, {})
        at[path[-1]] = theirs
    return json.dumps(values)


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        *((name, [*free_maps(VALUES)]) for name in ALL_SETUPS),
        *(("everything", [path]) for path in free_maps(VALUES)),
    ],
    ids=lambda value: ".".join(value[0]) if isinstance(value, list) and len(value) == 1 else str(value)[:16],
)
def test_a_users_label_or_annotation_of_a_name_that_the_chart_has_too_is_rendered_once(
    rendered: dict[str, list[Object]], helm: Path, tmp_path: Path, name: str, maps: list[tuple[str, ...]]
) -> None:
    chart = [one for objects in rendered.values() for one in metadata(objects)]
    known = {key for one in chart for part in ("labels", "annotations") for key in one.get(part, {})}
    file = tmp_path / "values.yaml"
    file.write_text(put(maps, dict.fromkeys([*known, "mine"], "theirs")), encoding="utf-8")
    argv: list[str | Path] = [helm, "template", "lastnode", CHART, "-n", NAMESPACE, "--values", file]
    text = subprocess.run([*argv, "--values", CHART / "setups" / f"{name}.yaml"], check=True, capture_output=True)
    objects = [obj for obj in yaml.load_all(text.stdout, Strict) if obj]
    before, after = by_key(rendered[name]), by_key(objects)
    assert before.keys() == after.keys()
    own = [(*each, part) for at in before for each in zip(metadata([before[at]]), metadata([after[at]]), strict=True)
           for part in ("labels", "annotations")]  # fmt: skip
    for was, now, part in own:
        kept = {key: value for key, value in was.get(part, {}).items() if key not in VOLATILE}
        assert kept.items() <= now.get(part, {}).items(), (was, part)
    assert any("mine" in now.get(part, {}) for _, now, part in own)
