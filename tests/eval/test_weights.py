"""Weights are found by digest, fetched with resume, and never taken for what they are not."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from eval.weight_table import WEIGHTS, Weights
from eval.weights import SHIPPED, WeightFolder, file_digest, weight_folders
from eval.weights_cli import weights
from joystreamer.errors import InputError, MissingWeights

CONTENT = bytes(range(256)) * 5000
SHA = hashlib.sha256(CONTENT).hexdigest()


def row(url: str = "", **changes) -> Weights:
    fields = {"name": "net", "file": "net.bin", "url": url, "sha256": SHA, "size": len(CONTENT)}
    return Weights(licence="MIT", source="here", needed_by=("x/y",), **{**fields, **changes})


class Host(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; notes the ranges asked for."""

    ranges: list[str | None] = []  # noqa: RUF012
    fail_after: int | None = None

    def do_GET(self) -> None:
        if self.path == "/gone":
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        body = CONTENT[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.fail_after is None else body[: self.fail_after])

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def host() -> Iterator[str]:
    Host.ranges, Host.fail_after = [], None
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_found_by_its_digest_under_any_name(tmp_path: Path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "wrong.bin").write_bytes(CONTENT[::-1])  # same size, other content
    (deep / "zzz.whatever").write_bytes(CONTENT)
    folder = WeightFolder([tmp_path], memory=tmp_path / "memory", table=[row()])
    assert folder.find("net") == deep / "zzz.whatever"
    assert folder.digests(["net"]) == {"net": SHA}


