"""Delays between attempts: they double, have a cap, and are spread so that replicas do not knock together."""

import random
from collections.abc import Callable

# client-go's reflector waits 0.8 s first and 30 s at most; the same numbers keep us as quiet as the controllers
# that an API server already knows.
FIRST_SECONDS = 0.8
CAP_SECONDS = 30.0


class Backoff:
    """A resettable series of delays: the n-th lies between half and all of ``min(cap, first * 2**n)`` seconds.

    With the defaults that is at most 9 attempts in the first minute and 4 in each one after it.
    """

    def __init__(
        self,
        first: float = FIRST_SECONDS,
        cap: float = CAP_SECONDS,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._cap = cap
        self._uniform = uniform
        self.attempts = 0

    def next(self, at_least: float | None = None) -> float:
        """The next delay in seconds; never under ``at_least`` (a server's Retry-After)."""
        step = min(self._cap, self._first * 2.0 ** min(self.attempts, 32))
        self.attempts += 1
        return max(self._uniform(step / 2, step), at_least or 0.0)

    def reset(self) -> None:
        """Something worked: start again from the first delay."""
        self.attempts = 0
