"""Reports of runs: one self-contained web page, tables for the terminal, a trace for ui.perfetto.dev."""

from apportion.report.html import write_report




