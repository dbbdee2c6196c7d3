from pathlib import Path

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_musubi_wan_lora_to_diffusers,
    _convert_non_diffusers_wan_lora_to_diffusers,
)
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from joystreamer.errors import InputError, MissingWeights
from joystreamer.model.conversion import convert_checkpoint
from joystreamer.model.lora import (
    LoraLayer,
    adapter_config,
    export_lora,
    import_lora,
    name_lora,
    parse_lora,
    read_lora,
)

# The paper's post-training targets (Sec. 4.1), with one layer of another rank and alpha.
TARGETS = r"audio_projector\.linear_\d|blocks\.\d+\.(attn1|audio_attn)\.(to_q|to_k|to_v|to_out\.0)"
ODD = "blocks.2.audio_attn.to_out.0"
FORMS = ("peft", "kohya", "comfy")


def adapt(model, name: str = "default") -> None:
    torch.manual_seed(3)
    config = LoraConfig(
        r=4,
        lora_alpha=3,
        target_modules=TARGETS,
        rank_pattern={ODD: 2},
        alpha_pattern={ODD: 5},
        init_lora_weights=False,
    )
    model.add_adapter(config, adapter_name=name)


@torch.no_grad()
def run(model, inputs):
    return model(**inputs).sample


@pytest.mark.parametrize("form", FORMS)
def test_an_exported_adapter_imported_elsewhere_gives_the_same_video(
    make_model, segment, tmp_path, form
):
    trained, fresh = make_model(), make_model()
    adapt(trained)
    export_lora(trained, tmp_path / "voice.safetensors", form=form)
    inputs = segment(streams=3)
    assert not torch.allclose(run(fresh, inputs), run(trained, inputs))
    import_lora(fresh, tmp_path / "voice.safetensors", adapter_name="voice")
    assert torch.equal(run(fresh, inputs), run(trained, inputs))
    assert [path.name for path in tmp_path.iterdir()] == ["voice.safetensors"]


def test_two_adapters_share_one_base(make_model, segment, tmp_path):
    """The student and the critic of distillation; with both off, the frozen teacher is left."""
    model, inputs = make_model(), segment(streams=3)
    teacher = run(model, inputs)
    alone = {}
    for seed, name in enumerate(("student", "critic")):
        single = make_model()
        adapt(single)
        for parameter in single.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data * (1 + seed)
        export_lora(single, tmp_path / f"{name}.safetensors", form="comfy")
        import_lora(model, tmp_path / f"{name}.safetensors", adapter_name=name)
        alone[name] = run(single, inputs)
    assert not torch.allclose(alone["student"], alone["critic"])
    for name, expected in alone.items():
        model.set_adapter(name)
        assert torch.equal(run(model, inputs), expected)
    model.disable_adapters()
    assert torch.equal(run(model, inputs), teacher)


def test_a_file_may_wander_through_all_forms_and_back(make_model, tmp_path):
    model = make_model()
    adapt(model)
    export_lora(model, tmp_path / "0.safetensors")
    for step, form in enumerate(("kohya", "comfy", "peft", "comfy", "kohya", "peft"), start=1):
        source, target = tmp_path / f"{step - 1}.safetensors", tmp_path / f"{step}.safetensors"
        assert convert_checkpoint(source, target, to=f"lora-{form}") == [target]
    first, last = load_file(tmp_path / "0.safetensors"), load_file(tmp_path / "6.safetensors")
    assert first.keys() == last.keys()
    assert all(torch.equal(first[name], last[name]) for name in first)
    layers = read_lora(tmp_path / "6.safetensors")
    assert (layers[ODD].rank, layers[ODD].alpha) == (2, 5.0)
    assert {layer.alpha for name, layer in layers.items() if name != ODD} == {3.0}


def test_names_of_every_form():
    layer = LoraLayer(down=torch.ones(2, 8), up=torch.ones(8, 2), alpha=1.0)
    module = {"blocks.0.attn1.to_out.0": layer}
    assert list(name_lora(module, "peft")) == [
        "transformer.blocks.0.attn1.to_out.0.lora_A.weight",
        "transformer.blocks.0.attn1.to_out.0.lora_B.weight",
    ]
    assert list(name_lora(module, "kohya")) == [
        "lora_unet_blocks_0_self_attn_o.lora_down.weight",
        "lora_unet_blocks_0_self_attn_o.lora_up.weight",
        "lora_unet_blocks_0_self_attn_o.alpha",
    ]
    assert list(name_lora(module, "comfy")) == [
        "diffusion_model.blocks.0.self_attn.o.lora_down.weight",
        "diffusion_model.blocks.0.self_attn.o.lora_up.weight",
        "diffusion_model.blocks.0.self_attn.o.alpha",
    ]
    with pytest.raises(InputError, match="'a1111' is unknown; it can be peft, kohya, comfy"):
        name_lora(module, "a1111")  # type: ignore[arg-type]


