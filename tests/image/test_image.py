"""The image, built for real and without a Docker engine, and its programs run from it as the chart's pods run them."""

from __future__ import annotations

import base64
import os
import re
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.binaries import find_tools
from testbed.component import Component
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.chart.release import Release
from tests.chart.running import Installed
from tests.chart.sessions import Workload, returns
from tests.extender.cluster import make_nodes
from tests.image import debian
from tests.image.container import Image, Store
from tools.image import Order, build, commit_time

PROGRAMS = ("lastnode-recorder", "lastnode-extender", "kubectl-lastnode")
BUILT_FROM = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE", "requirements", "lastnode",
              "recorder", "extender", "kubectl_lastnode")  # fmt: skip
MEGABYTE = 1_000_000
WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lastnode-webhook"


def missing() -> str:
    """What keeps the image from being built here; empty when nothing does."""
    if os.geteuid() != 0:
        return "only root can lay out the files of an image with their owners"
    if not shutil.which("buildah"):
        return "buildah is not on PATH (Debian: apt install buildah)"
    return debian.missing()


# The first time there is a base to be made: a minute, and more on a busy machine.
pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing()), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    directory = tmp_path_factory.mktemp("images")
    store = Store(directory)
    yield store
    store.buildah("rm", "--all")
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def base(store: Store) -> str:
    return store.load(debian.base(), "base")


@pytest.fixture(scope="module")
def image(store: Store, base: str) -> Image:
    return built(store, Order("localhost/lastnode:test", commit_time(), base))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start(crds=("without-stickiness",)) as stack:
        make_nodes(stack, [f"node-{number:02}" for number in range(10)])
        yield stack


def built(store: Store, order: Order) -> Image:
    build(order, "buildah", store.environ)
    return store.open(order.tag)


def run(image: Image, folder: Path, *command: str) -> str:
    argv = image.argv(command, folder)
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(installed: Installed, image: Image, deployment: str, container: str) -> tuple[Component, int]:
    """A container of the Deployment as a process from the image, on a free port; it may not be ready yet."""
    (spec,) = (one for one in installed.pod(deployment)["containers"] if one["name"] == container)
    folder, port = installed.settings(deployment), installed.stack.cp.free_port()
    shutil.copy(installed.kubeconfig(deployment), folder / "kubeconfig")
    (folder / "kubeconfig").chmod(0o444)
    argv = [*spec["command"], *spec["args"], "--kubeconfig=/etc/lastnode/kubeconfig", f"--bind=127.0.0.1:{port}"]
    entered = image.argv(argv, folder, installed.mount(deployment, "certificate"))
    return installed.stack.cp.spawn(f"{deployment} from the image", entered), port


def is_ready(url: str, trust: ssl.SSLContext | None = None) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5, context=trust) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def install(stack: Stack, directory: Path, setup: str, *arguments: str) -> tuple[Release, Installed]:
    release = Release(find_tools().helm.path, stack, directory)
    release.install(setup, *arguments)
    return release, Installed(stack, directory)


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_says_how_it_is_used(image: Image, tmp_path: Path, program: str) -> None:
    assert "--kubeconfig" in run(image, tmp_path, program, "--help")


def test_another_checkout_of_the_same_commit_gives_the_same_image(
    store: Store, base: str, image: Image, tmp_path: Path
) -> None:
    """Other times and other modes of the files, as another person's checkout has them."""
    for name in BUILT_FROM:
        subprocess.run(["cp", "-r", REPOSITORY / name, tmp_path], check=True)
    subprocess.run(["chmod", "-R", "u=rwX,go=", *tmp_path.iterdir()], check=True)
    again = built(store, Order("localhost/lastnode:again", commit_time(), base, tmp_path))
    assert again.digest == image.digest


def test_it_runs_as_nobody_and_holds_the_locked_packages_and_little_else(image: Image, tmp_path: Path) -> None:
    assert image.user == "65532:65532"
    assert run(image, tmp_path, "id", "-u").strip() == "65532"
    assert image.command[0] in PROGRAMS
    listing = "from importlib.metadata import distributions as d; [print(f'{x.name}=={x.version}') for x in d()]"
    found = set(run(image, tmp_path, "/opt/lastnode/bin/python", "-c", listing).split())
    locked = re.findall(r"^([\w.-]+==[\w.]+)", (REPOSITORY / "requirements/run.txt").read_text(), re.MULTILINE)
    others = {name.lower().replace("_", "-") for name in found} - {name.lower() for name in locked}
    assert [name.partition("==")[0] for name in others] == ["lastnode"]
    size = sum(path.lstat().st_size for path in (image.root / "opt/lastnode").rglob("*"))
    assert size < 110 * MEGABYTE


def test_nothing_in_it_can_be_written_but_the_folder_for_temporary_files(image: Image, tmp_path: Path) -> None:
    tried = "for f in / /opt/lastnode /etc/lastnode /var/tmp; do touch $f/x 2>&1 && echo $f; done; touch /tmp/x"
    assert "/x" in (said := run(image, tmp_path, "sh", "-c", tried))
    assert all("Read-only" in line or "Permission denied" in line for line in said.splitlines())


def test_sessions_come_back_by_the_programs_of_the_image(image: Image, stack: Stack, tmp_path: Path) -> None:
    release, installed = install(stack, tmp_path, "control-plane")
    recorder, recorder_port = start(installed, image, "lastnode-recorder", "recorder")
    extender, extender_port = start(installed, image, "lastnode-extender", "extender")
    for port in (recorder_port, extender_port):
        stack.wait(lambda port=port: is_ready(f"http://127.0.0.1:{port}"), "the program to be ready")  # type: ignore[misc]
    stack.extender_url = f"http://127.0.0.1:{extender_port}"
    config = stack.scheduler_config("extender.yaml")
    config["extenders"][0]["httpTimeout"] = "20s"  # no time-out may decide this on a busy machine
    scheduler = stack.cp.start_scheduler("kube-scheduler", config)
    assert returns(Workload(stack, "sticky"))
    scheduler.stop()
    assert [program.stop() for program in (recorder, extender)] == [0, 0]
    release.uninstall()


def test_the_extender_of_the_image_serves_with_the_certificate_of_the_chart(
    image: Image, stack: Stack, tmp_path: Path
) -> None:
    release, installed = install(stack, tmp_path, "webhook", "--set", "extender.tls.extraDnsNames={localhost}")
    extender, port = start(installed, image, "lastnode-extender", "extender")
    webhook, *_ = stack.api.get(WEBHOOK)["webhooks"]
    trust = ssl.create_default_context(cadata=base64.b64decode(webhook["clientConfig"]["caBundle"]).decode())
    stack.wait(lambda: is_ready(f"https://localhost:{port}", trust), "the extender to be ready")
    assert extender.stop() == 0
    release.uninstall()
