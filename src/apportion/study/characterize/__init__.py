"""The report on a workload: one analysis a file, each with the columns it needs."""