def test_diffusers_own_saver_and_loader_are_understood(make_model, segment, tmp_path):
    trained, ours, theirs = make_model(), make_model(), make_model()
    adapt(trained)
    trained.save_lora_adapter(tmp_path / "theirs")
    import_lora(ours, tmp_path / "theirs")
    export_lora(trained, tmp_path / "ours.safetensors")
    # Without use_safetensors diffusers ignores the metadata, where PEFT files keep alpha.
    theirs.load_lora_adapter(tmp_path / "ours.safetensors", use_safetensors=True)
    inputs = segment(streams=3)
    assert torch.equal(run(ours, inputs), run(trained, inputs))
    assert torch.equal(run(theirs, inputs), run(trained, inputs))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("form", "convert"),
    [
        ("kohya", _convert_musubi_wan_lora_to_diffusers),
        ("comfy", _convert_non_diffusers_wan_lora_to_diffusers),
    ],
)
def test_wan_layers_mean_to_diffusers_what_they_mean_to_us(form, convert):
    """Their converter folds alpha into the factors; the products must agree."""
    torch.manual_seed(0)
    modules = [
        f"blocks.{block}.{name}"
        for block in range(3)
        for name in (
            *(f"attn{n}.{part}" for n in (1, 2) for part in ("to_q", "to_k", "to_v", "to_out.0")),
            "ffn.net.0.proj",
            "ffn.net.2",
        )
    ]
    layers = {
        module: LoraLayer(down=torch.randn(4, 8), up=torch.randn(8, 4), alpha=float(index % 7 + 1))
        for index, module in enumerate(modules)
    }
    named = {name: tensor.clone() for name, tensor in name_lora(layers, form).items()}
    converted = convert(named)  # scales some factors in place
    assert len(converted) == 2 * len(layers)
    for module, layer in layers.items():
        up = converted[f"transformer.{module}.lora_B.weight"]
        down = converted[f"transformer.{module}.lora_A.weight"]
        torch.testing.assert_close(up @ down, layer.up @ layer.down * layer.alpha / layer.rank)
    assert parse_lora(name_lora(layers, form)).keys() == layers.keys()


def test_alpha_is_the_rank_where_nothing_is_said():
    weights = {
        "diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.ones(4, 8),
        "diffusion_model.blocks.0.self_attn.q.lora_B.weight": torch.ones(8, 4),
    }
    (layer,) = parse_lora(weights).values()
    assert layer.alpha == layer.rank == 4
    (layer,) = parse_lora(weights, {"lora_alpha": 8, "alpha_pattern": {"^other": 1}}).values()
    assert layer.alpha == 8
    patterns = {"lora_alpha": 8, "alpha_pattern": {"to_q": 2}}
    assert parse_lora(weights, patterns)["blocks.0.attn1.to_q"].alpha == 2


def test_rank_stabilised_adapters_keep_their_strength(make_model, segment, tmp_path):
    trained, fresh = make_model(), make_model()
    torch.manual_seed(0)
    config = LoraConfig(
        r=16, lora_alpha=2, use_rslora=True, target_modules=TARGETS, init_lora_weights=False
    )
    trained.add_adapter(config)
    export_lora(trained, tmp_path / "a.safetensors", form="kohya")
    import_lora(fresh, tmp_path / "a.safetensors")
    inputs = segment()
    torch.testing.assert_close(run(fresh, inputs), run(trained, inputs))


def test_the_commonest_rank_and_alpha_are_the_rule():
    def layer(rank: int, alpha: float) -> LoraLayer:
        return LoraLayer(down=torch.ones(rank, 8), up=torch.ones(8, rank), alpha=alpha)

    config = adapter_config({"a": layer(4, 4), "b": layer(4, 4), "c.d": layer(8, 2)})
    assert config == {
        "r": 4,
        "lora_alpha": 4,
        "rank_pattern": {"^c.d": 8},
        "alpha_pattern": {"^c.d": 2},
        "target_modules": ["a", "b", "c.d"],
    }


def test_files_that_are_no_plain_adapter_are_refused(make_model, tmp_path):
    def write(name: str, weights: dict[str, torch.Tensor]) -> Path:
        save_file({key: tensor.clone() for key, tensor in weights.items()}, tmp_path / name)
        return tmp_path / name

    one = torch.ones(2, 2)
    down, up = "transformer.blocks.0.attn1.to_q.lora_A.weight", "blocks.0.attn1.to_q.lora_B.weight"
    with pytest.raises(
        InputError, match=r"1 of 3 LoRA weights are not understood, such as .*diff_b"
    ):
        read_lora(write("a.safetensors", {down: one, up: one, "diffusion_model.head.diff_b": one}))
    with pytest.raises(
        InputError, match=r"1 down and 0 up matrices that do not pair, such as blocks.0"
    ):
        read_lora(write("b.safetensors", {down: one}))
    far = {down.replace("0", "9"): one, up.replace("0", "9"): one}
    with pytest.raises(InputError, match=r"adapts blocks.9.attn1.to_q, which this model lacks"):
        import_lora(make_model(), write("c.safetensors", far))
    with pytest.raises(InputError, match=r"to_q as \(2, 2\), but it is \(96, 96\)"):
        import_lora(make_model(), write("d.safetensors", {down: one, up: one}))
    with pytest.raises(InputError, match=r"holds 4 .safetensors files; a LoRA is one file"):
        read_lora(tmp_path)
    (tmp_path / "adapter_model.bin").touch()
    with pytest.raises(InputError, match=r"is a pickle"):
        read_lora(tmp_path / "adapter_model.bin")
    with pytest.raises(MissingWeights):
        read_lora(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match=r"no adapter 'default'; it has none"):
        export_lora(make_model(), tmp_path / "e.safetensors")
