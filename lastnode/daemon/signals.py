"""SIGTERM and SIGINT: they end a program in order and with exit code 0, whenever they come and however often."""

import signal
from typing import Final

from lastnode.daemon.threads import Flag

NUMBERS: Final = (signal.SIGTERM, signal.SIGINT)


def heed() -> Flag:
    """From now on both of them set what is returned. Only in the main thread."""
    asked = Flag()
    for number in NUMBERS:
        signal.signal(number, lambda *_: asked.set())
    return asked


def ignore() -> None:
    """The program is over, and what still comes changes nothing: while Python ends it takes its handlers away, and the
    process would be killed."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
