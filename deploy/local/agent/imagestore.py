"""One node's images: what it holds, what it must pull for a pod, and until when. Pure; time is an argument.

As the kubelet does by default (serializeImagePulls), one image is pulled at a time and whoever comes later waits. An
image that is being pulled already is waited for, not pulled twice. A pull that was begun is finished, even when its
pod is deleted meanwhile. Simplified: all images of a pod are queued when the pod arrives, there are no layers, and
room is made at once instead of by a periodic garbage collection.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Pull(NamedTuple):
    """``done_at``: when all images of the pod are there. ``bytes``: what is pulled for it, 0 when nothing is."""

    done_at: float
    bytes: int


@dataclass(slots=True)
class _Image:
    size: int
    there_at: float
    users: int = 0


class ImageStore:
    """``bandwidth`` in bytes a second; ``capacity`` in bytes, None for no limit.

    Over its capacity it drops the image that was used longest ago, but never one that a pod uses or that is still
    being pulled: then it holds more than its capacity.
    """

    def __init__(self, bandwidth: float, capacity: int | None = None) -> None:
        self._bandwidth = bandwidth
        self._capacity = capacity
        self._images: dict[str, _Image] = {}  # the one used longest ago first
        self._in_use: dict[str, tuple[str, ...]] = {}  # pod -> its images
        self._puller_free_at = 0.0
        self._bytes = 0

    def remember(self, images: Iterable[tuple[str, int]]) -> None:
        """Images (name, bytes) that are on the disk already."""
        for name, size in images:
            if name not in self._images:
                self._add(name, size, there_at=0.0)

    def admit(self, pod: str, images: Iterable[tuple[str, int]], now: float) -> Pull:
        """The pod needs these images (name, bytes) from ``now`` on, until it is released."""
        self.release(pod, now)
        wanted = dict(images)
        done_at, pulled = now, 0
        for name, size in wanted.items():
            if name not in self._images:
                self._puller_free_at = max(now, self._puller_free_at) + size / self._bandwidth
                self._add(name, size, there_at=self._puller_free_at)
                pulled += size
            done_at = max(done_at, self._use(name))
        self._in_use[pod] = tuple(wanted)
        self._make_room(now)
        return Pull(done_at, pulled)

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

    def _add(self, name: str, size: int, there_at: float) -> None:
        self._images[name] = _Image(size, there_at)
        self._bytes += size

    def _use(self, name: str) -> float:
        image = self._images.pop(name)
        image.users += 1
        self._images[name] = image
        return image.there_at

    def _make_room(self, now: float) -> bool:
        if self._capacity is None or self._bytes <= self._capacity:
            return False
        idle = [name for name, image in self._images.items() if not image.users and image.there_at <= now]
        before = self._bytes
        for name in idle:
            if self._bytes <= self._capacity:
                break
            self._bytes -= self._images.pop(name).size
        return self._bytes < before
