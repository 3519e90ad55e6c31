"""Write the dashboards anew, here and into the chart, which can only ship files of its own."""

from __future__ import annotations

import click

from testbed.paths import REPOSITORY

from . import programs, sessions
from .frame import text

FOLDERS = ("deploy/monitoring/dashboards", "deploy/chart/files/dashboards")


def files() -> dict[str, str]:
    """File name -> text. The names stay unique where a side-car puts everybody's dashboards into one folder."""
    return {"lastnode-sessions.json": text(sessions.whole()), "lastnode-programs.json": text(programs.whole())}


@click.command()
def main() -> None:
    """Write the dashboards of deploy/monitoring/dashboards and their copies in the chart anew."""
    for folder in FOLDERS:
        for name, content in files().items():
            path = REPOSITORY / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            click.echo(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main(prog_name="python -m deploy.monitoring.dashboards")
