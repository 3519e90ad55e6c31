"""Which sessions wait for which objects: looked up by what has come. Not safe to share between threads by itself."""

from collections.abc import Iterator

from lastnode.attribution import Awaited
from recorder.life import Life


class Awaiting:
    """Sessions by what each of them waits for; iterates over that."""

    def __init__(self) -> None:
        self._lives: dict[Awaited, dict[str, Life]] = {}  # by the pod's UID

    def put(self, life: Life, awaits: tuple[Awaited, ...] = ()) -> None:
        """Have it wait for any of these, and for nothing else."""
        for awaited in life.awaits:
            others = self._lives[awaited]
            del others[life.session.uid]
            if not others:
                del self._lives[awaited]
        life.awaits = awaits
        for awaited in awaits:
            self._lives.setdefault(awaited, {})[life.session.uid] = life

    def of(self, awaited: Awaited) -> list[Life]:
        """Those that wait for this."""
        return list(self._lives.get(awaited, {}).values())

    def everybody(self) -> list[Life]:
        """Each once."""
        return list({life.session.uid: life for lives in self._lives.values() for life in lives.values()}.values())

    def __iter__(self) -> Iterator[Awaited]:
        return iter(self._lives)
