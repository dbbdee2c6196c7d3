"""Targets that open weights: safetensors with wrong shapes and lying headers, pickles that carry code."""

import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save as save_tensors

from eval.backends.puppet_syncnet import NarrowSyncNet, load_puppet_syncnet
from eval.backends.syncnet import load_state
from joystreamer.model.checkpoint_files import find_weight_files, read_headers, read_metadata
from joystreamer.model.lora import read_lora
from joystreamer.model.transformer import JoyStreamerTransformer3DModel
from joystreamer.model.weights import wan_to_joystreamer
from joystreamer.presets import tiny_transformer
from tests.hostile.damage import damage_bytes
from tests.hostile.target import Target
from tests.hostile.watch import Sandbox

MARK: Final = "unpickled"
"""Name of the file that a pickle of ours would make if its code ran."""

_DTYPES: Final = ("F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "X99", "", None, 7)


class Trap:
    """An object whose unpickling would create a file."""

    def __init__(self, target: Path, way: int) -> None:
        self.target, self.way = target, way

    def __reduce__(self) -> tuple[Any, ...]:
        import os
        import subprocess

        ways = (
            (open, (str(self.target), "w")), (os.mkdir, (str(self.target),)),
            (os.system, (f"touch {self.target}",)), (subprocess.run, (["touch", str(self.target)],)),
            (eval, (f"open({str(self.target)!r}, 'w')",)), (exec, (f"open({str(self.target)!r}, 'w')",)),
        )  # fmt: skip
        return ways[self.way]


def trapped_pickle(target: Path, rng: random.Random) -> bytes:
    """A pickle, plain or in torch's archive, that would create a file."""
    content: Any = {"weight": Trap(target, rng.randrange(6))}
    if rng.random() < 0.5:
        return pickle.dumps(content, protocol=rng.randrange(6))
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=rng.random() < 0.7)
    return buffer.getvalue()


def make_pickle(rng: random.Random, sandbox: Sandbox) -> bytes:
    """A trap, perhaps damaged; a foreign state dict; or an archive whose names leave the folder."""
    way = rng.randrange(4)
    if way == 0:
        state = {"weight": torch.zeros(rng.choice((0, 1, 7)), 3), "x": [1, {"y": 2}]}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return damage_bytes(buffer.getvalue(), rng)
    if way == 1:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in ("../../guard/new.txt", "/etc/new", "a\x01b", "archive/data.pkl", "..\\x"):
                archive.writestr(name, trapped_pickle(sandbox.guard / MARK, rng))
        return buffer.getvalue()
    content = trapped_pickle(sandbox.guard / MARK, rng)
    return damage_bytes(content, rng) if way == 2 else content


def lying_safetensors(rng: random.Random) -> bytes:
    """A safetensors file whose header lies about length, offsets, types or shapes."""
    header: dict[str, Any] = {}
    at = 0
    for number in range(rng.choice((0, 1, 3, 40))):
        shape = [
            rng.choice((0, 1, 2, 5, -1, 2**31, 2**62, 1.5)) for _ in range(rng.choice((0, 1, 2, 5)))
        ]
        end = at + rng.choice((0, 4, 16, 2**40, -3))
        header[rng.choice((f"blocks.{number}.x.weight", "blocks.999999999.attn1.weight", "../x", "a\nb", "\x00", f"t{number}"))] = {
            "dtype": rng.choice(_DTYPES), "shape": shape, "data_offsets": rng.choice(([at, end], [end, at], [], "x")),
        }  # fmt: skip
        at = max(0, end) if end < 2**20 else at
    if rng.random() < 0.3:
        header["__metadata__"] = rng.choice(
            ({"format": "pt"}, {"lora_adapter_metadata": "[" * 3000}, {"a": 1}, [], "x")
        )
    text = json.dumps(header).encode()
    length = rng.choice((len(text), len(text), len(text), 0, 1, 2**63, 100_000_001, len(text) + 5))
    return struct.pack("<Q", length & (2**64 - 1)) + text + bytes(rng.choice((0, 16, 400)))


def _spoiled_state(rng: random.Random, state: dict[str, torch.Tensor]) -> bytes:
    """A real state dict with names, shapes and types changed."""
    state = {name: tensor.clone() for name, tensor in state.items()}
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        name = rng.choice(sorted(state))
        tensor = state[name]
        way = rng.randrange(7)
        if way == 0:
            del state[name]
        elif way == 1:
            state[name] = tensor[..., :-1].contiguous() if tensor.ndim else tensor
        elif way == 2:
            state[name] = torch.zeros(rng.choice(((), (1,), (2, 3), (1, 2, 3, 4, 5, 6))))
        elif way == 3 and tensor.is_floating_point():
            state[name] = torch.full_like(tensor, rng.choice((float("nan"), float("inf"), 1e30)))
        elif way == 4:
            state[
                rng.choice(
                    (
                        "blocks.7.attn1.to_q.weight",
                        "blocks.99999999.norm2.weight",
                        "blocks.x.y",
                        "../w",
                        "é" * 300,
                    )
                )
            ] = state.pop(name)
        elif way == 5:
            state[name] = tensor.to(
                rng.choice((torch.int64, torch.bool, torch.float16, torch.uint8))
            )
        else:
            state[name] = tensor.new_zeros(0)
    metadata = {"format": "pt"}
    if rng.random() < 0.3:
        metadata["lora_adapter_metadata"] = rng.choice(
            ("{", "[]", '{"transformer.lora_alpha": "x"}', '{"transformer.lora_alpha": 1, "transformer.alpha_pattern": {"(a+)+$": 1}}',
             '{"transformer.lora_alpha": NaN}', '{"transformer.r": 1e999, "transformer.lora_alpha": []}')
        )  # fmt: skip
    content = save_tensors(state, metadata=metadata)
    return damage_bytes(content[:400], rng) + content[400:] if rng.random() < 0.2 else content


