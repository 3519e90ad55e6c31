"""PromQL in the few forms that the panels use. Every selector is limited to the clusters chosen above the dashboard."""

from __future__ import annotations

from typing import Final

# All is `.*`, which also fits where there is no such label.
CLUSTER: Final = 'cluster=~"$cluster"'
KIND: Final = 'kind=~"$kind"'
# Grafana's own: at least four scrapes, and never shorter than a step of the graph.
LATELY: Final = "$__rate_interval"
# What the rules look back for ratios and start-up times: sessions are rarer than requests.
HOUR: Final = "1h"
# What tells one process of ours from another, in whatever way it is scraped.
TARGET: Final = "cluster, namespace, job, instance"


def of(metric: str, *labels: str) -> str:
    """A selector: ``labels`` are matchers such as ``outcome="moved"``."""
    return f"{metric}{{{', '.join((*labels, CLUSTER))}}}"


def per_second(by: str, metric: str, *labels: str, over: str = LATELY) -> str:
    """A counter's rate, summed by these labels; an empty ``by`` makes one series of it."""
    return f"{total(by)} (rate({of(metric, *labels)}[{over}]))"


def growth(by: str, metric: str, *labels: str, over: str = HOUR) -> str:
    """By how much a counter grew, summed by these labels."""
    return f"{total(by)} (increase({of(metric, *labels)}[{over}]))"


def quantile(share: float, by: str, metric: str, *labels: str, over: str = LATELY) -> str:
    """Of a histogram's observations, the value that ``share`` of them (0 to 1) do not exceed."""
    among = f"{by}, le" if by else "le"
    return f"histogram_quantile({share:g}, {per_second(among, f'{metric}_bucket', *labels, over=over)})"


def mean(by: str, metric: str, *labels: str, over: str = LATELY) -> str:
    """The mean of a histogram's or summary's observations; nothing where there were none."""
    summed, counted = (per_second(by, f"{metric}_{part}", *labels, over=over) for part in ("sum", "count"))
    return f"{summed} / ({counted} > 0)"


def total(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
