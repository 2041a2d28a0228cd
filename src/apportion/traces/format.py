"""What a trace format is: a name, where its files come from, how to recognise one, and a function that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apportion.model.trace import Trace
from apportion.traces.options import Options


@dataclass(frozen=True)
class Format:
    """One public trace format.

    Parameters
    ----------
    name: the word before the colon of a trace spec.
    title: what it is, in a line. paper: the publication that describes it. source: where to download it.
    licence: of the data. example: a trace spec that shows it.
    read: (location, options) -> Trace. Times in seconds from `Workload.origin`, GPUs and CPUs in milli, memory in MiB.
    headers: column sets; a delimited file whose header contains one of them can be this format.
    suffixes: file endings that a bare path of this format may have (empty: any text file).
    directory: file names of which a directory of this format holds at least one (glob patterns).
    sniff: looks at the first lines of a file without a header row and says whether they are of this format.
    variants: the option whose value stands for the star of `directory`'s first pattern; a spec may ask for several.
    timeless: options that hold by default where times play no part, as in packing experiments.
    """

    name: str
    title: str
    paper: str
    source: str
    licence: str
    example: str
    read: Callable[[Path, Options], Trace]
    headers: tuple[frozenset[str], ...] = ()
    suffixes: tuple[str, ...] = ()
    directory: tuple[str, ...] = ()
    sniff: Callable[[list[str]], bool] | None = None
    variants: str = ""
    timeless: Mapping[str, str] = field(default_factory=dict, hash=False)
