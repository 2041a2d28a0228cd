"""`apportion`: the commands, and how errors leave the program."""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from apportion.cli import (
    characterize,
    compare,
    fetch,
    fill,
    fragmentation,
    generate,
    import_,
    live,
    plan,
    policies,
    predict,
    simulate,
    top,
    traces,
    what_if,
    why,
)


class _Interrupted(Exception):
    """Ctrl-C, which the command-line library would answer in its own way."""


class _Program(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """Run the command, and say what it has said before the interpreter shuts down."""
        try:
            outcome = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise _Interrupted from None
        return outcome


app = typer.Typer(
    name="apportion",
    cls=_Program,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    simulate, compare, characterize, fill, why, fragmentation, plan, live, top, predict, what_if, import_, generate,
    policies, traces, fetch,
):  # fmt: skip
    module.register(app)


def _pasteable(function: Any) -> str:
    """Return the help text with its example on a line of its own that is never broken."""
    return (inspect.getdoc(function) or "").replace("Example:", "\b\nExample:")


for command in app.registered_commands:
    command.help = _pasteable(command.callback)


def _version(show: bool) -> None:
    if show:
        from apportion import __version__

        typer.echo(f"apportion {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Understand, simulate and run GPU clusters.

    \b
    Example: apportion compare "synthetic:philly?jobs=5000&load=1.1" fifo sjf --out demo
    """


def main() -> None:
    """Run the command line; exit 0 done, 1 the input is wrong (one line on stderr), 2 usage, 130 interrupted."""
    from apportion.model.errors import ApportionError, UsageError

    try:
        app()
    except ApportionError as error:
        print(f"apportion: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except _Interrupted:
        print("apportion: interrupted", file=sys.stderr, flush=True)
        # runs that go on in other threads hold nothing that must be put right: do not wait for them
        os._exit(130)
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        # the reader of our output went away: nothing is wrong, and nothing more can be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        print("apportion: out of memory; limit= keeps the first jobs of a trace", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"apportion: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
