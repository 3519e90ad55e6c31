"""All of lastnode at work on a real control plane, watched by a real Prometheus: what dashboards are looked at with."""

from __future__ import annotations

import random
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.demo.arms import Arm, Rounds, make_arm
from testbed.demo.faults import cordoned
from testbed.paths import REPOSITORY
from testbed.sessions import Sessions
from testbed.stack import Stack
from testbed.webhook import write_certificate
from tests.monitoring.promserver import PromServer

RULES = REPOSITORY / "deploy" / "chart" / "files" / "rules" / "lastnode.yaml"
NODES = 5
WORKLOADS = 4
SCRAPE_SECONDS = 1.0


class Observed:
    """``urls``: job -> where it serves /metrics."""

    def __init__(self, stack: Stack, prometheus: Path, directory: Path) -> None:
        self.stack = stack
        stack.start_agent(NODES)
        stack.start_extender()
        stack.start_recorder("--extender-url", stack.extender_url, "--schedulers", "default-scheduler")
        stack.start_webhook()
        scheduler = stack.start_scheduler("extender.yaml")
        self.urls = {
            "recorder": stack.recorder_url,
            "extender": stack.extender_url,
            "webhook": stack.webhook_url,
            "certified": self._start_certified(),
            "kube-scheduler": scheduler.url,
        }
        self.prometheus = PromServer(stack, prometheus, directory, RULES, SCRAPE_SECONDS)
        # Before the first session: what a counter did before its first scrape is never seen.
        self.prometheus.scrape(**self.urls)

    def run_sessions(self) -> None:
        """Sessions of both kinds: first ones, ones that come back, and ones whose last node was cordoned."""
        with Sessions.connect(self.stack.cp.kubeconfig) as sessions:
            rounds = Rounds(self.stack, sessions, random.Random(1))
            arm = make_arm(sessions, "observed", WORKLOADS, sticky=True)
            for number in range(3):
                rounds.run([arm], f"round-{number}")
                self.wait_for_a_scrape()
            for index in (0, 2, 0, 2):  # of one kind; each reason twice, for a counter that was 1 at first sight
                self._move(rounds, arm, index)
                self.wait_for_a_scrape()
            rounds.run([arm], "last")
        self.wait_for_a_scrape()

    def wait_for_a_scrape(self) -> None:
        """Until every target was scraped, and rules evaluated, after now."""
        now = time.time()
        jobs = len(self.urls)

        def scraped() -> bool:
            fresh = self.prometheus.ask(f"timestamp(up) > {now}")
            return len(fresh) == jobs and self.prometheus.evaluated_at() > now + SCRAPE_SECONDS

        self.stack.wait(scraped, "a scrape of every target")

    def exposition(self, job: str) -> tuple[str, float]:
        """What it serves on /metrics now, and the seconds that it took."""
        trust = ssl._create_unverified_context()
        begun = time.perf_counter()
        with urllib.request.urlopen(f"{self.urls[job]}/metrics", timeout=10, context=trust) as answer:
            text = answer.read().decode()
        return text, time.perf_counter() - begun

    def _move(self, rounds: Rounds, arm: Arm, index: int) -> None:
        workload = arm.workloads[index]
        with cordoned(self.stack, arm.last_nodes[workload["metadata"]["name"]]):
            rounds.run([arm.part(workload)], f"moved-{index}-{time.monotonic_ns()}")

    def _start_certified(self) -> str:
        """An extender whose certificate is renewed meanwhile."""
        directory = self.stack.cp.dir / "certified"
        address = f"127.0.0.1:{self.stack.cp.free_port()}"
        argv = [sys.executable, "-m", "extender.program", "--kubeconfig", str(self.stack.cp.kubeconfig)]
        url = f"https://{address}"
        files = write_certificate(directory)
        self.stack.cp.spawn(
            "certified",
            [*argv, "--bind", address, *files.flags],
            ready_url=f"{url}/livez",
            ready_ca=files.ca,
            cwd=REPOSITORY,
        )
        write_certificate(directory)
        return url


@contextmanager
def observed(prometheus: Path, directory: Path) -> Iterator[Observed]:
    """A cluster of its own with sessions that have run."""
    with Stack.start() as stack:
        made = Observed(stack, prometheus, directory)
        made.run_sessions()
        yield made
