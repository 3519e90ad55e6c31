"""``python -m testbed.agent``: serve until SIGTERM or SIGINT, then exit with 0; 1 with one line for a failure."""

import logging
import signal
import sys
from collections.abc import Sequence

from lastnode.kube.api import load
from lastnode.kube.errors import KubeError
from testbed.agent.program import Agent
from testbed.agent.settings import parse

# What urllib3's pool holds: the writers, three watches and their lists.
_WATCHES = 6


def main(arguments: Sequence[str] | None = None) -> int:
    settings = parse(arguments)
    level = logging.DEBUG if settings.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    try:
        api = load(settings.kubeconfig, "lastnode-local-agent", settings.writers + _WATCHES)
    except KubeError as error:
        print(f"agent: {error}", file=sys.stderr)
        return 1
    agent = Agent(api, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    try:
        agent.run()
    finally:
        api.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