def test_digests_are_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "net.bin").write_bytes(CONTENT)
    read: list[Path] = []

    def count(path: Path) -> str:
        read.append(path)
        return file_digest(path)

    monkeypatch.setattr("eval.weights.file_digest", count)
    for _ in range(2):
        WeightFolder([tmp_path], memory=tmp_path / "memory", table=[row()]).find("net")
    assert len(read) == 1
    (tmp_path / "net.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(MissingWeights):
        WeightFolder([tmp_path], memory=tmp_path / "memory", table=[row()]).find("net")


def test_missing_weights_say_where_and_what_to_do(tmp_path: Path):
    folder = WeightFolder([tmp_path], memory=tmp_path, table=[row("http://h/net.bin")])
    with pytest.raises(MissingWeights) as caught:
        folder.find("net")
    assert str(caught.value) == (
        f"net (net.bin) is not in {tmp_path}: run `python -m eval weights fetch net`, or point "
        "JOYSTREAMER_WEIGHTS at the folder that has it"
    )
    assert folder.digests(["net"]) == {"net": "missing"}


def test_a_stand_in_is_taken_and_its_own_digest_is_named(tmp_path: Path):
    other = b"lite" * 100
    lite = row(name="lite", sha256=hashlib.sha256(other).hexdigest(), size=len(other))
    table = [row(stand_in="lite"), lite]
    (tmp_path / "lite.bin").write_bytes(other)
    folder = WeightFolder([tmp_path], memory=tmp_path / "m", table=table)
    assert folder.find("net").name == "lite.bin"
    assert folder.digests(["net"])["net"] == lite.sha256
    assert [state.state for state in folder.verify()] == ["stand-in", "verified"]
    (tmp_path / "net.bin").write_bytes(CONTENT)
    assert (
        WeightFolder([tmp_path], memory=tmp_path / "m", table=table).find("net").name == "net.bin"
    )


def test_without_a_published_digest_the_first_file_is_pinned(tmp_path: Path):
    table = [row(sha256=None, size=None)]
    (tmp_path / "net.bin").write_bytes(b"first")
    folder = WeightFolder([tmp_path], memory=tmp_path / "m", table=table)
    assert "will be pinned" in folder.verify()[0].message
    folder.find("net")
    assert "pinned at first use" in folder.verify()[0].message
    (tmp_path / "net.bin").write_bytes(b"second!")
    again = WeightFolder([tmp_path], memory=tmp_path / "m", table=table)
    assert again.verify()[0].state == "changed"
    with pytest.raises(MissingWeights, match="is not the file that was first used as net"):
        again.find("net")


def test_fetch_downloads_verifies_and_reports_progress(tmp_path: Path, host: str):
    seen: list[tuple[int, int | None]] = []
    folder = WeightFolder([tmp_path], memory=tmp_path / "m", table=[row(f"{host}/net.bin")])
    path = folder.fetch("net", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert not list(tmp_path.glob("*.part"))
    folder.fetch("net")
    assert len(Host.ranges) == 1  # the second time nothing is asked


def test_fetch_goes_on_where_it_stopped(tmp_path: Path, host: str):
    folder = WeightFolder([tmp_path], memory=tmp_path / "m", table=[row(f"{host}/net.bin")])
    Host.fail_after = 1000
    with pytest.raises(InputError, match="again to go on where it stopped"):
        folder.fetch("net")
    assert (tmp_path / "net.bin.part").stat().st_size == 1000
    Host.fail_after = None
    assert folder.fetch("net").read_bytes() == CONTENT
    assert Host.ranges == [None, "bytes=1000-"]


def test_fetch_throws_a_wrong_file_away(tmp_path: Path, host: str):
    folder = WeightFolder(
        [tmp_path], memory=tmp_path / "m", table=[row(f"{host}/net.bin", sha256="0" * 64)]
    )
    with pytest.raises(InputError, match="it was thrown away"):
        folder.fetch("net")
    assert not any(path.is_file() for path in tmp_path.glob("net*"))


def test_fetch_errors_are_one_sentence(tmp_path: Path, host: str):
    gone = WeightFolder([tmp_path], memory=tmp_path, table=[row(f"{host}/gone")])
    with pytest.raises(InputError, match="answered 404 Not Found"):
        gone.fetch("net")
    offline = WeightFolder([tmp_path], memory=tmp_path, table=[row("http://127.0.0.1:9/net.bin")])
    with pytest.raises(InputError, match="this machine seems offline"):
        offline.fetch("net")
    unpublished = WeightFolder([tmp_path], memory=tmp_path, table=[row()])
    with pytest.raises(InputError, match="not published as a file of its own"):
        unpublished.fetch("net")
    with pytest.raises(InputError, match="no weights are called 'nte'"):
        unpublished.fetch("nte")


def test_folders_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JOYSTREAMER_WEIGHTS", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert weight_folders() == (tmp_path / "a", tmp_path / "b")
    monkeypatch.delenv("JOYSTREAMER_WEIGHTS")
    monkeypatch.setenv("JOYSTREAMER_CACHE", str(tmp_path))
    assert weight_folders() == (tmp_path / "weights",)


def test_the_table_is_consistent():
    names = [entry.name for entry in WEIGHTS]
    assert len(set(names)) == len(names)
    for entry in WEIGHTS:
        assert (entry.sha256 is None) == (entry.size is None), entry.name
        assert entry.sha256 is None or (len(entry.sha256) == 64 and int(entry.sha256, 16))
        assert entry.stand_in is None or entry.stand_in in names
        assert entry.url.startswith("https://") or not entry.url


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JOYSTREAMER_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("JOYSTREAMER_CACHE", str(tmp_path))
    run = CliRunner().invoke
    listed = run(weights, ["list"])
    assert listed.exit_code == 0
    assert "syncnet-v2" in listed.output
    verified = run(weights, ["verify"]).output
    own = [entry.name for entry in WEIGHTS if (SHIPPED / entry.file).is_file()]
    assert own == ["puppet-syncnet"]
    assert verified.count("missing") == len(WEIGHTS) - len(own)
    assert "puppet_syncnet.safetensors is puppet-syncnet: its sha256 is" in " ".join(
        verified.split()
    )
    wrong = run(weights, ["fetch", "nothing-like-it"])
    assert wrong.exit_code == 2
    assert "no weights are called 'nothing-like-it'" in wrong.output


def test_the_shared_weights_are_recognised(shared_data: Path, tmp_path: Path):
    folder = WeightFolder([shared_data / "weights"], memory=tmp_path)
    assert folder.find("hand-landmarker").name == "hand_landmarker_lite.task"
    assert folder.find("face-detector").name == "face_detection_short_range_with_metadata.tflite"
