"""One node's images: what it holds, what it must pull for a pod, and until when. Pure; time is an argument.

As the kubelet does by default (serializeImagePulls), one image is pulled and unpacked at a time (``pulls`` says how
long) and whoever comes later waits. What is being pulled already is waited for, not pulled twice, and a layer that
another image brought is there. A pull that
was begun is finished, even when its pod is deleted meanwhile. Simplified: all images of a pod are queued when the pod
arrives, and room is made at once instead of by a periodic garbage collection.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from testbed.agent import pulls
from testbed.agent.images import Layers
from testbed.agent.pulls import Speed


class Pull(NamedTuple):
    """``done_at``: when all images of the pod are there. ``bytes``: what is pulled for it, 0 when nothing is.
    ``downloaded_at``: when the last of these bytes was there; the rest was unpacking."""

    done_at: float
    bytes: int
    downloaded_at: float


@dataclass(slots=True)
class _Layer:
    size: int
    there_at: float
    images: int = 0  # that consist of it, among others


@dataclass(slots=True)
class _Image:
    layers: Layers
    there_at: float
    users: int = 0

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)


class ImageStore:
    """``capacity`` in bytes, None for no limit.

    Over its capacity it drops the image that was used longest ago, and the layers that no other image needs; but never
    an image that a pod uses or that is still being pulled: then it holds more than its capacity.
    """

    def __init__(self, speed: Speed, capacity: int | None = None) -> None:
        self._speed = speed
        self._capacity = capacity
        self._images: dict[str, _Image] = {}  # the one used longest ago first
        self._layers: dict[str, _Layer] = {}
        self._in_use: dict[str, tuple[str, ...]] = {}  # pod -> its images
        self._free_at = 0.0  # when it has pulled what it has begun
        self._bytes = 0

    def remember(self, images: Iterable[tuple[str, Layers]]) -> None:
        """Images (name, layers) that are on the disk already."""
        for name, layers in images:
            if name not in self._images:
                for layer in layers:
                    self._layers.setdefault(layer.name, _Layer(layer.size, 0.0))
                self._add(name, layers)

    def admit(self, pod: str, images: Iterable[tuple[str, Layers]], now: float) -> Pull:
        """The pod needs these images (name, layers) from ``now`` on, until it is released."""
        self.release(pod, now)
        wanted = dict(images)
        done_at, pulled, downloaded_at = now, 0, now
        for name, layers in wanted.items():
            if name not in self._images:
                if missing := self._missing(layers):
                    pulled += sum(layer.size for layer in missing)
                    downloaded_at = self._pull(missing, now)
                self._add(name, layers)
            done_at = max(done_at, self._use(name))
        self._in_use[pod] = tuple(wanted)
        self._make_room(now)
        return Pull(done_at, pulled, downloaded_at)

    def ready_at(self, layers: Layers, now: float) -> float:
        """When an image of these layers would be there, if it were asked for now; nothing is changed."""
        known = [self._layers[layer.name].there_at for layer in layers if layer.name in self._layers]
        if missing := self._missing(layers):
            known.append(max(now, self._free_at) + pulls.pull(missing, self._speed).unpacked[-1])
        return max([now, *known])

    def release(self, pod: str, now: float) -> bool:
        """The pod is gone; says whether images were dropped because of that."""
        for name in self._in_use.pop(pod, ()):
            image = self._images.pop(name)
            image.users -= 1
            self._images[name] = image  # used until now
        return self._make_room(now)

    def held(self, now: float) -> list[tuple[str, int]]:
        """(name, bytes) of the images that are complete, the largest first, as a kubelet reports them."""
        there = [(name, image.size) for name, image in self._images.items() if image.there_at <= now]
        return sorted(there, key=lambda item: (-item[1], item[0]))

    def _missing(self, layers: Layers) -> Layers:
        return tuple({layer.name: layer for layer in layers if layer.name not in self._layers}.values())

    def _pull(self, missing: Layers, now: float) -> float:
        """Queue these layers; returns when the last of them is downloaded."""
        began, took = max(now, self._free_at), pulls.pull(missing, self._speed)
        for layer, seconds in zip(missing, took.unpacked, strict=True):
            self._layers[layer.name] = _Layer(layer.size, began + seconds)
        self._free_at = began + took.unpacked[-1]
        return began + max(took.downloaded)

    def _add(self, name: str, layers: Layers) -> None:
        own = [self._layers[name] for name in _names(layers)]
        for layer in own:
            self._bytes += 0 if layer.images else layer.size
            layer.images += 1
        self._images[name] = _Image(layers, max((layer.there_at for layer in own), default=0.0))

    def _drop(self, name: str) -> None:
        for layer in _names(self._images.pop(name).layers):
            held = self._layers[layer]
            held.images -= 1
            if not held.images:
                self._bytes -= self._layers.pop(layer).size

    def _use(self, name: str) -> float:
        image = self._images.pop(name)
        image.users += 1
        self._images[name] = image
        return image.there_at

    def _make_room(self, now: float) -> bool:
        if self._capacity is None or self._bytes <= self._capacity:
            return False
        idle = [name for name, image in self._images.items() if not image.users and image.there_at <= now]
        for name in idle:
            if self._bytes <= self._capacity:
                break
            self._drop(name)
        return bool(idle)


def _names(layers: Layers) -> dict[str, None]:
    return dict.fromkeys(layer.name for layer in layers)
