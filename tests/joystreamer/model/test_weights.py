import json
import math
import resource
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from joystreamer.errors import InputError, MissingWeights
from joystreamer.model.checkpoint_files import find_weight_files, read_headers
from joystreamer.model.configurations import paper_transformer_config, tiny_transformer_config
from joystreamer.model.conversion import convert_checkpoint
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.model.wan_keys import is_addition, key_to_original
from joystreamer.model.weights import (
    check_shapes,
    find_experts,
    infer_wan_config,
    match_keys,
    wan_to_joystreamer,
)

ADDITIONS = {"audio_dim": 32, "audio_layers": 4, "audio_token_dim": 32, "audio_hidden_dim": 16}


def make_wan(in_channels: int = 16, seed: int = 0) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    return WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=48,
        in_channels=in_channels,
        out_channels=16,
        text_dim=32,
        freq_dim=64,
        ffn_dim=64,
        num_layers=2,
    ).eval()


def save_as_original(model: WanTransformer3DModel, folder: Path, prefix: str = "") -> None:
    """The original repository's layout: its names, its configuration, two shards and an index."""
    folder.mkdir(parents=True)
    weights = {prefix + str(key_to_original(k)): v.clone() for k, v in model.state_dict().items()}
    names = sorted(weights)
    index = {}
    for part, half in enumerate((names[::2], names[1::2]), start=1):
        file = f"diffusion_pytorch_model-{part:05d}-of-00002.safetensors"
        save_file({name: weights[name] for name in half}, folder / file)
        index.update(dict.fromkeys(half, file))
    name = "diffusion_pytorch_model.safetensors.index.json"
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "config.json").write_text(
        json.dumps({"dim": 96, "num_heads": 2, "model_type": "t2v"})
    )


def inputs(channels: int = 16) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "hidden_states": torch.randn(1, channels, 3, 8, 8),
        "timestep": torch.tensor([700.0]),
        "encoder_hidden_states": torch.randn(1, 512, 32),
    }


@pytest.mark.parametrize("channels", [16, 36], ids=["text-to-video", "image-to-video"])
@pytest.mark.parametrize("layout", ["diffusers", "original", "single file"])
def test_wan_of_any_layout_loads_and_stays_wan(tmp_path, layout, channels):
    wan = make_wan(channels)
    source = tmp_path / "wan"
    settings = dict(ADDITIONS)
    if layout == "diffusers":
        wan.save_pretrained(source, max_shard_size="100KB")
    elif layout == "original":
        save_as_original(wan, source)
    else:
        source = tmp_path / "wan.safetensors"
        stored = {
            f"model.diffusion_model.{key_to_original(k)}": v for k, v in wan.state_dict().items()
        }
        save_file(stored, source)
        settings |= {"num_attention_heads": 2, "attention_head_dim": 48}
    seen = []
    model = wan_to_joystreamer(source, config=settings, progress=lambda *done: seen.append(done))
    assert seen[-1] == (len(wan.state_dict()),) * 2
    assert not any(tensor.is_meta for tensor in model.state_dict().values())
    audio = torch.randn(1, 1, 3, 8, 4, 32)
    with torch.no_grad():
        expected = wan(**inputs(channels)).sample
        assert torch.equal(model(**inputs(channels)).sample, expected)
        assert torch.equal(model(**inputs(channels), audio_features=audio).sample, expected)
        history = (
            torch.randn(1, channels, 3, 8, 8).mean((2, 3, 4), keepdim=True).expand(-1, -1, 3, 8, 8)
        )
        tokens = model.frame_pack(history)  # of a flat history, every token is the patch's
        patch = model.patch_embedding(history[:, :, :1]).flatten(2).transpose(1, 2)
        torch.testing.assert_close(tokens, patch[:, :1].expand_as(tokens), atol=1e-5, rtol=1e-4)


def test_the_dtype_is_as_asked_except_for_delicate_parts(tmp_path):
    make_wan().save_pretrained(tmp_path / "wan")
    model = wan_to_joystreamer(tmp_path / "wan", dtype=torch.bfloat16, config=ADDITIONS)
    dtypes = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    for name in ("attn1.to_q.weight", "audio_attn.to_q.weight"):
        assert dtypes[f"blocks.0.{name}"] == torch.bfloat16
    assert dtypes["frame_pack.proj.weight"] == torch.bfloat16
    for name in ("norm2.weight", "audio_norm.weight", "scale_shift_table"):
        assert dtypes[f"blocks.0.{name}"] == torch.float32
    assert dtypes["scale_shift_table"] == torch.float32


def test_a_single_file_loads_by_the_name_diffusers_users_know(tmp_path):
    wan = make_wan()
    save_as_original(wan, tmp_path / "wan")
    model = JoyStreamerTransformer3DModel.from_single_file(
        tmp_path / "wan", torch_dtype=torch.bfloat16, config=ADDITIONS
    )
    assert model.blocks[1].ffn.net[2].weight.dtype == torch.bfloat16


