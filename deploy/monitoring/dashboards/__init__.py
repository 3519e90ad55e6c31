"""Grafana's dashboards as files, and the typed builders that write them: `python -m deploy.monitoring.dashboards`.

One module a dashboard, one function a row of it; `panels` and `queries` are what these are made of.
"""
