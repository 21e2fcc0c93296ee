"""The dashboard in Superset: generated assets, a server on this machine, and a check of every chart.

Belongs here: everything that knows Superset. `superset_config` and `prepare` run in Superset's own environment; the
other modules run in the project's and speak to it over HTTP.
"""
