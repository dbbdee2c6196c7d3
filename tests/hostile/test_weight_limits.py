"""One small case for every flaw of the weights' readers that the attack found."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from eval.backends.syncnet import load_state
from joystreamer.errors import InputError
from joystreamer.model.checkpoint_files import find_weight_files
from joystreamer.model.lora import read_lora
from joystreamer.model.weights import infer_wan_config, wan_to_joystreamer
from joystreamer.presets import tiny_transformer

STEM = "transformer.blocks.0.attn1.to_q"


def lora(
    folder: Path, metadata: str | None = None, changes: dict[str, torch.Tensor] | None = None
) -> Path:
    tensors = {f"{STEM}.lora_A.weight": torch.ones(2, 8), f"{STEM}.lora_B.weight": torch.ones(8, 2)}
    save_file({**tensors, **(changes or {})}, folder / "l.safetensors",
              metadata=None if metadata is None else {"lora_adapter_metadata": metadata})  # fmt: skip
    return folder / "l.safetensors"


@pytest.mark.parametrize(
    ("metadata", "part"),
    [
        ("{", "is not JSON"), ("[]", "holds a list"),
        ('{"transformer.lora_alpha": "x"}', "numbers, and names of modules without wildcards fit"),
        ('{"transformer.lora_alpha": 1, "transformer.alpha_pattern": {"(a+)+$": 1}}', "without wildcards fit"),
    ],
)  # fmt: skip
def test_the_configuration_of_a_lora_is_checked(tmp_path: Path, metadata: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        read_lora(lora(tmp_path, metadata))


def test_a_lora_of_other_shapes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has shape .* a matrix is needed"):
        read_lora(lora(tmp_path, changes={f"{STEM}.lora_A.weight": torch.zeros(())}))
    with pytest.raises(InputError, match="one number for alpha"):
        read_lora(lora(tmp_path, changes={f"{STEM}.alpha": torch.ones(3)}))
    (tmp_path / "l.safetensors").write_bytes(b"no header at all")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        read_lora(tmp_path / "l.safetensors")


def test_a_lying_block_number_asks_for_no_billion_blocks() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tiny_transformer().state_dict().items()}
    with pytest.raises(InputError, match="the blocks are numbered up to 999999999"):
        infer_wan_config({**shapes, "blocks.999999999.x": (1,)})
    with pytest.raises(InputError, match="the shapes are no Wan transformer's"):
        infer_wan_config({**shapes, "patch_embedding.weight": (4,)})
    with pytest.raises(InputError, match="the shapes are no Wan transformer's"):
        infer_wan_config({**shapes, "blocks.x.y": (1,)})


@pytest.mark.parametrize(
    ("change", "part"),
    [({"num_layers": 10**9}, "blocks, the weights hold"), ({"num_attention_heads": "x"}, "makes no transformer"), ({"patch_size": "x"}, "makes no transformer")],
)  # fmt: skip
def test_a_lying_configuration_is_refused(
    tmp_path: Path, change: dict[str, object], part: str
) -> None:
    model = tiny_transformer()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {**dict(model.config), **change}
    (tmp_path / "config.json").write_text(json.dumps(config, default=str))
    with pytest.raises(InputError, match=part):
        wan_to_joystreamer(tmp_path)


@pytest.mark.parametrize("name", ["x" * 5000, "../w.safetensors", 7, ["a"]])
def test_an_index_names_files_beside_it(tmp_path: Path, name: object) -> None:
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name, "b": "b.safetensors"}}))
    (tmp_path / "b.safetensors").write_bytes(b"x")
    with pytest.raises((InputError, FileNotFoundError)) as caught:
        find_weight_files(tmp_path)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.int64, torch.complex64])
def test_weights_are_floating_point_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    model = tiny_transformer()
    name = "blocks.0.attn2.to_out.0.weight"
    state = model.state_dict()
    save_file(
        {**state, name: torch.zeros(state[name].shape, dtype=dtype)}, tmp_path / "model.safetensors"
    )
    (tmp_path / "config.json").write_text(json.dumps(dict(model.config), default=str))
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(InputError, match=rf"'{name}' of .* holds {kind}, and weights are floating"):
        wan_to_joystreamer(tmp_path)


@pytest.mark.parametrize("pickle", [b"\x80\x02a.", b"\x80\x02(t.", b"\x80\x02s.", b"\x80\x02", b""])
def test_a_damaged_pickle_is_no_state_dict(tmp_path: Path, pickle: bytes) -> None:
    """Some take from an empty stack, which torch lets through as an IndexError."""
    (tmp_path / "w.model").write_bytes(pickle)
    with pytest.raises(InputError, match="is not a state dict of SyncNet"):
        load_state(torch.nn.Linear(2, 2), tmp_path / "w.model", "SyncNet")