def test_both_experts_are_found_in_either_layout(tmp_path):
    assert find_experts(tmp_path) == {"transformer": tmp_path}
    for name in ("high_noise_model", "low_noise_model"):
        (tmp_path / name).mkdir()
    assert find_experts(tmp_path) == {
        "transformer": tmp_path / "high_noise_model",
        "transformer_2": tmp_path / "low_noise_model",
    }


@pytest.mark.parametrize("layout", ["diffusers", "original"])
@pytest.mark.parametrize(("channels", "parameters"), [(16, 14_288_491_584), (36, 14_288_901_184)])
def test_a_14b_checkpoint_is_checked_without_its_weights(layout, channels, parameters):
    """From names and shapes alone, on the meta device, as a checkpoint's index and headers give."""
    with torch.device("meta"):
        model = JoyStreamerTransformer3DModel(**paper_transformer_config(in_channels=channels))
    base = {k: tuple(v.shape) for k, v in model.state_dict().items() if not is_addition(k)}
    stored = (
        base if layout == "diffusers" else {str(key_to_original(k)): s for k, s in base.items()}
    )
    found_layout, matched = match_keys(stored)
    assert found_layout == layout
    shapes = {name: stored[key] for name, key in matched.items()}
    assert (len(shapes), sum(math.prod(s) for s in shapes.values())) == (1095, parameters)
    config = infer_wan_config(shapes)
    assert {name: paper_transformer_config(in_channels=channels)[name] for name in config} == config
    assert check_shapes(shapes, model) is False  # Wan only: the additions are to be made

    shapes.pop("blocks.17.norm2.bias")
    with pytest.raises(InputError, match=r"1 missing \(blocks.17.norm2.bias\), 0 left over"):
        check_shapes(shapes, model)
    shapes["blocks.17.norm3.bias"] = (5120,)  # what a forgotten swap would give
    with pytest.raises(InputError, match=r"1 missing \(.*\), 1 left over \(blocks.17.norm3.bias\)"):
        check_shapes(shapes, model)


def write_hollow_checkpoint(folder: Path, shapes: dict[str, tuple[int, ...]], shards: int) -> None:
    """Index and shards with true headers over sparse files: 14 GB to read, nothing on the disk."""
    folder.mkdir(parents=True)
    weight_map = {}
    names = sorted(shapes)
    for shard in range(shards):
        file = f"diffusion_pytorch_model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        header, end = {}, 0
        for name in names[shard::shards]:
            start, end = end, end + math.prod(shapes[name])
            header[name] = {"dtype": "F8_E4M3", "shape": shapes[name], "data_offsets": [start, end]}
            weight_map[name] = file
        text = json.dumps(header).encode()
        with (folder / file).open("wb") as opened:
            opened.write(len(text).to_bytes(8, "little") + text)
            opened.truncate(8 + len(text) + end)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_a_14b_index_with_its_shards_is_matched_whole(tmp_path, layout):
    with torch.device("meta"):
        model = JoyStreamerTransformer3DModel(**paper_transformer_config())
    base = {k: tuple(v.shape) for k, v in model.state_dict().items() if not is_addition(k)}
    named = base if layout == "diffusers" else {str(key_to_original(k)): s for k, s in base.items()}
    folder = tmp_path / "transformer"
    write_hollow_checkpoint(folder, named, shards=6)
    try:
        files = find_weight_files(folder)
        stored = read_headers(files)
    finally:
        for file in folder.iterdir():
            file.unlink()
    assert len(files) == 6
    found_layout, matched = match_keys(stored)
    assert found_layout == layout
    assert matched.keys() == base.keys()
    check_shapes({name: stored[key].shape for name, key in matched.items()}, model)


def test_a_checkpoint_of_a14b_width_with_other_counts_is_refused():
    config = {**paper_transformer_config(), "freq_dim": 128}
    with torch.device("meta"):
        model = JoyStreamerTransformer3DModel(**config)
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items() if not is_addition(k)}
    with pytest.raises(
        InputError, match=r"1095 tensors and 14287836224 parameters; Wan2.2-A14B has"
    ):
        check_shapes(shapes, model)


def test_shapes_that_differ_are_named(tmp_path):
    make_wan().save_pretrained(tmp_path / "wan")
    with pytest.raises(
        InputError, match=r"6 weights have another shape.*\(64,\) where the model needs \(128,\)"
    ):
        wan_to_joystreamer(tmp_path / "wan", config={**ADDITIONS, "ffn_dim": 128})


def test_strange_weights_are_named(tmp_path):
    wan = make_wan()
    weights = {str(key_to_original(k)): v for k, v in wan.state_dict().items()}
    save_file(
        {**weights, "casual_audio_encoder.weights": torch.zeros(1)}, tmp_path / "s2v.safetensors"
    )
    with pytest.raises(
        InputError, match=r"1 of 70 weights are not Wan's: casual_audio_encoder.weights"
    ):
        wan_to_joystreamer(tmp_path / "s2v.safetensors")
    save_file({"blocks.0.self_attn.q.weight": torch.zeros(2, 2)}, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match=r"'patch_embedding.weight' is missing.*not a whole Wan"):
        wan_to_joystreamer(tmp_path / "part.safetensors")


