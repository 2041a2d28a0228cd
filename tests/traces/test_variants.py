"""Specs that stand for several variants of a trace, and options for uses where times play no part."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.model.errors import InputError
from apportion.traces.registry import all_formats, expand, get_format, load
from inputs import real_data

PODS = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
    "p0,12000,16384,1,1000,,LS,Succeeded,100,200,110\n"
    "p1,8000,30517,8,1000,G2,Burstable,Pending,130,190,\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for variant in ("gpu10", "gpu9", "default", "cpu050", "a+b"):
        (tmp_path / f"openb_pod_list_{variant}.csv").write_text(PODS)
    (tmp_path / "openb_node_list_gpu_node.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\nn0,64000,262144,8,G2\n")
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("*", ["a%2Bb", "default", "cpu050", "gpu9", "gpu10"]),
        ("gpu*", ["gpu9", "gpu10"]),
        ("cpu050,default", ["cpu050", "default"]),
        ("gpu10,gpu*,gpu9", ["gpu10", "gpu9"]),
        ("absent,default", ["absent", "default"]),
    ],
)
def test_a_spec_may_stand_for_several(folder: Path, asked: str, found: list[str]) -> None:
    for start in (f"openb:{folder}", str(folder)):
        specs = expand(f"{start}?limit=1&pods={asked}&pending=keep")
        assert specs == [f"{start}?limit=1&pods={name}&pending=keep" for name in found]
    if "absent" not in asked:
        assert all(len(load(spec).workload) == 1 for spec in specs)


def test_any_other_spec_stands_for_itself(folder: Path) -> None:
    odd = folder / "a?pods=*"
    odd.write_text("submit_s,duration_s\n0,1\n")
    for spec in (f"openb:{folder}", f"openb:{folder}?pods=default", "synthetic:philly?jobs=1,2", "no such thing", odd):
        assert expand(spec) == [str(spec)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("pods=zz*", r"openb: found pods=zz\*, but no openb_pod_list_\*.csv there fits it"),
        ("pods=default,", "found pods=default,, expected a name on each side of a comma"),
        ("pods=*&pods=*", "found pods= twice"),
    ],
)
def test_what_fits_nothing_is_said(folder: Path, query: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand(f"openb:{folder}?{query}")


def test_variants_are_those_of_a_folder(folder: Path) -> None:
    for path in (folder / "openb_pod_list_default.csv", folder / "absent"):
        with pytest.raises(InputError, match=r"found pods=\* beside what is no folder"):
            expand(f"openb:{path}?pods=*")


def test_options_for_uses_without_times_hold_by_default(folder: Path) -> None:
    assert len(load(f"openb:{folder}").workload) == 1
    assert len(load(f"openb:{folder}", timeless=True).workload) == 2
    assert len(load(f"openb:{folder}?pending=drop", timeless=True).workload) == 1
    assert load("synthetic:philly?jobs=9", timeless=True).workload.table.equals(
        load("synthetic:philly?jobs=9").workload.table
    )


def test_a_format_with_variants_says_where_they_are() -> None:
    for fmt in all_formats():
        assert not fmt.variants or fmt.directory[0].count("*") == 1, fmt.name
    assert get_format("openb").variants == "pods"


def test_the_published_folder_has_its_variants() -> None:
    specs = expand(f"openb:{real_data('openb')}?pods=*")
    names = [spec.partition("pods=")[2] for spec in specs]
    assert names[:4] == ["default", "cpu050", "cpu100", "cpu200"]
    assert names[4:7] == ["gpushare40", "gpushare80", "gpushare100"]
    assert len(load(specs[0], timeless=True).workload) == 8152
