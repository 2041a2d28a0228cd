"""Values in Slurm's words: times, amounts of memory, generic resources."""

from __future__ import annotations

import re

_LIMIT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)[cnN]?")
_MIB = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2, "P": 1024.0**3}
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|[0-9]+[A-Za-z_.-][A-Za-z0-9_.-]*")


def moment(text: str) -> float | None:
    """Return a time as seconds since the epoch (`SLURM_TIME_FORMAT=%s`), or None where there is none."""
    return float(text) if text.isascii() and text.isdecimal() else None


def limit_s(text: str) -> float | None:
    """Return a time limit in seconds, or None where there is none.

    Examples
    --------
    >>> limit_s("1-02:03:04"), limit_s("10:00"), limit_s("UNLIMITED")
    (93784.0, 600.0, None)
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def count(text: str, default: int = 0) -> int:
    """Return a number; the largest ones mean that nothing was said."""
    value = int(text) if text.isascii() and text.isdecimal() else default
    return value if value < 4_294_900_000 else default


def mib(text: str) -> float | None:
    """Return an amount of memory in MiB (no unit = MiB).

    Examples
    --------
    >>> mib("64G"), mib("1000M"), mib("N/A")
    (65536.0, 1000.0, None)
    """
    match = _AMOUNT.fullmatch(text)
    return float(match.group(1)) * _MIB[match.group(2)] if match else None


def tres(text: str) -> dict[str, str]:
    """Return a list of `name=amount`.

    Examples
    --------
    >>> tres("cpu=4,mem=2000M,node=2")
    {'cpu': '4', 'mem': '2000M', 'node': '2'}
    """
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def generic(text: str) -> list[tuple[str, str, int]] | None:
    """Return generic resources as (name, type or "", count), or None where the text is something else.

    Examples
    --------
    >>> generic("gres:gpu:a100:2,gres/shard:4")
    [('gpu', 'a100', 2), ('shard', '', 4)]
    >>> generic("gpu:8(S:0-1)"), generic("N/A"), generic("gpu:a b:1")
    ([('gpu', '', 8)], [], None)
    """
    text = re.sub(r"\([^()]*\)", "", text)
    if text in ("", "N/A", "(null)", "null"):
        return []
    out = []
    for part in text.split(","):
        words = re.split("[:=]", re.sub(r"^gres[:/]", "", part))
        number = int(words.pop()) if len(words) > 1 and words[-1].isascii() and words[-1].isdigit() else 1
        if len(words) not in (1, 2) or not all(_WORD.fullmatch(word) for word in words):
            return None
        out.append((words[0], words[1] if len(words) == 2 else "", number))
    return out
