"""Real and simulated machines side by side: both pull the same images, and a table says how far apart they are.

One real kubelet and one simulated machine, on one control plane. Downloads last as long as containerd was seen to write
what came; the rest of what the kubelet calls the pull is unpacking. A busy machine unpacks more slowly: how much CPU
time containerd took for it stands beside, and what one would calibrate the model with is fitted to that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from lastnode.kube.errors import KubeError
from testbed.agent import names
from testbed.agent.images import Layer
from testbed.errors import LocalError
from testbed.nodes.demo import pull_seconds
from testbed.nodes.images import Files, real_files
from testbed.nodes.realnodes import RealNodes, control_plane
from testbed.stack import Stack, is_ready

REAL: Final = "node-0"
MODEL: Final = "simulated-0"
_PODS: Final = "/api/v1/namespaces/default/pods"
_PULLED: Final = "/api/v1/namespaces/default/events?fieldSelector=reason=Pulled,involvedObject.name="
# A kubelet looks every 30 s and reports every 10: all that is pulled is listed after 40.
_LISTED_SECONDS: Final = 60.0
_PULL_SECONDS: Final = 300.0
File = tuple[str, Path]
# What is pulled: by what pods call it, which image of the table that is, and its layers.
Plan = dict[str, tuple[str, tuple[Layer, ...]]]
_IMAGES: Final = ("large files", "small files", "library", "three layers")


class Took(NamedTuple):
    """Seconds: of the download, and of the rest of the pull; from a pod to its being Ready where its image was there;
    from the pull to being listed in the node's status."""

    download: float
    unpack: float
    present: float
    listed: float = 0.0

    @property
    def pull(self) -> float:
        return self.download + self.unpack


@dataclass(frozen=True)
class Pull:
    """``cpu``: seconds of containerd's, from the last downloaded byte on."""

    image: str
    layers: tuple[Layer, ...]
    real: Took
    model: Took
    cpu: float

    @property
    def megabytes(self) -> float:
        return sum(layer.size for layer in self.layers) / 1e6

    @property
    def files(self) -> int:
        return sum(layer.files for layer in self.layers)


