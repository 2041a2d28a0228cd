"""Synthetic workloads calibrated to published clusters: one model, and a file of tables a cluster."""
