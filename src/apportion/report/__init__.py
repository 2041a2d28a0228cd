"""Reports of runs: one self-contained web page, tables for the terminal, a trace for ui.perfetto.dev."""

from apportion.report.html import write_report
from apportion.report.perfetto import write_perfetto
from apportion.report.terminal import print_comparison, print_summary

__all__ = ["print_comparison", "print_summary", "write_perfetto", "write_report"]
