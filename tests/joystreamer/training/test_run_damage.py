"""Checkpoints and caches that a failing disk changed are named, and not trained on."""

import json

import pytest
import torch

from joystreamer.errors import InputError
from joystreamer.training.checkpoint import DIGESTS, CheckpointFolder, checkpoints
from joystreamer.training.parallel import make_accelerator
from joystreamer.training.runs import _put_in_place
from joystreamer.training.shards import INDEX, ShardedClips, ShardWriter


@pytest.fixture
def store(tmp_path):
    made = CheckpointFolder(tmp_path, 3)
    for step in (1, 2):
        made.write(
            step, {"network": {"w": torch.ones(64) * step}}, {"steps": {}}, make_accelerator()
        )
    return made


@pytest.mark.parametrize(
    "name",
    ["network.safetensors", "state.json", "random-00000.safetensors", "random-00000.json", DIGESTS],
)
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_checkpoint_is_named_and_the_one_before_serves(store, name, cut):
    newest = store.latest()
    content = bytearray((newest / name).read_bytes())
    if cut:
        del content[len(content) // 2 :]
    else:
        content[-2] ^= 1
    (newest / name).write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"checkpoint '.*step-00000002' is damaged .*remove the"):
        store.read(newest, 0)
    tensors, state = store.read(checkpoints(store.folder)[0], 0)
    assert state["step"] == 1
    assert torch.equal(tensors["network"]["w"], torch.ones(64))


def test_checkpoints_from_before_there_were_digests_are_read(store):
    (store.latest() / DIGESTS).unlink()
    assert store.read(store.latest(), 0)[1]["step"] == 2


def make_cache(folder):
    writer = ShardWriter(folder, 4)
    writer.add("k", {"x": torch.arange(6.0)}, {"bucket": "2x3"})
    writer.flush()
    return folder


@pytest.mark.parametrize("place", [2, -3])
def test_a_damaged_shard_is_named(tmp_path, place):
    cache = make_cache(tmp_path / "cache")
    (shard,) = cache.glob("shard-*")
    content = bytearray(shard.read_bytes())
    content[place] ^= 4
    shard.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"is damaged \(shard-00000000.safetensors is not what"):
        ShardedClips(cache).read([0])


@pytest.mark.parametrize("line", ['{"key": 3, }', '["key"]', '{"key": "k"}', "\udcff"])
def test_a_damaged_index_is_named(tmp_path, line):
    cache = make_cache(tmp_path / "cache")
    (cache / INDEX).write_bytes(
        f"{line} ".strip().encode(errors="surrogateescape") + b"}\n" * (line == "\udcff")
    )
    with pytest.raises(InputError, match=r"(is damaged \(index.jsonl|holds no cached clip)"):
        ShardedClips(cache)


def test_an_index_without_digests_is_read(tmp_path):
    cache = make_cache(tmp_path / "cache")
    entry = json.loads((cache / INDEX).read_text())
    del entry["digest"]
    (cache / INDEX).write_text(json.dumps(entry) + "\n")
    assert torch.equal(ShardedClips(cache).read([0])["x"], torch.arange(6.0)[None])


def test_the_weights_of_a_run_change_their_name_only_when_whole(tmp_path):
    final, made = tmp_path / "final", tmp_path / ".partial-final"
    for folder, text in ((final, "former"), (made, "new")):
        folder.mkdir()
        (folder / "weights").write_text(text)
    _put_in_place(made, final)
    assert (final / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
