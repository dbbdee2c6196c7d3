"""Glue between arithmetic, networks and the runner: one file per family of metrics."""
