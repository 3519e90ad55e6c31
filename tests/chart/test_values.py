"""What may be set, and what is said about a mistake: helm lint and helm template, as a user meets them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic_settings import BaseSettings

from extender.settings import ExtenderSettings
from recorder.settings import RecorderSettings
from testbed.errors import LocalError
from tools.render import CHART, SETUPS, by_key, template

ALL_SETUPS = sorted(path.stem for path in SETUPS.glob("*.yaml"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def leaves(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Every key that can be set, with dots; a map that is empty by default is one, so is a map of free keys."""
    for key, value in values.items():
        full = f"{path}{key}"
        if isinstance(value, dict) and value and not full.endswith((".labels", "ecurityContext", "requests", "limits")):
            yield from leaves(value, f"{full}.")
        else:
            yield full


@pytest.mark.parametrize("setup", ["", *ALL_SETUPS])
def test_helm_lint_has_nothing_to_say(helm: Path, setup: str) -> None:
    values = ["--values", str(SETUPS / f"{setup}.yaml")] if setup else []
    done = subprocess.run([helm, "lint", "--strict", CHART, *values], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert not re.search(r"\[(WARNING|ERROR)\]", done.stdout)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("recorder.replicas=two", "at '/recorder/replicas': got string, want integer"),
        ("recorder.replica=2", "at '/recorder': additional properties 'replica' not allowed"),
        ("recoder.enabled=true", "additional properties 'recoder' not allowed"),
        ("recorder.enabled=maybe", "at '/recorder/enabled': got string, want boolean"),
        ("recorder.settings.writers=0", "at '/recorder/settings/writers': minimum: got 0, want 1"),
        ("recorder.settings.lease-name=x", "at '/recorder/settings': additional properties 'lease-name' not allowed"),
        ("recorder.settings.extenderUrl=ftp://x", "at '/recorder/settings/extenderUrl': 'ftp://x' does not match"),
        ("recorder.settings.extenderCa=ca.pem", "at '/recorder/settings/extenderCa': 'ca.pem' does not match"),
        ("recorder.settings.recentNodes=33", "at '/recorder/settings/recentNodes': maximum: got 33, want 32"),
        ("preference.olderWeight=101", "at '/preference/olderWeight': maximum: got 101, want 100"),
        ("recorder.settings.sessionLog=-1", "at '/recorder/settings/sessionLog': minimum: got -1, want 0"),
        ("recorder.port=70000", "at '/recorder/port': maximum: got 70,000, want 65,535"),
        ("recorder.resources.requests.memory=lots", "at '/recorder/resources/requests/memory': 'lots' does not match"),
        ("recorder.resources.request.cpu=1", "at '/recorder/resources': additional properties 'request' not allowed"),
        ("recorder.podDisruptionBudget.maxUnavailable=half", "maxUnavailable': 'half' does not match pattern"),
        ("extender.extraEnv[0].value=x", "at '/extender/extraEnv/0': missing property 'name'"),
        ("extender.service.clusterIP=none", "at '/extender/service/clusterIP': 'none' does not match"),
        ("settings.memoryTtl=1week", "at '/settings/memoryTtl': '1week' does not match pattern"),
        ("settings.memoryTtl=-1", "at '/settings/memoryTtl': minimum: got -1, want 0"),
        ("settings.logLevel=loud", "logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
        ("settings.workloadResources={agentruntimes}", "workloadResources/0': 'agentruntimes' does not match pattern"),
        ("settings.workloadResources=null", "at '/settings': missing property 'workloadResources'"),
        (
            "settings.workloadResources={pods.example.com}",
            "pods.example.com is neither built in nor a resource of kinds",
        ),
        ("kinds[0].resource=jobs.batch", "at '/kinds/0': missing property 'pods'"),
        ("kinds[0].resource=jobs,kinds[0].pods=a", "at '/kinds/0/resource': 'jobs' does not match pattern"),
        ("kinds[0].resource=jobs.batch,kinds[0].pods=a in b", "at '/kinds/0/pods': 'a in b' does not match pattern"),
        ("kinds[0].resource=jobs.batch,kinds[0].pods=!a", "at '/kinds/0/pods': '!a' does not match pattern"),
        (
            "kinds[0].resource=jobs.batch,kinds[0].pods=a,kinds[0].named_by=b",
            "additional properties 'named_by' not allowed",
        ),
        (
            "kinds[0].resource=sandboxes.agents.x-k8s.io,kinds[0].pods=a",
            "kinds: sandboxes.agents.x-k8s.io is there already",
        ),
        ("webhook.timeoutSeconds=0", "at '/webhook/timeoutSeconds': minimum: got 0, want 1"),
        ("webhook.timeoutSeconds=3", "at '/webhook/timeoutSeconds': maximum: got 3, want 2"),
        ("webhook.failurePolicy=Fail", "at '/webhook': additional properties 'failurePolicy' not allowed"),
        ("image.digest=abc", "at '/image/digest': 'abc' does not match pattern"),
        ("image.pullPolicy=Sometimes", "pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("extender.tls.mode=magic", "at '/extender/tls': additional properties 'mode' not allowed"),
        ("extender.tls.caBundle=ca.pem", "at '/extender/tls/caBundle': 'ca.pem' does not match pattern"),
        (
            "extender.tls.enabled=false",
            "webhook.enabled needs extender.tls.enabled: the API server calls webhooks",
        ),
        (
            "extender.tls.secretName=s",
            "extender.tls.secretName needs extender.tls.caBundle: base64 of the PEM file of the CA",
        ),
        (
            "extender.tls.secretName=s,extender.tls.certManager.enabled=true",
            "extender.tls.secretName and extender.tls.certManager.enabled exclude each other",
        ),
        ("extender.enabled=false", "webhook.enabled needs extender.enabled: the extender is the program"),
        (
            "scheduler.enabled=true,scheduler.schedulerName=default-scheduler",
            "scheduler.schedulerName must be a name that no other scheduler has",
        ),
        (
            "webhook.schedulerName=lastnode-scheduler",
            "webhook.schedulerName names the second scheduler and needs scheduler.enabled",
        ),
        ("scheduler.schedulerName=Sticky_One", "at '/scheduler/schedulerName': 'Sticky_One' does not match pattern"),
        (
            "networkPolicy.enabled=true,extender.hostNetwork=true",
            "networkPolicy.enabled and extender.hostNetwork exclude each other",
        ),
        ("commonLabels.a b=c", "'a b'"),
    ],
)
def test_a_mistake_is_refused_and_named(helm: Path, mistake: str, said: str) -> None:
    with pytest.raises(LocalError, match=re.escape(said)):
        template(helm, "--set", mistake)


def test_a_cluster_that_is_too_old_is_refused(helm: Path) -> None:
    with pytest.raises(LocalError, match=r"requires kubeVersion: >=1.33.0-0 which is incompatible with"):
        template(helm, "--kube-version", "1.32.9")


def test_every_default_has_a_schema_of_its_own() -> None:
    def check(schema: dict[str, Any], values: Mapping[str, Any], path: str) -> None:
        shared = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}
        if shared and "properties" in schema:  # a component: what it has in common with the others is true here
            common = {name for name, one in schema["properties"].items() if one is True}
            assert common == shared["properties"].keys()
            check(shared | {"additionalProperties": False}, {name: values[name] for name in common}, path)
        schema = shared | schema
        if "properties" not in schema:
            return
        assert schema["additionalProperties"] is False, path
        for key, value in values.items():
            assert key in schema["properties"], f"{path}{key}"
            if isinstance(value, dict) and schema["properties"][key] is not True:
                check(schema["properties"][key], value, f"{path}{key}.")

    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    check(SCHEMA, VALUES, "")


