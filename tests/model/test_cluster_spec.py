"""Clusters as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.model.cluster import UNLIMITED
from apportion.model.cluster_spec import parse_cluster
from apportion.model.errors import InputError


def test_nodes_times_gpus() -> None:
    cluster = parse_cluster(" 2x8:V100+1x4+0x2:T4 ")
    assert cluster.table["gpus"].to_list() == [8, 8, 4]
    assert cluster.table["gpu_model"].to_list() == ["V100", "V100", None]
    assert cluster.table["node"].to_list() == ["node-0000", "node-0001", "node-0002"]
    assert cluster.name == "2x8:V100+1x4+0x2:T4"


@pytest.mark.parametrize(
    ("text", "gpus", "cpu_milli"),
    [("pool:400", 400, UNLIMITED), ("pool:100:2322", 100, 2322000), ("pool:1:1.5", 1, 1500)],
)
def test_one_pool(text: str, gpus: int, cpu_milli: int) -> None:
    row = parse_cluster(text).table.row(0, named=True)
    assert (row["gpus"], row["cpu_milli"], row["pooled"], row["node"]) == (gpus, cpu_milli, True, "pool")


@pytest.mark.parametrize(
    "text", ["", "5", "x8", "5x", "5x8:", "5x8 + 2x4", "-1x8", "pool:", "pool:x", "nodes.txt", "5x8+"]
)
def test_text_that_is_no_cluster(text: str) -> None:
    with pytest.raises(InputError, match="expected NODESxGPUS"):
        parse_cluster(text)


def test_a_yaml_file_of_node_kinds(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("""
nodes:
  - {node: a, gpus: 8, gpu_model: A100, count: 2, price_usd_per_h: 12.5}
  - {node: b, gpus: 0, cpu_milli: 64000}
  - {gpus: 4, count: 0}
""")
    table = parse_cluster(str(file)).table
    assert table["node"].to_list() == ["a-0000", "a-0001", "b"]
    assert table["gpu_model"].to_list() == ["A100", "A100", None]
    assert table["cpu_milli"].to_list() == [UNLIMITED, UNLIMITED, 64000]
    assert table["price_usd_per_h"].to_list() == [12.5, 12.5, None]


def test_a_csv_file_of_nodes(tmp_path: Path) -> None:
    file = tmp_path / "lab.csv"
    file.write_text("node,gpus,rack,contact\na,4,r1,ann\nb,8,,bob\n")
    cluster = parse_cluster(str(file))
    assert cluster.name == "lab"
    assert cluster.table["rack"].to_list() == ["r1", None]
    assert cluster.table["contact"].to_list() == ["ann", "bob"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "- 5\n"),
        ("a.yaml", "{}\n"),
        ("a.yaml", "- {gpus: 4, count: -1}\n"),
        ("a.yaml", "- {gpus: 4, count: yes}\n"),
        ("a.yaml", "- {gpus: 4.5x}\n"),
        ("a.yml", "[]\n"),
        ("a.csv", ""),
        ("a.csv", "gpus\n4\nx\n"),
        ("a.csv", "gpus,node\n4\n,,,\n"),
    ],
)
def test_a_file_that_is_no_cluster(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        parse_cluster(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
