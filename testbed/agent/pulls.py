"""How long one machine takes to pull an image: download its layers and unpack them, as containerd does. Pure.

Layers are downloaded side by side and unpacked one after the other, each on top of those below it: a layer is unpacked
while those above it still come.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from testbed.agent.images import Layer

# containerd's max_concurrent_downloads.
SIDE_BY_SIDE: Final = 3


class Speed(NamedTuple):
    """``bandwidth``: bytes a second that come from the registry. ``unpack_megabyte``, ``unpack_files``: seconds for a
    megabyte as it was pulled, and on top for 1,000 files, however small.

    The latter two are what containerd 1.6 needs of one CPU of 2026 for files of a Python installation, which unpacking
    makes 3 to 4 times as large, as ``python -m testbed.nodes.calibrate`` saw it: 0.027 to 0.034 s, and 0.15 to 0.45 s.
    Whatever else is running makes it longer; and what does not compress (weights of a model, videos) takes a quarter,
    as most of it is for what comes out.
    """

    bandwidth: float = 100e6
    unpack_megabyte: float = 0.033
    unpack_files: float = 0.3

    def scaled(self, seconds: float) -> Speed:
        """Where one second of the model takes so many."""
        return Speed(self.bandwidth / seconds, self.unpack_megabyte * seconds, self.unpack_files * seconds)

    def unpacking(self, layer: Layer) -> float:
        return layer.size / 1e6 * self.unpack_megabyte + layer.files / 1e3 * self.unpack_files


class Took(NamedTuple):
    """Seconds since a pull began: until each layer was there as it was pulled; until it was unpacked."""

    downloaded: tuple[float, ...]
    unpacked: tuple[float, ...]


@lru_cache(maxsize=1 << 16)
def pull(layers: tuple[Layer, ...], speed: Speed) -> Took:
    """Of layers that are all missing, the lowest first, by a machine that pulls nothing else."""
    downloaded, unpacked, at = _downloaded(layers, speed.bandwidth), [], 0.0
    for layer, there in zip(layers, downloaded, strict=True):
        at = max(at, there) + speed.unpacking(layer)
        unpacked.append(at)
    return Took(tuple(downloaded), tuple(unpacked))


def _downloaded(layers: Sequence[Layer], bandwidth: float) -> list[float]:
    """Those that are downloaded side by side have equal shares."""
    left, there, at = {number: layer.size for number, layer in enumerate(layers)}, [0.0] * len(layers), 0.0
    while left:
        running = [*left][:SIDE_BY_SIDE]
        least = min(left[number] for number in running)
        at += least * len(running) / bandwidth
        for number in running:
            left[number] -= least
            if not left[number]:
                there[number] = at
                del left[number]
    return there