# Names that mean in the chart what they mean everywhere, in Kubernetes, Helm, cert-manager and Prometheus Operator.
PLAIN = """
    affinity annotations commonAnnotations commonLabels containerSecurityContext create digest duration enabled extraEnv
    fullnameOverride imagePullSecrets interval labels limits maxUnavailable name nameOverride nodeSelector
    percentageOfNodesToScore podAnnotations podLabels port priorityClassName pullPolicy renewBefore replicas repository
    requests terminationGracePeriodSeconds tolerations topologySpreadConstraints verbosity
"""
README = dict(
    re.findall(r"^`([A-Za-z.]+)` \| `?([^`|]+?)`? \|", (CHART / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
)


def comments() -> dict[str, str]:
    """What values.yaml says directly above each key."""
    found: dict[str, str] = {}
    path: list[tuple[str, str]] = []
    said: list[str] = []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        key = re.match(r"^( *)([A-Za-z]\w*):", line)
        if line.strip().startswith("#"):
            said.append(line.strip(" #"))
            continue
        if key:
            path = [*((indent, name) for indent, name in path if len(indent) < len(key[1])), (key[1], key[2])]
            found[".".join(name for _, name in path)] = " ".join(said)
        said = []
    return found


def test_every_value_is_explained_where_it_is_shown_or_is_named_as_everywhere() -> None:
    """`helm show values` prints values.yaml; what stands under `settings` are flags, with their help."""
    said = comments()
    shared = {name.partition(".")[2] for name in README if name.startswith(("recorder.", "extender.", "scheduler."))}
    unexplained = {
        name
        for name in leaves(VALUES)
        if not said[name] and name not in README and name.partition(".")[2] not in shared and "settings." not in name
    }
    assert {name for name in unexplained if name.rpartition(".")[2] not in PLAIN.split()} == set()


def test_the_readme_names_values_that_there_are_with_their_defaults() -> None:
    assert len(README) > 10
    told = {name: "" if default == '""' else default for name, default in README.items()}
    assert {name: value_of(name) for name in told} == {
        name: yaml.safe_load(value) if value else "" for name, value in told.items()
    }


def value_of(name: str) -> object:
    found: Any = VALUES
    for key in name.split("."):
        found = found[key]
    return found


@pytest.mark.parametrize("component", ["recorder", "extender", "scheduler"])
def test_what_is_set_for_one_component_is_found_in_its_pods_and_in_no_other(helm: Path, component: str) -> None:
    values = {
        "podLabels": {"team": "agents"},
        "podAnnotations": {"note": "x"},
        "priorityClassName": "high",
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
        "terminationGracePeriodSeconds": 40,
    }
    given = [f"--set-json={component}.{key}={json.dumps(value)}" for key, value in values.items()]
    objects = by_key(template(helm, "--set", "scheduler.enabled=true", *given))
    for name in ("recorder", "extender", "scheduler"):
        pod = objects["apps/v1", "Deployment", "lastnode-system", f"lastnode-{name}"]["spec"]["template"]
        found = {
            "podLabels": {key: value for key, value in pod["metadata"]["labels"].items() if key == "team"},
            "podAnnotations": {key: value for key, value in pod["metadata"]["annotations"].items() if key == "note"},
            **{key: pod["spec"].get(key) for key in list(values)[2:6]},
            "extraEnv": pod["spec"]["containers"][-1].get("env"),
            "topologySpreadConstraints": pod["spec"]["topologySpreadConstraints"][2:],
            "terminationGracePeriodSeconds": pod["spec"]["terminationGracePeriodSeconds"],
        }
        assert (found == values) is (name == component), name


@pytest.mark.parametrize(
    ("where", "programs"),
    [
        ("settings", (RecorderSettings, ExtenderSettings)),
        ("recorder.settings", (RecorderSettings,)),
        ("preference", (ExtenderSettings,)),
    ],
)
def test_every_setting_is_a_flag_in_camel_case(where: str, programs: tuple[type[BaseSettings], ...]) -> None:
    flags = {re.sub("([A-Z])", r"_\1", name).lower() for name in value_of(where)}  # type: ignore[attr-defined]
    assert [flags - program.model_fields.keys() for program in programs] == [set()] * len(programs)


def test_a_digest_wins_over_the_tag(helm: Path) -> None:
    digest = "sha256:" + "0" * 64
    objects = template(helm, "--set", f"image.repository=r.example/lastnode,image.tag=v2,image.digest={digest}")
    images = {
        c["image"]
        for obj in objects
        if obj["kind"] == "Deployment"
        for c in obj["spec"]["template"]["spec"]["containers"]
    }
    assert images == {f"r.example/lastnode@{digest}"}


def test_a_changed_setting_restarts_the_pods_that_read_it_and_no_others(helm: Path) -> None:
    def checksums(*arguments: str) -> dict[str, str]:
        return {
            obj["metadata"]["name"]: obj["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for obj in template(helm, *arguments)
            if obj["kind"] == "Deployment"
        }

    before = checksums()
    assert checksums() == before
    after = checksums("--set", "recorder.settings.writers=4")
    assert {name for name in before if before[name] != after[name]} == {"lastnode-recorder"}


@pytest.mark.parametrize("version", ["v1.33.5-gke.100", "v1.34.1-eks-abc123", "v1.36.0"])
def test_the_second_scheduler_is_of_the_clusters_own_version(helm: Path, version: str) -> None:
    objects = by_key(template(helm, "--set", "scheduler.enabled=true", "--kube-version", version))
    scheduler = objects["apps/v1", "Deployment", "lastnode-system", "lastnode-scheduler"]
    image = scheduler["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"registry.k8s.io/kube-scheduler:{re.split('-', version)[0]}"


def test_the_longest_name_of_a_release_makes_no_name_too_long(helm: Path) -> None:
    longest = "r" * 53
    objects = template(helm, "--values", str(SETUPS / "everything.yaml"), release=longest)
    services = [obj["metadata"]["name"] for obj in objects if obj["kind"] == "Service"]
    assert any(name.startswith("rrr") for name in services)
    assert [name for name in services if len(name) > 63] == []


def test_another_releases_objects_have_other_names(helm: Path) -> None:
    everything = ("--values", str(SETUPS / "everything.yaml"))
    first = by_key(template(helm, *everything))
    second = by_key(template(helm, *everything, release="other"))
    shared = {at[1:] for at in first.keys() & second.keys()}
    assert shared == set()