def _tiny_state() -> dict[str, torch.Tensor]:
    if not _states:
        _states.append(tiny_transformer().state_dict())
    return _states[0]


_states: list[dict[str, torch.Tensor]] = []


def make_transformer(rng: random.Random, _: Sandbox) -> tuple[bytes, bytes]:
    """Weights and the configuration beside them."""
    content = lying_safetensors(rng) if rng.random() < 0.35 else _spoiled_state(rng, _tiny_state())
    config = dict(tiny_transformer().config) if rng.random() < 0.1 else dict(_config())
    if rng.random() < 0.6:
        name = rng.choice(sorted(config))
        config[name] = rng.choice(
            (0, -1, 10**9, 1.5, "x", None, [], {}, True, [10**6, 1, 1], 10**400)
        )
    text = json.dumps(config, default=str).encode()
    return content, rng.choice(
        (text, text, text, damage_bytes(text, rng), b"[" * 9999, b"[]", b"3", b"\xff")
    )


def _config() -> dict[str, Any]:
    if not _configs:
        _configs.append(dict(tiny_transformer().config))
    return _configs[0]


_configs: list[dict[str, Any]] = []


def make_lora(rng: random.Random, _: Sandbox) -> bytes:
    """A LoRA of the tiny network, spoiled."""
    if rng.random() < 0.3:
        return lying_safetensors(rng)
    state = {}
    for block in range(2):
        stem = rng.choice((f"transformer.blocks.{block}.attn1.to_q", f"lora_unet_blocks_{block}_self_attn_q",
                           f"diffusion_model.blocks.{block}.self_attn.q"))  # fmt: skip
        state[f"{stem}.lora_A.weight"] = torch.ones(2, 8)
        state[f"{stem}.lora_B.weight"] = torch.ones(8, 2)
        state[f"{stem}.alpha"] = torch.tensor(rng.choice((1.0, float("nan"))))
    return _spoiled_state(rng, state)


def make_index(rng: random.Random, sandbox: Sandbox) -> bytes:
    """An index of shards that names what it should not."""
    secret = str(sandbox.guard / "secret.txt")
    names: tuple[Any, ...] = (
        "a.safetensors",
        "../guard/secret.txt",
        secret,
        "..",
        "",
        "x" * 5000,
        "a\x00b",
        "b.bin",
        7,
        None,
        [],
        {"a": 1},
    )
    plain: Any = {"weight_map": {f"w{n}": rng.choice(names) for n in range(3)}}
    if rng.random() < 0.2:
        plain = rng.choice(([], {}, {"weight_map": []}, {"weight_map": 3}, "x", None))
    text = json.dumps(plain).encode()
    return rng.choice((text, text, damage_bytes(text, rng), b"[" * 100_000))


def _file(name: str) -> Callable[[bytes, Sandbox], Path]:
    def place(content: bytes, sandbox: Sandbox) -> Path:
        folder = sandbox.given / "weights"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        (folder / name).write_bytes(content)
        return folder / name

    return place


def _place_transformer(parts: tuple[bytes, bytes], sandbox: Sandbox) -> Path:
    path = _file("model.safetensors")(parts[0], sandbox)
    (path.parent / "config.json").write_bytes(parts[1])
    return path.parent


def _open_pickle(path: Path, _: Sandbox) -> None:
    load_state(torch.nn.Linear(3, 7), path, "a test")


def _offer_pickle(path: Path, _: Sandbox) -> None:
    find_weight_files(path)
    raise AssertionError("a pickle was taken for weights")


def _headers(path: Path, _: Sandbox) -> None:
    read_metadata(path)
    read_headers([path])


def _load(path: Path, _: Sandbox) -> None:
    model = wan_to_joystreamer(path)
    assert isinstance(model, JoyStreamerTransformer3DModel)


def weight_targets() -> tuple[Target, ...]:
    """Every target that opens weights."""
    syncnet = NarrowSyncNet().state_dict()
    return (
        Target(name="pickle as a network's state", kind="weights", makes=make_pickle, place=_file("w.pt"), read=_open_pickle, share=2),
        Target(name="pickle offered as a model", kind="weights", makes=make_pickle, place=_file("w.bin"), read=_offer_pickle, share=1),
        Target(name="safetensors headers", kind="weights", makes=lambda rng, _: lying_safetensors(rng), share=3,
               place=_file("w.safetensors"), read=_headers),
        Target(name="transformer weights", kind="weights", makes=make_transformer, place=_place_transformer, read=_load, share=2),
        Target(name="LoRA", kind="weights", makes=make_lora, place=_file("l.safetensors"),
               read=lambda path, _: read_lora(path), share=3),
        Target(name="index of shards", kind="weights", makes=make_index, place=_file("m.safetensors.index.json"),
               read=lambda path, _: find_weight_files(path.parent), share=1),
        Target(name="sync network of the puppets", kind="weights", place=_file("s.safetensors"), share=0.5,
               makes=lambda rng, _: _spoiled_state(rng, syncnet), read=lambda path, _: load_puppet_syncnet(path)),
    )  # fmt: skip
