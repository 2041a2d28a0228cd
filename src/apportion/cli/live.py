"""`apportion live`: put a policy in charge of a cluster, or let it watch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apportion.cli import options as opt
from apportion.cli.slurm import RestOpt

if TYPE_CHECKING:
    from apportion.live.backend import Backend
    from apportion.live.controller import Cycle
    from apportion.policies.protocol import Policy

MEMORY = Path("apportion-live.sqlite")
ACTIONS = ("doctor", "install", "uninstall")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="live")(live)


def live(
    what: Annotated[str, typer.Argument(metavar="CLUSTER", help="slurm, or simulate TRACE; systemd, shadow.")],
    words: Annotated[
        list[str],
        typer.Argument(metavar="POLICY", help="ORDER+PLACEMENT, or for slurm: doctor, install, uninstall."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, print the commands, and send none.")] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Only watch; keep what the policy would do, and compare at the end.")
    ] = False,
    poll: Annotated[float, typer.Option(help="Seconds between two looks at the cluster.")] = 5.0,
    memory: Annotated[Path, typer.Option(help="The controller's file (SQLite).")] = MEMORY,
    backfill: opt.BackfillOpt = "skip",
    seed: opt.SeedOpt = 0,
    main: Annotated[str, typer.Option(metavar="PARTITION", help="Slurm: where jobs run.")] = "main",
    wait: Annotated[str, typer.Option(metavar="PARTITION", help="Slurm: where jobs wait (it is down).")] = "wait",
    rest: RestOpt = None,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", min=0, max=65535, help="Serve /metrics and /healthz here.")
    ] = None,
    metrics_host: Annotated[str, typer.Option("--metrics-host", help="Address to serve metrics at.")] = "127.0.0.1",
    log: Annotated[Path | None, typer.Option(help="Append JSON lines to this file (default: stderr).")] = None,
    once: Annotated[bool, typer.Option("--once", help="One cycle.")] = False,
    cycles: Annotated[int | None, typer.Option(min=1, help="So many cycles.")] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="With install, uninstall: do it, instead of saying it.")
    ] = False,
    cluster: opt.ClusterOpt = None,
    speed: Annotated[
        float, typer.Option(min=0, help="With simulate: simulated seconds a second (0 = as fast as it goes).")
    ] = 0.0,
    quiet: opt.QuietOpt = False,
) -> None:
    """Run a cluster under a policy: `slurm POLICY`. The same on a simulated cluster: `simulate TRACE POLICY`.

    `slurm doctor` looks whether a cluster is prepared, `slurm install` prepares it and `slurm uninstall` puts it back:
    they say what they would do, and do it with --apply. `systemd POLICY` prints a unit for the service, `shadow
    POLICY` what was found by watching with --shadow.

    Example: apportion live simulate "synthetic:philly?jobs=300&load=1.2" sjf --cycles 100
    """
    from apportion.model.errors import UsageError, did_you_mean

    given = {
        "dry_run": dry_run, "shadow": shadow, "poll": poll, "memory": memory, "seed": seed, "main": main, "wait": wait,
        "rest": rest, "backfill": _backfill(backfill), "metrics_port": metrics_port, "metrics_host": metrics_host,
        "log": log, "cycles": 1 if once else cycles, "apply": apply, "cluster": cluster, "speed": speed, "quiet": quiet,
    }  # fmt: skip
    if not 0.1 <= poll <= 3600:
        raise UsageError(f"found --poll {poll:g}, expected 0.1 to 3600 seconds")
    if dry_run and shadow:
        raise UsageError("found --dry-run and --shadow, expected one of them")
    known = {"slurm": _slurm, "simulate": _simulate, "systemd": _systemd, "shadow": _shadow}
    if what not in known:
        raise UsageError(f"found {what!r}, expected {', '.join(known)}{did_you_mean(what, known)}")
    if rest is not None and what not in ("slurm", "systemd"):
        raise UsageError(f"--rest goes with slurm and systemd, found {what}")
    known[what](words, given)


def _backfill(text: str) -> int:
    from apportion.engine.layout import EASY, SKIP, STRICT
    from apportion.model.errors import UsageError, did_you_mean

    known = {"skip": SKIP, "strict": STRICT, "easy": EASY}
    if text not in known:
        raise UsageError(f"found --backfill {text}, expected {', '.join(known)}{did_you_mean(text, known)}")
    return known[text]


def _one(words: list[str], what: str) -> str:
    from apportion.model.errors import UsageError

    if len(words) != 1:
        raise UsageError(f"found {' '.join(words)!r}, expected {what}")
    return words[0]


def _slurm(words: list[str], given: dict[str, Any]) -> None:
    from apportion.cli.slurm import slurm_backend
    from apportion.model.errors import UsageError
    from apportion.policies.registry import parse_policy

    word = _one(words, f"one policy, or one of {', '.join(ACTIONS)}")
    if word in ACTIONS:
        _prepare(word, given)
        return
    if given["apply"]:
        raise UsageError("--apply goes with slurm install and slurm uninstall")
    policy = parse_policy(word)
    _serve(slurm_backend(given["main"], given["wait"], given["rest"]), policy, given)


def _prepare(word: str, given: dict[str, Any]) -> None:
    """Look whether a Slurm cluster is prepared, prepare it, or put it back."""
    from apportion.cli.slurm import slurm_access
    from apportion.live.slurm import Rest, Slurm, doctor, install, rest_finding, uninstall
    from apportion.model.errors import UsageError

    if word == "doctor":
        access = slurm_access(given["rest"])
        findings = [rest_finding(access)] if isinstance(access, Rest) else []
        findings += doctor(Slurm(), given["main"], given["wait"])
        for finding in findings:
            print(f"{finding.level:5} {finding.what}" + (f"\n      -> {finding.fix}" if finding.fix else ""))
        if any(finding.level == "bad" for finding in findings):
            raise typer.Exit(1)
        return
    if given["rest"] is not None:
        raise UsageError(f"--rest does not go with slurm {word}, which needs scontrol")
    change = install if word == "install" else uninstall
    lines = change(Slurm(), given["main"], given["wait"], apply=given["apply"])
    for line in lines:
        print(line)
    if not given["quiet"]:
        opt.note("nothing to do" if not lines else "done" if given["apply"] else "nothing was changed; --apply does it")


def _serve(backend: Backend, policy: Policy, given: dict[str, Any]) -> None:
    """Run the service until it is told to stop."""
    from apportion.live.backend import Recorder
    from apportion.live.controller import Controller
    from apportion.live.ending import until_signalled
    from apportion.live.log import Log
    from apportion.live.memory import Memory
    from apportion.live.metrics import Metrics, MetricsServer
    from apportion.live.run import Service
    from apportion.model.errors import ApportionError
    from apportion.policies.learning import run_times_of

    watching = given["dry_run"] or given["shadow"]
    if watching:
        backend = Recorder(backend, theirs=given["shadow"])
    memory = Memory(given["memory"])
    server = None
    try:
        log = Log(given["log"], watching)
        times = run_times_of(policy.order)
        controller = Controller(backend, policy, memory, given["backfill"], given["seed"], times, watching)
        metrics = Metrics(policy.name, backend.name, not watching, stale_s=3 * given["poll"] + 120)
        if given["metrics_port"] is not None:
            server = MetricsServer(metrics, given["metrics_port"], given["metrics_host"])
        service = Service(controller, log, metrics, given["poll"], _reporter(given))
        with until_signalled(service.ending):
            done = service.run(given["cycles"])
        log.close()
        if given["shadow"] and done:
            _compare(memory, policy, given)
        if given["cycles"] is not None and service.trouble:
            raise ApportionError(service.trouble)
    finally:
        if server is not None:
            server.close()
        memory.close()


def _reporter(given: dict[str, Any]) -> Any:
    """Return what prints the commands of a cycle, each once."""
    printed: set[tuple[str, str, tuple[str, ...]]] = set()

    def report(cycle: Cycle) -> None:
        nonlocal printed
        told = cycle.commands()
        if given["dry_run"]:
            for action, job, nodes, _, _ in told:
                if (action, job, nodes) not in printed:
                    print(f"{action} {job}" + (f" on {','.join(nodes)}" if nodes else ""), flush=True)
        printed = {(action, job, nodes) for action, job, nodes, _, _ in told}

    return report


def _shadow(words: list[str], given: dict[str, Any]) -> None:
    """Print what watching has found."""
    from apportion.live.memory import Memory
    from apportion.policies.registry import parse_policy

    policy = parse_policy(_one(words, "one policy"))
    memory = Memory.reading(given["memory"])
    try:
        _compare(memory, policy, given)
    finally:
        memory.close()


def _compare(memory: Any, policy: Policy, given: dict[str, Any]) -> None:
    from apportion.live.shadow import compare

    for line in compare(memory, policy, backfill=given["backfill"], seed=given["seed"]).sentences():
        print(line)


def _systemd(words: list[str], given: dict[str, Any]) -> None:
    """Print a unit."""
    from apportion.live.systemd import unit
    from apportion.policies.registry import parse_policy

    policy = parse_policy(_one(words, "one policy"))
    flags = []
    if given["shadow"]:
        flags.append("--shadow")
    if given["rest"] is not None:
        flags += ["--rest", given["rest"]]
    if given["metrics_port"] is not None:
        flags += ["--metrics-port", str(given["metrics_port"])]
    for name, default in (("poll", 5.0), ("main", "main"), ("wait", "wait")):
        if given[name] != default:
            flags += [f"--{name}", f"{given[name]:g}" if isinstance(default, float) else given[name]]
    print(unit(policy.name, flags), end="")


def _simulate(words: list[str], given: dict[str, Any]) -> None:
    """Run a simulated cluster under the controller."""
    from apportion.live.controller import Controller
    from apportion.live.log import Log
    from apportion.live.memory import Memory
    from apportion.live.simulated import SimulatedCluster, drive
    from apportion.model.errors import UsageError
    from apportion.policies.learning import run_times_of
    from apportion.policies.registry import parse_policy

    if len(words) != 2:
        raise UsageError(f"found {' '.join(words)!r}, expected simulate TRACE POLICY")
    policy = parse_policy(words[1])
    trace, machine = opt.load_trace(words[0], given["cluster"], given["quiet"])
    cluster = SimulatedCluster(trace.workload, machine)
    memory = Memory(given["memory"] if given["memory"] != MEMORY else ":memory:")
    log = Log(given["log"]) if given["log"] else None
    try:
        times = run_times_of(policy.order)
        controller = Controller(cluster, policy, memory, given["backfill"], given["seed"], times)
        took: list[float] = []
        cycle = _paced(controller, log, given["speed"], took)
        done = drive(cluster, cycle, given["cycles"] or 1_000_000)
        memory.draw(cluster.observe())
    finally:
        memory.close()
    first: dict[str, float] = {}
    for at, job, _ in cluster.starts:
        first.setdefault(job, at)
    submit = dict(trace.workload.table.select("job_id", "submit_s").iter_rows())
    waits = [at - submit[job] for job, at in first.items()]
    ended = len(cluster.ended())
    print(f"{done:,} cycles, {sorted(took)[len(took) // 2] * 1000:.0f} ms each (median)" if took else "no cycles")
    print(f"{len(first):,} of {len(trace.workload):,} jobs started, {ended:,} ended")
    if waits:
        print(f"mean wait of those started: {sum(waits) / len(waits):.0f} s")


def _paced(controller: Any, log: Any, speed: float, took: list[float]) -> Any:
    """Return a cycle that waits until simulated time has come, if a speed is given."""
    import time

    began: list[float] = []

    def cycle() -> float:
        now = controller.backend.now_s
        if speed > 0:
            began.append(time.monotonic() - now / speed) if not began else None
            time.sleep(max(0.0, began[0] + now / speed - time.monotonic()))
        done = controller.cycle()
        took.append(done.decide_s + done.act_s)
        if log is not None:
            log.cycle(done)
        return float(done.wake_s)

    return cycle
