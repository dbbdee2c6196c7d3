"""Where a pipeline's components come from: Wan's repositories, or a folder saved earlier.

Finds and names files; turning Wan's weights into ours is `joystreamer.model.weights`' business.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers import AutoTokenizer, UMT5EncoderModel, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from joystreamer.errors import InputError, MissingWeights
from joystreamer.json_files import parse_json, read_text
from joystreamer.model.weights import find_experts, wan_to_joystreamer
from joystreamer.samplers import make_scheduler

WAN = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"
"""Repository of the base that the paper starts from."""

SPEECH = "TencentGameMate/chinese-wav2vec2-base"
"""Speech encoder of the MultiTalk family: 12 layers of 768."""

WAN_SHIFT = 5.0
"""Flow shift that a fresh pipeline's scheduler records; options may choose another per call."""


def find_folder(source: str | Path) -> Path:
    """A folder of weights: as given, or fetched from the hub if it is a repository's name.

    Raises:
        MissingWeights: There is no such folder, and the hub has or gives no such repository.
    """
    folder = Path(source)
    if folder.exists():
        return folder
    try:
        return Path(snapshot_download(str(source)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise MissingWeights(
            f"no folder '{source}' is on this machine and the hub gave no repository of that name; "
            "check the name, or fetch it first and give its folder"
        ) from error


def load_wan_components(
    source: str | Path = WAN,
    *,
    speech: str | Path = SPEECH,
    companions: str | Path | None = None,
    dtype: torch.dtype = torch.bfloat16,
    transformer_config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """All components of a pipeline, made from Wan's weights.

    Args:
        source: Folder or repository of Wan2.2 in diffusers' or the original layout.
        speech: Folder or repository of a `Wav2Vec2Model`.
        companions: Diffusers-layout folder with `tokenizer`, `text_encoder` and `vae`, for sources
            in the original layout, whose own ones are pickles.
        dtype: Of transformers and text encoder; VAE and speech encoder stay float32.
        transformer_config: Overrides such as `motion_buckets`.

    Returns:
        Constructor arguments of `JoyStreamerPipeline`.

    Raises:
        InputError: Weights do not match Wan's names and shapes.
        MissingWeights: A folder lacks a component.
    """
    folder = find_folder(source)
    around = folder if companions is None else find_folder(companions)
    for name in ("tokenizer", "text_encoder", "vae"):
        if not (around / name).is_dir():
            raise MissingWeights(
                f"'{around}' has no folder {name}; give a checkpoint in diffusers layout, or "
                "companions: a folder that has tokenizer, text_encoder and vae"
            )
    listening = find_folder(speech)
    audio_encoder = Wav2Vec2Model.from_pretrained(listening, dtype=torch.float32).eval()
    config = {
        "audio_layers": audio_encoder.config.num_hidden_layers,
        "audio_dim": audio_encoder.config.hidden_size,
        **(transformer_config or {}),
    }
    experts = {
        name: wan_to_joystreamer(path, dtype=dtype, config=config)
        for name, path in find_experts(folder).items()
    }
    return {
        "tokenizer": AutoTokenizer.from_pretrained(around / "tokenizer"),
        "text_encoder": UMT5EncoderModel.from_pretrained(around / "text_encoder", dtype=dtype),
        "vae": AutoencoderKLWan.from_pretrained(around / "vae", dtype=torch.float32),
        "audio_encoder": audio_encoder,
        "feature_extractor": Wav2Vec2FeatureExtractor.from_pretrained(listening),
        "scheduler": make_scheduler("unipc", WAN_SHIFT),
        **experts,
    }


def check_pipeline_folder(folder: Path) -> None:
    """Refuse a folder that is no saved pipeline, before anything large is loaded.

    Raises:
        MissingWeights: No such folder, or a component's folder is missing.
        InputError: The folder holds something else.
    """
    if not folder.is_dir():
        raise MissingWeights(
            f"no folder '{folder}'; give one that save_pretrained or convert wrote"
        )
    index = folder / "model_index.json"
    if not index.is_file():
        raise InputError(
            f"'{folder}' has no model_index.json, so it is no saved pipeline; give the folder that "
            "holds transformer, vae and the others"
        )
    listed = parse_json(read_text(index), f"'{index}'", "it was cut short: fetch the folder again")
    if not isinstance(listed, dict):
        raise InputError(f"'{index}' holds no object of components; fetch the folder again")
    for name, entry in listed.items():
        known = isinstance(entry, list) and all(entry)
        if known and not (folder / name).is_dir():
            raise MissingWeights(
                f"'{folder}' lists the component {name} but has no folder of that name; fetch it "
                "again"
            )
