"""Downloads against a server on this machine: whole, resumed, damaged, missing, without ranges."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apportion.model.errors import InputError
from apportion.traces import fetch as module
from apportion.traces.downloads import DOWNLOADS, Download, Part
from apportion.traces.fetch import fetch

DATA = bytes(range(256)) * 1024  # 256 KiB: several chunks
CHECKSUM = hashlib.sha256(DATA).hexdigest()


class Site:
    """What the server has, how it behaves, and what it was asked for."""

    def __init__(self) -> None:
        self.files = {"a.bin": DATA, "b.bin": b"second"}
        self.ranges = True
        self.says_length = True
        self.cut_after: int | None = None
        self.etag = '"one"'
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


@pytest.fixture
def site() -> Iterator[Site]:
    here = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            here.asked.append((self.path, wanted))
            data = here.files.get(self.path.lstrip("/"))
            if data is None:
                self.send_error(404)
                return
            start = int(re.findall(r"\d+", wanted)[0]) if wanted and here.ranges else 0
            if self.headers.get("If-Range", here.etag) != here.etag:
                start = 0
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if here.says_length:
                self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", here.etag)
            self.end_headers()
            self.wfile.write(data[start : here.cut_after])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield here
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(*parts: Part) -> Download:
        return Download("test", parts, "none", "https://example.org/about", 0.3, "-")

    one, two = Part("a.bin", "http://127.0.0.1:1/a.bin", CHECKSUM), Part("b.bin", "http://127.0.0.1:1/b.bin")
    for name, parts in {"one": (one,), "pair": (one, two), "two": (two,)}.items():
        monkeypatch.setitem(DOWNLOADS, name, entry(*parts))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = tmp_path / "new"
    got = fetch("one", folder, progress=lambda done, total: seen.append((done, total)), base_url=site.url)
    assert got == folder / "a.bin" and got.read_bytes() == DATA
    assert names(got.parent) == ["a.bin"]
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_several_files_are_a_folder(site: Site, tmp_path: Path) -> None:
    got = fetch("pair", tmp_path, base_url=site.url)
    assert got == tmp_path / "pair" and names(got) == ["a.bin", "b.bin"]


def test_a_file_that_is_there_is_not_downloaded_again(site: Site, tmp_path: Path) -> None:
    fetch("one", tmp_path, base_url=site.url)
    fetch("one", tmp_path, base_url=site.url)
    assert len(site.asked) == 1
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(InputError, match="another checksum"):
        fetch("one", tmp_path, base_url=site.url)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_resumed_after_a_cut_connection(site: Site, tmp_path: Path) -> None:
    site.cut_after = 100_000
    with pytest.raises(InputError, match=r"broke after 100,000 of 262,144 bytes; fetch again to go on"):
        fetch("one", tmp_path, base_url=site.url)
    assert (tmp_path / "a.bin.part").stat().st_size == 100_000
    site.cut_after = None
    assert fetch("one", tmp_path, base_url=site.url).read_bytes() == DATA
    assert site.asked[-1] == ("/a.bin", "bytes=100000-")
    assert names(tmp_path) == ["a.bin"]


def test_a_file_that_changed_meanwhile_starts_over(site: Site, tmp_path: Path) -> None:
    site.cut_after = 3
    with pytest.raises(InputError, match="broke"):
        fetch("two", tmp_path, base_url=site.url)
    site.cut_after, site.etag, site.files["b.bin"] = None, '"two"', b"changed"
    assert fetch("two", tmp_path, base_url=site.url).read_bytes() == b"changed"


def test_a_cut_is_noticed_by_the_published_size_where_the_server_is_silent(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Part("a.bin", "http://127.0.0.1:1/a.bin", size=len(DATA))
    monkeypatch.setitem(DOWNLOADS, "one", replace(DOWNLOADS["one"], parts=(part,)))
    site.says_length, site.cut_after = False, 1000
    with pytest.raises(InputError, match=r"broke after 1,000 of 262,144 bytes"):
        fetch("one", tmp_path, base_url=site.url)
    site.cut_after = None
    seen: list[tuple[int, int | None]] = []
    fetch("one", tmp_path, base_url=site.url, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(DATA), len(DATA))


def test_a_server_without_ranges_starts_over(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    assert fetch("one", tmp_path, base_url=site.url).read_bytes() == DATA


@pytest.mark.parametrize("there", [DATA, DATA + b"more"])
def test_a_part_that_is_complete_or_too_long(site: Site, tmp_path: Path, there: bytes) -> None:
    (tmp_path / "a.bin.part").write_bytes(there)
    assert fetch("one", tmp_path, base_url=site.url).read_bytes() == DATA


def test_a_wrong_checksum_deletes_the_file(site: Site, tmp_path: Path) -> None:
    site.files["a.bin"] = DATA[:-1] + b"?"
    with pytest.raises(InputError, match=r"found checksum .* the file is deleted; try again") as caught:
        fetch("one", tmp_path, base_url=site.url)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_a_git_lfs_pointer_is_not_the_data(site: Site, tmp_path: Path) -> None:
    site.files["b.bin"] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    with pytest.raises(InputError, match="Git LFS pointer"):
        fetch("two", tmp_path, base_url=site.url)
    assert names(tmp_path) == []


def test_not_found(site: Site, tmp_path: Path) -> None:
    del site.files["a.bin"]
    with pytest.raises(InputError, match=r"answered 404 for http://127.*may have moved, see https://example.org"):
        fetch("one", tmp_path, base_url=site.url)
    assert names(tmp_path) == []


def test_no_network(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot reach 127.0.0.1:1: .*is there a network\?") as caught:
        fetch("one", tmp_path)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_addresses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown trace 'phily'; did you mean 'philly'"):
        fetch("phily", tmp_path)
    with pytest.raises(InputError, match="expected http"):
        fetch("one", tmp_path, base_url="file:///etc")


def test_a_disk_that_refuses(site: Site, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot write"):
        fetch("one", tmp_path / "taken", base_url=site.url)


def test_the_table_of_downloads() -> None:
    for name, trace in DOWNLOADS.items():
        assert trace.parts and trace.licence and trace.title, name
        assert trace.source.startswith("https://"), name
        files = [part.file for part in trace.parts]
        assert len(set(files)) == len(files), name
        for part in trace.parts:
            assert part.sha256 is None or re.fullmatch("[0-9a-f]{64}", part.sha256), part
    assert DOWNLOADS["philly-raw"].parts[0].size == 1_055_988_361
    assert len(DATA) > module.CHUNK