def images_of(files: Sequence[File], most: int) -> dict[str, Sequence[list[File]]]:
    """Name -> the files of each layer, ``most`` bytes in all, so that bytes and files are told apart."""
    rising = sorted(files, key=_size)
    library = _first(files, most)
    large, small = _first(rising[::-1], most), _first(rising, most // 10)
    return dict(zip(_IMAGES, ([large], [small], [library], [library[at::3] for at in range(3)]), strict=True))


def fitted(pulls: Iterable[Pull]) -> tuple[float, float]:
    """Seconds for a megabyte and for 1,000 files with which the model would come closest to the CPU time taken."""
    points = [(pull.megabytes, pull.files / 1000, pull.cpu) for pull in pulls]
    mm, mf, ff = (sum(a[i] * a[j] for a in points) for i, j in ((0, 0), (0, 1), (1, 1)))
    mc, fc = (sum(a[i] * a[2] for a in points) for i in (0, 1))
    det = mm * ff - mf * mf
    return ((mc * ff - fc * mf) / det, (fc * mm - mc * mf) / det) if det else (mc / mm, 0.0)


@dataclass
class Watch:
    """When things were seen first, by time.monotonic(); while a pull lasts, what containerd does."""

    stack: Stack
    disk: Path
    seen: dict[str, float] = field(default_factory=dict)
    writing: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def look(self) -> None:
        """Pods by name, once they are Ready; images as NODE/NAME, once they are listed."""
        now = time.monotonic()
        if any(self.disk.glob("lib/containerd/io.containerd.content.v1.content/ingest/*")):
            self.writing.append(now)
            self.cpu.append(self.cpu_seconds())
        ready = [pod["metadata"]["name"] for pod in self._items(_PODS) if is_ready(pod)]
        for node in self._items("/api/v1/nodes"):
            images = node["status"].get("images") or []
            ready += [f"{node['metadata']['name']}/{name}" for image in images for name in image["names"] or ()]
        for thing in ready:
            self.seen.setdefault(thing, now)

    def until(self, things: Sequence[str], within: float = _PULL_SECONDS) -> None:
        """:raises LocalError: not all were seen in time."""

        def all_seen() -> bool:
            self.look()
            return all(thing in self.seen for thing in things)

        self.stack.wait(all_seen, f"{' and '.join(things)}", within)

    def cpu_seconds(self) -> float:
        """Of the real machine's containerd, so far."""
        found = subprocess.run(
            ["pgrep", "-f", f"^containerd --config {self.disk.parent}/"], check=True, capture_output=True, text=True
        )
        words = Path(f"/proc/{found.stdout.split()[0]}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def _items(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.stack.api.get(path)["items"]
        return items


@dataclass
class Calibration:
    """Pulls on both machines, one image after the other."""

    watch: Watch

    def run(self, plan: Plan) -> list[Pull]:
        self._start("pause", "before")  # of whose image every first pod has need
        pulls = {label: self._pull(label, image, layers) for label, (image, layers) in plan.items()}
        self.watch.until([_listed(node, label) for label in pulls for node in (REAL, MODEL)], _LISTED_SECONDS)
        return [
            replace(pull, real=self._finished(pull.real, REAL, label), model=self._finished(pull.model, MODEL, label))
            for label, pull in pulls.items()
        ]

    def _pull(self, label: str, image: str, layers: tuple[Layer, ...]) -> Pull:
        self.watch.writing, self.watch.cpu = [], [self.watch.cpu_seconds()]
        self._start(label, "first")
        cpu = self.watch.cpu_seconds() - self.watch.cpu[-1]
        real, model = self._real_pull(_pod(label, REAL, "first")), self._model_pull(_pod(label, MODEL, "first"))
        asked = self._start(label, "again")
        present = {node: self.watch.seen[_pod(label, node, "again")] - asked for node in (REAL, MODEL)}
        for pod in (_pod(label, node, turn) for node in (REAL, MODEL) for turn in ("first", "again")):
            self.watch.stack.api.delete(f"{_PODS}/{pod}?gracePeriodSeconds=0")
        return Pull(image, layers, Took(*real, present[REAL]), Took(*model, present[MODEL]), cpu)

    def _start(self, label: str, turn: str) -> float:
        """A pod with this image on each machine, Ready when this returns; when they were asked for."""
        asked = time.monotonic()
        for node in (REAL, MODEL):
            container = {"name": "c", "image": f"registry.example/{label}:1"}
            spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _pod(label, node, turn)}, "spec": spec}
            self.watch.stack.api.post(_PODS, body)
        self.watch.until([_pod(label, node, turn) for node in (REAL, MODEL)])
        return asked

    def _real_pull(self, pod: str) -> tuple[float, float]:
        api = self.watch.stack.api
        self.watch.stack.wait(lambda: bool(api.get(_PULLED + pod)["items"]), f"the Event of {pod}'s pull")
        pulled = pull_seconds(api.get(_PULLED + pod)["items"][0]["message"])
        seen = self.watch.writing[-1] - self.watch.writing[0] if self.watch.writing else 0.0
        download = min(seen, pulled)  # on a busy machine the Watch looks late
        return download, pulled - download

    def _model_pull(self, pod: str) -> tuple[float, float]:
        conditions = self.watch.stack.api.get(f"{_PODS}/{pod}")["status"]["conditions"]
        (said,) = (json.loads(each["message"]) for each in conditions if each["type"] == names.START_UP)
        return said["downloadSeconds"], said["pullSeconds"] - said["downloadSeconds"]

    def _finished(self, took: Took, node: str, label: str) -> Took:
        return took._replace(listed=self.watch.seen[_listed(node, label)] - self.watch.seen[_pod(label, node, "first")])