def test_half_of_the_additions_is_not_enough(tmp_path):
    model = JoyStreamerTransformer3DModel(**tiny_transformer_config())
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith("frame_pack")}
    save_file(weights, tmp_path / "half.safetensors")
    model.save_config(tmp_path)
    with pytest.raises(InputError, match=r"4 missing \(frame_pack.proj.bias"):
        wan_to_joystreamer(tmp_path / "half.safetensors")


@pytest.mark.parametrize("name", ["model.bin", "model.pth", "model.ckpt", "model.pt"])
def test_pickles_are_refused_unopened(tmp_path, name):
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(
            InputError, match=rf"{name} is a pickle, and opening one can run code; only"
        ):
            wan_to_joystreamer(path)


def test_files_that_are_missing_cut_or_doubled_are_named(tmp_path):
    with pytest.raises(MissingWeights, match="no such file or folder"):
        find_weight_files(tmp_path / "nowhere")
    with pytest.raises(
        MissingWeights, match=r"it holds no .safetensors file; give the folder of one"
    ):
        find_weight_files(tmp_path)
    (tmp_path / "q.gguf").touch()
    with pytest.raises(InputError, match="is a GGUF file"):
        find_weight_files(tmp_path)
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\x00\x00")
    with pytest.raises(InputError, match=r"cut.safetensors cannot be read as safetensors"):
        read_headers(find_weight_files(tmp_path))
    for name in ("cut", "other"):
        save_file({"a": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match=r"'a' is in both cut.safetensors and other.safetensors"):
        read_headers(find_weight_files(tmp_path))


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (
            {"weight_map": {"a": "gone.safetensors"}},
            MissingWeights,
            "gone.safetensors is missing, although",
        ),
        ({"weight_map": {"a": "../x.safetensors"}}, InputError, "which is outside its folder"),
        ({"weight_map": {"a": "x.bin"}}, InputError, "x.bin is a pickle"),
        ({"metadata": {}}, InputError, "is not a safetensors index"),
        ("[", InputError, "is not a safetensors index"),
    ],
)
def test_a_damaged_index_is_named(tmp_path, index, error, message):
    text = index if isinstance(index, str) else json.dumps(index)
    (tmp_path / "m.safetensors.index.json").write_text(text)
    with pytest.raises(error, match=message):
        find_weight_files(tmp_path)


def test_conversion_there_and_back_changes_no_weight(tmp_path):
    experts = {"high_noise_model": make_wan(seed=1), "low_noise_model": make_wan(seed=2)}
    for name, wan in experts.items():
        save_as_original(wan, tmp_path / "wan" / name)
    seen = set()
    made = convert_checkpoint(
        tmp_path / "wan",
        tmp_path / "joy",
        config=ADDITIONS,
        max_shard_size="200KB",
        progress=lambda component, read, total: seen.add((component, read == total)),
    )
    assert made == [tmp_path / "joy" / "transformer", tmp_path / "joy" / "transformer_2"]
    assert ("transformer_2", True) in seen
    assert len(list(made[0].glob("*.safetensors"))) > 1
    back = convert_checkpoint(
        tmp_path / "joy", tmp_path / "back", to="original", max_shard_size="200KB"
    )
    assert [path.name for path in back] == ["high_noise_model", "low_noise_model"]
    for folder, converted, (_, wan) in zip(back, made, experts.items(), strict=True):
        weights = {k: v for file in find_weight_files(folder) for k, v in load_file(file).items()}
        for name, tensor in wan.state_dict().items():
            assert torch.equal(weights[str(key_to_original(name))], tensor), name
        again = wan_to_joystreamer(folder).state_dict()
        first = JoyStreamerTransformer3DModel.from_pretrained(converted).state_dict()
        assert again.keys() == first.keys()
        assert all(torch.equal(again[name], first[name]) for name in first)


def test_a_failed_conversion_leaves_nothing_behind(tmp_path):
    save_as_original(make_wan(), tmp_path / "wan" / "high_noise_model")
    broken = tmp_path / "wan" / "low_noise_model"
    broken.mkdir()
    with pytest.raises(MissingWeights):
        convert_checkpoint(tmp_path / "wan", tmp_path / "joy", config=ADDITIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["wan"]
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="taken exists already; conversions never overwrite"):
        convert_checkpoint(tmp_path / "wan", tmp_path / "taken")
    with pytest.raises(
        InputError, match="'onnx' is unknown; it can be joystreamer, original, lora-peft"
    ):
        convert_checkpoint(tmp_path / "wan", tmp_path / "joy", to="onnx")


@pytest.mark.parametrize("to", ["joystreamer", "original"])
def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path, to):
    make_wan().save_pretrained(tmp_path / "wan" / "transformer")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"joy cannot be written \(.*\); make room or choose"):
            convert_checkpoint(tmp_path / "wan", tmp_path / "joy", to=to, config=ADDITIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["wan"]
