"""Tables, files and pages made of a leaderboard; nothing here computes a statistic."""

from eval.report.export import write_csv, write_parquet
from eval.report.html import render_report, write_report
from eval.report.latex import to_latex
from eval.report.terminal import render_comparison, render_leaderboard

__all__ = [
    "render_comparison",
    "render_leaderboard",
    "render_report",
    "to_latex",
    "write_csv",
    "write_parquet",
    "write_report",
]
