"""The best that placement could reach in the same world: what is physically possible, whatever scheduler. Pure.

As many sessions of a wave as can run on nodes that their workloads remember, which are there, not cordoned, and have
room; on the last ones where that keeps nobody away. Every other session runs where the model says that it is Ready
soonest: where most of its image's layers are, or will be. So does a first one, but it takes twice the time for twice
the room, because its next sessions will want to run there too. It does not see the future: knowing which nodes leave,
one could do better still, and of first sessions that it takes one by one it is no limit. Room is CPU alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.headline import model, world
from benchmarks.headline.ran import Memories, Ran, why
from benchmarks.headline.seats import assign
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
        self._memories = Memories()
        self._now = 0.0

    def run(self, rounds: Iterable[Round]) -> Iterator[Ran]:
        """Every session of these rounds."""
        for now in rounds:
            for node in now.gone:
                del self._stores[node]
            for node in now.come:
                self._stores[node] = ImageStore(model.SPEED, model.IMAGE_CACHE)
            for number, wave in enumerate(now.waves):
                self._now += _PAUSE
                yield from self._wave(now, number, wave)

    def _wave(self, now: Round, number: int, wave: Sequence[int]) -> Iterator[Ran]:
        room = {node: world.room(now, node) for node in now.taken}
        known = [self._memories.of(workload) for workload in wave]
        nodes = assign(known, room)
        load = Counter(node for node in nodes if node)
        left = {node: count - load[node] for node, count in room.items()}
        started: dict[int, tuple[float, int]] = {}
        for session in sorted(range(len(wave)), key=lambda session: not nodes[session]):
            if not nodes[session]:
                nodes[session] = self._best(wave[session], left)
                left[nodes[session]] -= 1
            started[session] = self._start(session, wave[session], nodes[session])
        for session, (workload, node) in enumerate(zip(wave, nodes, strict=True)):
            reason = why(node, known[session], now, load, known[session])
            yield Ran(now.number, number, workload, node, *started[session], known[session], reason)
            self._stores[node].release(str(session), self._now + _PAUSE / 2)
            self._memories.add(workload, node)

    def _best(self, workload: int, left: Mapping[str, int]) -> str:
        layers, returns = self._images[model.image_of(workload)], bool(self._memories.of(workload))

        def price(node: str) -> tuple[float, int, str]:
            seconds = self._stores[node].ready_at(layers, self._now) - self._now + model.CONTAINER_START
            return seconds / (1 if returns else left[node]), -left[node], node

        return min((node for node, places in left.items() if places), key=price)

    def _start(self, session: int, workload: int, node: str) -> tuple[float, int]:
        image = model.image_of(workload)
        pull = self._stores[node].admit(str(session), [(image, self._images[image])], self._now)
        return pull.done_at - self._now + model.CONTAINER_START, pull.bytes
