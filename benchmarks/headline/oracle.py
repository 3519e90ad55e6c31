"""The best that placement could reach in the same world: what is physically possible, whatever scheduler. Pure.

A session runs on its last node whenever that is there, not cordoned, and has room left in the wave; every such session
takes the same room, so that serving them first is the most that can come back of a wave. A session that cannot, runs
where the model says that it is Ready soonest; a first one where the most room is left, as its next session will find it
there too. It does not see the future: knowing which nodes will leave, one could do better still. Room is CPU alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from benchmarks.headline import model, world
from benchmarks.headline.ran import Ran, why
from benchmarks.headline.world import Round
from testbed.agent.images import Layers
from testbed.agent.imagestore import ImageStore

# Seconds of the model between the waves: whatever a wave pulls is there before the next one.
_PAUSE = 1e6


class Oracle:
    """Places everybody; keeps what the nodes hold, and who ran where."""

    def __init__(self, images: Mapping[str, Layers]) -> None:
        self._images = images
        self._stores: dict[str, ImageStore] = {}
        self._last: dict[int, str] = {}
        self._now = 0.0

    def run(self, rounds: Iterable[Round]) -> Iterator[Ran]:
        """One session of each workload a round."""
        for now in rounds:
            for node in now.gone:
                del self._stores[node]
            for node in now.come:
                self._stores[node] = ImageStore(model.BANDWIDTH, model.IMAGE_CACHE)
            for number, wave in enumerate(now.waves):
                self._now += _PAUSE
                yield from self._wave(now, number, wave)

    def _wave(self, now: Round, number: int, wave: Iterable[int]) -> Iterator[Ran]:
        room = {node: world.room(now, node) for node in now.taken}
        placed: dict[int, str] = {}
        for workload in wave:
            last = self._last.get(workload, "")
            if room.get(last, 0):
                placed[workload] = last
                room[last] -= 1
        full = {node: world.room(now, node) - left for node, left in room.items()}
        started = [self._start(workload, node) for workload, node in placed.items()]
        for workload in (each for each in wave if each not in placed):
            node = (self._soonest if workload in self._last else self._emptiest)(workload, room)
            room[node] -= 1
            placed[workload] = node
            started.append(self._start(workload, node))
        for workload, (seconds, pulled) in zip(placed, started, strict=True):
            node, last = placed[workload], self._last.get(workload, "")
            reason = why(workload, node, last, now, full.get(last, 0), {})
            yield Ran(now.number, number, workload, node, seconds, pulled, last, reason)
            self._stores[node].release(str(workload), self._now + _PAUSE / 2)
        self._last |= placed

    def _emptiest(self, workload: int, room: Mapping[str, int]) -> str:
        return max(room, key=lambda node: (room[node], node))

    def _soonest(self, workload: int, room: Mapping[str, int]) -> str:
        layers = self._images[model.image_of(workload)]
        return min(
            (node for node, left in room.items() if left),
            key=lambda node: (self._stores[node].ready_at(layers, self._now), -room[node], node),
        )

    def _start(self, workload: int, node: str) -> tuple[float, int]:
        image = model.image_of(workload)
        pull = self._stores[node].admit(str(workload), [(image, self._images[image])], self._now)
        return pull.done_at - self._now + model.CONTAINER_START, pull.bytes
