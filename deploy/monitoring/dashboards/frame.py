"""A whole dashboard: the rows in their order, and the choices above them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from .panels import DATASOURCE, RUNBOOK, Panel

TAG: Final = "lastnode"
# Fits what is there and where nothing is: a Prometheus of one cluster has no such label.
_ALL: Final = models.VariableOption(text="All", value="$__all", selected=True)


class Row(NamedTuple):
    title: str
    panels: Sequence[Panel]


def assemble(uid: str, title: str, description: str, rows: Sequence[Row], *, kinds: bool) -> dashboard.Dashboard:
    """``kinds``: there is a choice of workload kinds as well as of clusters."""
    whole = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .editable()
        .time("now-6h", "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_others())
        .link(dashboard.DashboardLink("Runbook").type(models.DashboardLinkType.LINK).url(RUNBOOK))
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("cluster", "Cluster", "label_values(lastnode_build_info, cluster)"))
    )
    if kinds:
        whole.with_variable(_choice("kind", "Kind", "label_values(lastnode_sessions_total, kind)"))
    number = 0
    for row in rows:
        number += 1
        whole.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            whole.with_panel(panel.id(number))
    return whole


def text(whole: dashboard.Dashboard) -> str:
    """The JSON that Grafana imports; the same dashboard gives the same bytes."""
    return json.dumps(whole.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _choice(name: str, label: str, query: str) -> Builder[models.VariableModel]:
    choice = dashboard.QueryVariable(name).label(label).query({"query": query, "refId": name}).datasource(DATASOURCE)
    choice.multi(True).include_all(True).all_value(".*").current(_ALL)
    return choice.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)


def _others() -> Builder[models.DashboardLink]:
    link = dashboard.DashboardLink("lastnode").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True)
