import hashlib

import pytest

from eval.store.files import (
    TEMPORARY_PREFIX,
    ContentFolder,
    digest_file,
    write_text,
    written_atomically,
)
from joystreamer.errors import InputError


def test_content_is_stored_once_under_its_digest(tmp_path):
    folder = ContentFolder(tmp_path / "media")
    source = tmp_path / "a.MP4"
    source.write_bytes(b"clip")
    digest = folder.add_file(source)
    assert digest == hashlib.sha256(b"clip").hexdigest() == digest_file(source)
    assert folder.find(digest) == tmp_path / "media" / digest[:2] / f"{digest}.mp4"
    before = folder.path(digest, ".mp4").stat().st_mtime_ns
    assert folder.add_file(source) == digest
    assert folder.path(digest, ".mp4").stat().st_mtime_ns == before


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "g" * 64, "A" * 64, "a" * 63])
def test_only_digests_become_paths(tmp_path, digest):
    with pytest.raises(InputError, match="is not a digest"):
        ContentFolder(tmp_path).path(digest)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "report.txt"
    write_text(target, "old")

    def write_and_fail() -> None:
        with written_atomically(target) as temporary:
            temporary.write_text("half")
            assert temporary.name.startswith(TEMPORARY_PREFIX)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.txt"]


def test_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        digest_file(tmp_path / "none")


def test_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "file" / "below", "x")
