"""The command line: flags with their defaults, and mistakes said in one line."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from testbed.agent.images import CatalogueError, Images, ImageSizes, Layers, read_catalogue
from testbed.agent.machines import Model
from testbed.agent.nodes import NodeShape
from testbed.agent.pulls import Speed


@dataclass(frozen=True, slots=True)
class Settings:
    kubeconfig: str | None
    nodes: int
    node_prefix: str
    model: Model
    writers: int
    sandbox_status: bool
    verbose: bool


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Flags to settings. Exits with code 2 and one line on stderr for a mistake."""
    flags = _parser().parse_args(arguments)
    model = Model(
        shape=NodeShape(flags.cpu, flags.memory, flags.pods, flags.hostname_suffix),
        images=Images(ImageSizes(flags.image_size, flags.image_spread, flags.seed), flags.image_catalogue),
        speed=Speed(flags.bandwidth, flags.unpack_megabyte, flags.unpack_files),
        image_cache=flags.image_cache,
        container_start=flags.container_start,
        time_scale=flags.time_scale,
        status_images=flags.status_images,
        list_period=flags.list_period,
        status_period=flags.status_period,
        running_state=flags.running_state,
    )
    return Settings(
        kubeconfig=flags.kubeconfig,
        nodes=flags.nodes,
        node_prefix=flags.node_prefix,
        model=model,
        writers=flags.writers,
        sandbox_status=flags.sandbox_status,
        verbose=flags.verbose,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"agent: {message} (--help lists the flags)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m testbed.agent",
        description="Stands in for the kubelets, the sandbox controller and the garbage collectors of a cluster.",
        epilog="Durations are seconds of the model; --time-scale says how long one of them really takes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    _add_nodes(parser.add_argument_group("nodes"))
    _add_images(parser.add_argument_group("images and time"))
    group = parser.add_argument_group("the program")
    group.add_argument("--kubeconfig", metavar="FILE", help="the cluster to serve (default: the usual one)")
    group.add_argument("--writers", type=_count(1), default=8, metavar="N", help="connections that write")
    group.add_argument(
        "--sandbox-status",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write Ready to Sandboxes too",
    )
    group.add_argument(
        "--running-state",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="write Running before Ready",
    )
    group.add_argument("-v", "--verbose", action="store_true", help="log every request that came to nothing")
    return parser


def _add_nodes(group: argparse._ArgumentGroup) -> None:
    shape = NodeShape()
    group.add_argument("--nodes", type=_count(0), default=20, metavar="N", help="nodes to make where they are missing")
    group.add_argument("--node-prefix", default="node-", metavar="TEXT", help="their names are this and a number")
    group.add_argument("--hostname-suffix", default="", metavar="TEXT", help="the hostname label is the name and this")
    group.add_argument("--cpu", default=shape.cpu, metavar="QUANTITY", help="CPUs of a node")
    group.add_argument("--memory", default=shape.memory, metavar="QUANTITY", help="memory of a node")
    group.add_argument("--pods", type=_count(1), default=shape.pods, metavar="N", help="pods that a node takes")


def _add_images(group: argparse._ArgumentGroup) -> None:
    model, sizes = Model(), Model().images.sizes
    group.add_argument("--image-size", type=_count(1), default=sizes.median, metavar="BYTES", help="the median")
    group.add_argument("--image-spread", type=_positive(zero=True), default=sizes.spread, metavar="X",
                       help="standard deviation of the sizes' logarithm")  # fmt: skip
    group.add_argument("--seed", type=_count(0), default=sizes.seed, metavar="N", help="other sizes per name")
    group.add_argument("--image-catalogue", type=_catalogue, default="", metavar="FILE",
                       help="JSON with the layers of images: {image: [[layer, bytes, files], …]}")  # fmt: skip
    group.add_argument("--image-cache", type=_count(1), metavar="BYTES", help="what a node keeps (default: all)")
    group.add_argument("--bandwidth", type=_positive(), default=model.speed.bandwidth, metavar="BYTES/S",
                       help="of the downloads of one node")  # fmt: skip
    group.add_argument("--unpack-megabyte", type=_positive(zero=True), default=model.speed.unpack_megabyte,
                       metavar="S", help="to unpack a megabyte as it is downloaded")  # fmt: skip
    group.add_argument("--unpack-files", type=_positive(zero=True), default=model.speed.unpack_files, metavar="S",
                       help="on top, to unpack 1,000 files")  # fmt: skip
    group.add_argument("--container-start", type=_positive(zero=True), default=model.container_start, metavar="S",
                       help="from the image being there to Ready")  # fmt: skip
    group.add_argument("--status-images", type=_count(0), default=model.status_images, metavar="N",
                       help="images that a node reports")  # fmt: skip
    group.add_argument("--list-period", type=_positive(zero=True), default=model.list_period, metavar="S",
                       help="how often it looks which images it has")  # fmt: skip
    group.add_argument("--status-period", type=_positive(zero=True), default=model.status_period, metavar="S",
                       help="how often it reports what it saw")  # fmt: skip
    group.add_argument("--time-scale", type=_positive(), default=model.time_scale, metavar="X",
                       help="real seconds that one second of the model takes")  # fmt: skip


def _catalogue(path: str) -> Mapping[str, Layers]:
    try:
        return read_catalogue(Path(path)) if path else {}
    except CatalogueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(least: int) -> Callable[[str], int]:
    def parse_count(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return value

    return parse_count


def _positive(zero: bool = False) -> Callable[[str], float]:
    def parse_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {'of at least' if zero else 'above'} 0")
        return value

    return parse_number
