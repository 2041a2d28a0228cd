"""The control against the released code's loop, written down again step by step."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.energy.power_off import PUBLISHED, Saving, follow
from apportion.energy.watts import node_watts
from apportion.model.errors import InputError


def slow(s: Saving, used: list[int], total: list[int], near: list[float], far: list[float]) -> list[int]:
    on = [0] * len(used)
    hold = 0
    for i, now in enumerate(used):
        if i < 6:
            on[i] = now + s.buffer
            continue
        on[i] = on[i - 1]
        if on[i] < now:
            on[i] = now + s.buffer
            hold = i + s.keep
        on[i] = min(on[i], total[i])
        past = used[max(i - s.history, 0) : i]
        if sum(past) / len(past) - now >= s.fall and now - near[i] >= s.ahead:
            if i < hold:
                continue
            hold = i
            if near[i] < far[i]:
                continue
            if on[i] - min(on[i], now + s.buffer) >= s.least:
                on[i] = min(on[i], now + s.buffer)
    return on


STEPS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(40, 60), st.floats(0, 60), st.floats(0, 60)), min_size=1, max_size=80
)


@given(STEPS, st.sampled_from(sorted(PUBLISHED)))
def test_follows_the_released_loop(steps: list[tuple[int, int, float, float]], name: str) -> None:
    used, total, near, far = (list(column) for column in zip(*steps, strict=True))
    on, control = follow(
        PUBLISHED[name], np.array(used), np.array(total), np.array(near, float), np.array(far, float)
    )  # fmt: skip
    assert on.tolist() == slow(PUBLISHED[name], used, total, near, far)  # type: ignore[arg-type]
    assert control.lacking >= 0


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="buffer=-1"):
        Saving(buffer=-1)


def test_a_server_of_acme_draws_what_was_measured() -> None:
    idle, device = node_watts(pl.DataFrame({"gpus": [0, 8], "gpu_model": [None, "A100"]}))
    assert idle[0] == 540
    assert idle[1] == pytest.approx(1512)
    assert 4000 < idle[1] + 8 * device[1] / 0.7 * 0.99 < 4900
