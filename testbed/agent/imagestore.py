"""One node's images: what it holds, what it must pull for a pod, and until when. Pure; time is an argument.

As the kubelet does by default (serializeImagePulls), one image is pulled at a time and whoever comes later waits. What
is being pulled already is waited for, not pulled twice, and a layer that another image brought is there. A pull that
was begun is finished, even when its pod is deleted meanwhile. Simplified: all images of a pod are queued when the pod
arrives, and room is made at once instead of by a periodic garbage collection.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from testbed.agent.images import Layers


class Pull(NamedTuple):
    """``done_at``: when all images of the pod are there. ``bytes``: what is pulled for it, 0 when nothing is."""

    done_at: float
    bytes: int


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
        return sum(size for _, size in self.layers)


class ImageStore:
    """``bandwidth`` in bytes a second; ``capacity`` in bytes, None for no limit.

    Over its capacity it drops the image that was used longest ago, and the layers that no other image needs; but never
    an image that a pod uses or that is still being pulled: then it holds more than its capacity.
    """

    def __init__(self, bandwidth: float, capacity: int | None = None) -> None:
        self._bandwidth = bandwidth
        self._capacity = capacity
        self._images: dict[str, _Image] = {}  # the one used longest ago first
        self._layers: dict[str, _Layer] = {}
        self._in_use: dict[str, tuple[str, ...]] = {}  # pod -> its images
        self._puller_free_at = 0.0
        self._bytes = 0

    def remember(self, images: Iterable[tuple[str, Layers]]) -> None:
        """Images (name, layers) that are on the disk already."""
        for name, layers in images:
            if name not in self._images:
                for layer, size in layers:
                    self._layers.setdefault(layer, _Layer(size, 0.0))
                self._add(name, layers)

    def admit(self, pod: str, images: Iterable[tuple[str, Layers]], now: float) -> Pull:
        """The pod needs these images (name, layers) from ``now`` on, until it is released."""
        self.release(pod, now)
        wanted = dict(images)
        done_at, pulled = now, 0
        for name, layers in wanted.items():
            if name not in self._images:
                pulled += self._pull(layers, now)
                self._add(name, layers)
            done_at = max(done_at, self._use(name))
        self._in_use[pod] = tuple(wanted)
        self._make_room(now)
        return Pull(done_at, pulled)

    def ready_at(self, layers: Layers, now: float) -> float:
        """When an image of these layers would be there, if it were asked for now; nothing is changed."""
        there, queued = now, max(now, self._puller_free_at)
        for name, size in layers:
            layer = self._layers.get(name)
            if layer is None:
                queued += size / self._bandwidth
                there = queued
            else:
                there = max(there, layer.there_at)
        return there

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

    def _pull(self, layers: Layers, now: float) -> int:
        """Queue what is not there; returns its bytes."""
        missing = [(name, size) for name, size in dict(layers).items() if name not in self._layers]
        for name, size in missing:
            self._puller_free_at = max(now, self._puller_free_at) + size / self._bandwidth
            self._layers[name] = _Layer(size, self._puller_free_at)
        return sum(size for _, size in missing)

    def _add(self, name: str, layers: Layers) -> None:
        own = [self._layers[layer] for layer in dict(layers)]
        for layer in own:
            self._bytes += 0 if layer.images else layer.size
            layer.images += 1
        self._images[name] = _Image(layers, max((layer.there_at for layer in own), default=0.0))

    def _drop(self, name: str) -> None:
        for layer in dict(self._images.pop(name).layers):
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