def print_pulls(console: Console, pulls: Sequence[Pull]) -> None:
    """Means of the pulls of an image, real and model side by side, and how far apart."""
    table = Table(title="Seconds, real | model", title_justify="left", header_style="bold")
    columns = ("image", "MB", "files", "download", "unpack", "its CPU", "pull", "model of real", "present", "listed")
    for column in columns:
        table.add_column(column, justify="left" if column == "image" else "right")
    for image in dict.fromkeys(pull.image for pull in pulls):
        own = [pull for pull in pulls if pull.image == image]

        def both(of: Callable[[Took], float], own: Sequence[Pull] = own) -> tuple[float, float]:
            return fmean(of(pull.real) for pull in own), fmean(of(pull.model) for pull in own)

        shown = [both(of) for of in (lambda t: t.download, lambda t: t.unpack, lambda t: t.pull)]
        shown += [both(lambda t: t.present), both(lambda t: t.listed)]
        download, unpack, pull, present, listed = (f"{real:.2f} | {model:.2f}" for real, model in shown)
        cpu, apart = fmean(pull.cpu for pull in own), shown[2][1] / shown[2][0]
        size = (f"{own[0].megabytes:.1f}", f"{own[0].files:,}")
        table.add_row(image, *size, download, unpack, f"{cpu:.2f}", pull, f"{apart:.0%}", present, listed)
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Start both machines, pull, print, take everything away again."""
    parser = argparse.ArgumentParser(prog="python -m testbed.nodes.calibrate", description=__doc__, allow_abbrev=False)
    parser.add_argument("--megabytes", type=int, default=150, help="of files in the larger images (default: 150)")
    parser.add_argument("--mbit", type=int, default=200, help="a second that a node downloads (default: 200)")
    parser.add_argument("--repeats", type=int, default=2, help="pulls of each image (default: 2)")
    parser.add_argument("--images", type=lambda text: text.split(","), default=[*_IMAGES], metavar="A,B",
                        help=f"of {', '.join(_IMAGES)} (default: all)")  # fmt: skip
    options = parser.parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    try:
        with Stack.start(crds=(), **control_plane(1)) as stack:
            nodes = RealNodes.start(stack, 1, rate=f"{options.mbit}mbit")
            nodes.configure(REAL, nodeStatusUpdateFrequency="10s")  # kubelet's default, and the model's
            nodes.wait_ready()
            plan = _pushed(nodes, options.images, options.megabytes * 1_000_000, options.repeats)
            catalogue = stack.cp.dir / "catalogue.json"
            catalogue.write_text(json.dumps({f"registry.example/{label}:1": plan[label][1] for label in plan}))
            flags = {"--image-catalogue": catalogue, "--bandwidth": options.mbit * 1e6 / 8}
            stack.start_agent(1, "--node-prefix", "simulated-", *(str(word) for pair in flags.items() for word in pair))
            pulls = Calibration(Watch(stack, nodes.disk(REAL))).run(plan)
    except (LocalError, KubeError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 1
    print_pulls(console, pulls)
    megabyte, files = fitted(pulls)
    fit = f"fitted to the CPU time: {megabyte:.3f} s a MB, {files:.3f} s for 1,000 files"
    console.print(f"{fit}; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}", soft_wrap=True)
    return 0


def _pushed(nodes: RealNodes, wanted: Container[str], most: int, repeats: int) -> Plan:
    """Every image, in turn, as often as it is to be pulled, each time with layers of its own."""
    plan: Plan = {}
    program = nodes.program()
    packed = {
        image: [(Files(files), len(files)) for files in layers]
        for image, layers in images_of([*real_files(10**10)], most).items()
        if image in wanted
    }
    for turn in range(repeats):
        for number, (image, layers) in enumerate(packed.items()):
            label = f"image-{number}-{turn}"
            made = [files.layer(f"{label}/{place}") for place, (files, _) in enumerate(layers)]
            nodes.registry.push(label, [program, *made])
            counts = [count for _, count in layers]
            sizes = zip(made, counts, strict=True)
            own = (Layer(each.diff_id, len(each.blob), count + 1) for each, count in sizes)
            plan[label] = image, (Layer("program", len(program.blob), 1), *own)
    return plan


def _first(files: Sequence[File], most: int) -> list[File]:
    """So many bytes of them, and at least one."""
    sums = accumulate(path.stat().st_size for _, path in files)
    return [file for number, (file, total) in enumerate(zip(files, sums, strict=True)) if total <= most or not number]


def _size(file: File) -> int:
    return file[1].stat().st_size


def _pod(label: str, node: str, turn: str) -> str:
    return f"{label}-{node}-{turn}"


def _listed(node: str, label: str) -> str:
    return f"{node}/registry.example/{label}:1"


if __name__ == "__main__":
    raise SystemExit(main())
