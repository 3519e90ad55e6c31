"""Who is next: groups take turns, and what fails or is slow in some of them leaves room for the others. Pure.

Groups are to keys what flows are to requests in the API server's own fair queuing: a thousand keys of one group come
no sooner than the one of another. A group is *doubtful* once work of it failed or takes long, until some ends well and
quickly.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# A write takes some 20 ms. One that takes this long waits for a webhook, of which each may take up to 30 s.
SLOW_SECONDS: Final = 1.0
# Of all that is doubtful together. Work that ends well costs nothing, so what is whole again is made up for at full
# speed.
FAILURES_PER_SECOND: Final = 5.0
FAILURES_AT_ONCE: Final = 10
# What doubt is remembered of, also while nothing of the group is waiting.
MOST_DOUBTFUL: Final = 1024


class Turns(Generic[K]):
    """``group`` of a key; ``workers``: how many keys are worked on at once. Of these one group has seven of eight at
    most, and all doubtful ones together have half. ``now`` is monotonic seconds everywhere.

    So a group that turns slow for the first time, with much waiting, leaves the others an eighth until what it has at
    work ends, and half from then on.
    """

    def __init__(self, group: Callable[[K], Hashable], workers: int) -> None:
        self._group = group
        self._most_of_one = workers - (workers + 4) // 8  # at least one less, from four on
        self._most_doubtful = max(1, workers // 2)
        self._waiting: dict[Hashable, OrderedDict[K, None]] = {}
        self._sound: OrderedDict[Hashable, None] = OrderedDict()  # groups with something waiting, in turn
        self._unsound: OrderedDict[Hashable, None] = OrderedDict()  # the same, of those that are doubtful
        self._doubtful: OrderedDict[Hashable, None] = OrderedDict()
        self._unsound_first = False
        self.busy: dict[K, float] = {}  # what is worked on, since when, in this order
        self._held: Counter[Hashable] = Counter()  # workers by group
        self._most_failures = max(FAILURES_AT_ONCE, workers)
        self._failures = 0.0  # that still count, at the time of _counted_at
        self._counted_at = 0.0
        self._failed: set[Hashable] = set()  # groups of which something failed since anything ended well; two at most

    def add(self, key: K) -> None:
        """It waits for its turn, once."""
        group = self._group(key)
        if group not in self._waiting:
            self._waiting[group] = OrderedDict()
            self._line_up(group)
        self._waiting[group][key] = None

    def next(self, now: float) -> K | None:
        """Whose turn it is, which is worked on from now on; None while nobody may."""
        self._doubt_what_takes_long(now)
        for line, group in self._free(now):
            self._unsound_first = line is self._sound
            return self._begin(group, now)
        return None

    def ready(self, now: float) -> bool:
        """Whether anybody may be next."""
        self._doubt_what_takes_long(now)
        return any(True for _ in self._free(now))

    def end(self, key: K, now: float, well: bool | None) -> None:
        """Work on it has ended: ``well``, or failed, or (None) in a way that says nothing of its group."""
        group, slow = self._group(key), now - self.busy.pop(key) > SLOW_SECONDS
        self._held[group] -= 1
        if not self._held[group]:
            del self._held[group]
        if well is False:
            self._count(now, 1.0)
            if len(self._failed) < 2:
                self._failed.add(group)
        elif well:
            self._failed.clear()
        if slow or well is False:
            self._doubt(group)
        elif well and group in self._doubtful:
            del self._doubtful[group]
            self._line_up(group)

    def pause(self, now: float) -> float | None:
        """Seconds until somebody may be next of whom nobody is now, though nothing is added and nothing ends."""
        short = self._count(now) + self._in_doubt() + 1 - self._most_failures
        return short / FAILURES_PER_SECOND if self._waiting and short > 0 else None

    def __len__(self) -> int:
        """Keys that wait."""
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        """Whether any key waits; unlike their number it takes no longer where groups are many."""
        return bool(self._waiting)

    def __contains__(self, key: K) -> bool:
        return key in self._waiting.get(self._group(key), ())

    def _free(self, now: float) -> Iterator[tuple[OrderedDict[Hashable, None], Hashable]]:
        """The first of each line who may be next, with that line; who comes first before the other."""
        for line in (self._unsound, self._sound) if self._unsound_first else (self._sound, self._unsound):
            for group in line:
                if self._held[group] < self._most_of_one:
                    if self._may(line, now):
                        yield line, group
                    break

    def _begin(self, group: Hashable, now: float) -> K:
        key, _ = self._waiting[group].popitem(last=False)
        for line in (self._sound, self._unsound):
            line.pop(group, None)
        if self._waiting[group]:
            self._line_up(group)
        else:
            del self._waiting[group]
        self.busy[key] = now
        self._held[group] += 1
        return key

    def _line_up(self, group: Hashable) -> None:
        """At the end of the line that is now its own."""
        ours, other = (self._unsound, self._sound) if group in self._doubtful else (self._sound, self._unsound)
        other.pop(group, None)
        if group in self._waiting:
            ours[group] = None

    def _may(self, line: OrderedDict[Hashable, None], now: float) -> bool:
        if line is self._unsound and self._held_by_doubtful() >= self._most_doubtful:
            return False
        # Where nothing ends well in more than one group, everything is in doubt.
        in_doubt = line is self._unsound or len(self._failed) > 1
        return not in_doubt or self._count(now) + self._in_doubt() + 1 <= self._most_failures

    def _in_doubt(self) -> int:
        """How many of those at work may fail."""
        return len(self.busy) if len(self._failed) > 1 else self._held_by_doubtful()

    def _held_by_doubtful(self) -> int:
        return sum(held for group, held in self._held.items() if group in self._doubtful)

    def _count(self, now: float, more: float = 0.0) -> float:
        """The failures that count now: each is forgotten after its part of a second."""
        passed = now - self._counted_at
        self._failures = max(0.0, self._failures - passed * FAILURES_PER_SECOND) + more
        self._counted_at = now
        return self._failures

    def _doubt_what_takes_long(self, now: float) -> None:
        for key, since in self.busy.items():
            if now - since <= SLOW_SECONDS:
                break
            self._doubt(self._group(key))

    def _doubt(self, group: Hashable) -> None:
        if group not in self._doubtful:
            self._doubtful[group] = None
            self._line_up(group)
        self._doubtful.move_to_end(group)
        if len(self._doubtful) > MOST_DOUBTFUL:
            forgotten, _ = self._doubtful.popitem(last=False)
            self._line_up(forgotten)
