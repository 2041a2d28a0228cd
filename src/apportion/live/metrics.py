"""What a controller says to Prometheus: its text format (version 0.0.4) over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl

from apportion.live import backend as seen
from apportion.live.backend import Observation
from apportion.live.controller import WOULD, Cycle
from apportion.model.errors import UsageError

HELP: dict[str, tuple[str, str]] = {
    "apportion_jobs": ("gauge", "Jobs by state, as last observed."),
    "apportion_gpus": ("gauge", "GPUs by model and state: total, allocated, closed (on nodes that take nothing new)."),
    "apportion_commands_total": (
        "counter",
        "Commands by action (start, stop, park) and outcome (told, refused, unknown, would).",
    ),
    "apportion_deferred_starts": ("gauge", "Starts that wait for a stopped job to be gone."),
    "apportion_cycles_total": ("counter", "Cycles by outcome (done, failed)."),
    "apportion_cycle_seconds": ("summary", "Seconds of a cycle by step (observe, decide, act)."),
    "apportion_cycle_last_seconds": ("gauge", "Seconds of the last cycle by step."),
    "apportion_last_success_timestamp_seconds": ("gauge", "When the last cycle that went well ended."),
    "apportion_leader": ("gauge", "1 while this controller is in charge, 0 while it only watches."),
    "apportion_info": ("gauge", "Always 1; the policy and the cluster are in the labels."),
}
"""Name -> type and text."""

Labels = tuple[tuple[str, str], ...]


@dataclass
class Metrics:
    """Numbers of a controller; may be read from another thread.

    Parameters
    ----------
    policy, cluster: names. in_charge: whether commands are carried out. stale_s: a controller whose last good cycle is
    longer ago is not healthy.
    """

    policy: str
    cluster: str
    in_charge: bool = True
    stale_s: float = 300.0
    clock: Callable[[], float] = time.time
    _values: dict[tuple[str, Labels], float] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._set("apportion_leader", float(self.in_charge))
        self._set("apportion_info", 1.0, policy=self.policy, cluster=self.cluster)

    def _set(self, name: str, value: float, **labels: str) -> None:
        with self._guard:
            self._values[name, tuple(labels.items())] = value

    def _add(self, name: str, value: float, **labels: str) -> None:
        with self._guard:
            key = (name, tuple(labels.items()))
            self._values[key] = self._values.get(key, 0.0) + value

    def cycle(self, cycle: Cycle) -> None:
        """Take in a cycle that went well."""
        for action, _, _, outcome, _ in cycle.commands():
            self._add("apportion_commands_total", 1, action=action, outcome=outcome if self.in_charge else WOULD)
        for step, took in (("observe", cycle.observe_s), ("decide", cycle.decide_s), ("act", cycle.act_s)):
            self._add("apportion_cycle_seconds_sum", took, step=step)
            self._add("apportion_cycle_seconds_count", 1, step=step)
            self._set("apportion_cycle_last_seconds", took, step=step)
        self._add("apportion_cycles_total", 1, outcome="done")
        self._set("apportion_deferred_starts", len(cycle.deferred))
        self._set("apportion_last_success_timestamp_seconds", self.clock())
        if cycle.observation is not None:
            self._observed(cycle.observation)

    def failed(self) -> None:
        """Count a cycle that did not come to its end."""
        self._add("apportion_cycles_total", 1, outcome="failed")

    def _observed(self, observation: Observation) -> None:
        states = dict(observation.jobs.group_by("state").len().iter_rows())
        for state in (seen.WAITING, seen.BLOCKED, seen.LAUNCHING, seen.RUNNING, seen.STOPPING, seen.STRAY):
            self._set("apportion_jobs", float(states.get(state, 0)), state=state)
        for model, total, allocated, closed in gpus_by_model(observation).iter_rows():
            for state, value in (("total", total), ("allocated", allocated), ("closed", closed)):
                self._set("apportion_gpus", float(value), model=model, state=state)

    def healthy(self) -> bool:
        """Return whether the last good cycle is not too long ago."""
        last = self._values.get(("apportion_last_success_timestamp_seconds", ()), self._began)
        return self.clock() - last <= self.stale_s

    def text(self) -> str:
        """Return all numbers in Prometheus' text format."""
        with self._guard:
            values = sorted(self._values.items())
        lines: list[str] = []
        for name, (kind, about) in HELP.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            family = {f"{name}_sum", f"{name}_count"} if kind == "summary" else {name}
            for (found, labels), value in values:
                if found in family:
                    inside = ",".join(f'{key}="{escaped(text)}"' for key, text in labels)
                    lines.append(f"{found}{{{inside}}} {value:.10g}" if inside else f"{found} {value:.15g}")
        return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""Return a label's value with `\`, `"` and line ends escaped, as the format demands."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def held_by_node(jobs: pl.DataFrame) -> pl.DataFrame:
    """Return `node, held`: GPUs in use where any are; a job's GPUs lie evenly on its nodes."""
    return (
        jobs.filter(pl.col("nodes").list.len() > 0)
        .select(
            node="nodes",
            gpus=pl.col("tasks") * pl.col("gpus") * pl.col("gpu_milli") / 1000 / pl.col("nodes").list.len(),
        )
        .explode("node")
        .group_by("node")
        .agg(pl.col("gpus").sum().alias("held"))
    )


def gpus_by_model(observation: Observation) -> pl.DataFrame:
    """Return `model, total, allocated, closed`, a row a GPU model."""
    nodes = observation.nodes.with_columns(model=pl.col("gpu_model").fill_null("unknown"))
    held = held_by_node(observation.jobs)
    return (
        nodes.join(held, on="node", how="left")
        .group_by("model")
        .agg(
            total=pl.col("gpus").sum(),
            allocated=pl.col("held").sum(),
            closed=pl.col("gpus").filter(~pl.col("open")).sum(),
        )
        .sort("model")
    )


class MetricsServer:
    """Serves `/metrics` and `/healthz` in a thread of its own.

    Parameters
    ----------
    port: 0 = any that is free (see `port`). host: address to listen at.

    Raises
    ------
    UsageError: the port cannot be used.
    """

    def __init__(self, metrics: Metrics, port: int, host: str = "127.0.0.1") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.split("?")[0] == "/metrics":
                    self._answer(200, metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
                elif self.path == "/healthz":
                    well = metrics.healthy()
                    self._answer(200 if well else 503, "ok\n" if well else "no good cycle lately\n", "text/plain")
                else:
                    self._answer(404, "found nothing here; expected /metrics or /healthz\n", "text/plain")

            def _answer(self, status: int, text: str, kind: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise UsageError(f"cannot serve metrics at {host}:{port}: {reason}") from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
