"""The hardware catalogue."""

from __future__ import annotations

import pytest

from apportion.model.errors import InputError
from apportion.model.hardware import ALIASES, CATALOGUE, gpu_model


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_model_makes_sense_and_has_a_source(name: str) -> None:
    model = CATALOGUE[name]
    assert 0 < model.idle_w < model.max_w
    assert model.memory_mib >= 8 * 1024
    assert model.fp16_tflops > 1
    assert model.source
    assert model.idle_source
    assert gpu_model(name) is model


def test_names_of_public_traces_are_known() -> None:
    openb = ("V100M16", "V100M32", "P100", "T4", "A10")
    spot = ("A100-SXM4-80GB", "H800", "A800")
    for name in (*openb, *spot, "v100", "k80", "Tesla V100-SXM2-32GB", "NVIDIA A100-SXM4-80GB", "H100"):
        assert gpu_model(name).max_w > 0
    assert gpu_model("V100-SXM2-32GB").memory_mib == 32 * 1024


def test_aliases_lead_somewhere() -> None:
    assert set(ALIASES.values()) <= set(CATALOGUE)


def test_an_unknown_model_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown GPU model 'V1000'; did you mean 'V100"):
        gpu_model("V1000")
