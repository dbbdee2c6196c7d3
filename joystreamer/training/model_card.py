"""Model cards: what weights are, how they were made and what they cannot do, as the Hub shows it.

A pure function from a run's record to text, and a writer. The words about each stage have their one
home here; facts come from `run_record`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from joystreamer.provenance import write_atomically
from joystreamer.training.run_record import RunRecord

CARD = "README.md"
BASE = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"

_STAGES: Mapping[str, tuple[str, str, str]] = {
    "codec": (
        "A video codec (Wan VAE, 16 channels, 4x8x8) that turns pixels into latents and back.",
        "It is the first stage of a stack; every later stage standardises latents by the mean and "
        "spread stored in its configuration.",
        "It knows only pictures like those it was trained on, and blurs fine detail. Motion inside "
        "four frames is the hardest: compare the mouth before and after it.",
    ),
    "foundation": (
        "A text-to-video network: it draws what a prompt says, without reference image, history "
        "or sound.",
        "Later stages start from it; at 14B its place is taken by Wan2.2-T2V-A14B.",
        "It keeps no identity and hears nothing.",
    ),
    "text-teacher": (
        "An image-to-video network with 36 input channels, the text teacher of the distillation.",
        "Give its folder to `joystreamer distill --text-teacher`; at 14B its place is taken by "
        "Wan2.2-I2V-A14B.",
        "It is no avatar model: `joystreamer generate` does not take it.",
    ),
    "stage-1": (
        "Flow matching, stage 1: FramePack and self-attention learn reference image and motion "
        "history (paper, Sec. 3.2).",
        "Stage 2 starts from it.",
        "It hears nothing yet: lips do not follow the sound.",
    ),
    "stage-2": (
        "Flow matching, stage 2: audio projector and audio cross-attention learn speech (paper, "
        "Sec. 3.2). This is the audio teacher.",
        "Sample with `--preset paper` (or `tiny`): many steps with guidance. Distillation starts "
        "from it.",
        "Trained on clips in which people talk, it may follow other prompts less well than the base "
        "it came from; the distillation with a second teacher is meant to bring that back.",
    ),
    "distill": (
        "A few-step student, distilled by distribution matching (paper, Sec. 3.3).",
        "Sample with `--preset distilled`: four steps, no guidance.",
        "Few steps cost variety and amplitude of motion. Guidance must not be used on top.",
    ),
}
"""Per stage: what it is, how it is used, what it cannot do."""

_COMPONENTS = ("text_encoder", "audio_encoder", "vae")


def write_model_card(folder: Path, record: RunRecord) -> Path:
    """Write the card of a folder of weights, and one into each trained component's folder.

    Args:
        folder: `final` of a run.
        record: Of the run.

    Returns:
        The card's path.
    """
    write_atomically(folder / CARD, model_card(record).encode())
    for part in record.parts:
        if (folder / part).is_dir():
            write_atomically(folder / part / CARD, model_card(record, part).encode())
    return folder / CARD


def model_card(record: RunRecord, part: str | None = None) -> str:
    """Text of a model card.

    Args:
        record: Of the run that made the weights.
        part: Name of one component's folder, or None for the whole.

    Returns:
        Markdown with the YAML header that the Hub reads.
    """
    preset = record.preset
    what, use, limits = _STAGES[preset["stage"]]
    title = preset["name"] if part is None else f"{preset['name']}: {part}"
    sections = [
        _header(record),
        f"# {title}",
        what if part is None else f"{what} This folder is the component `{part}` alone.",
        f"{_form(record)} Trained here: {', '.join(f'`{name}`' for name in record.parts)}.",
        "## Use",
        use,
        "## How it was made",
        "```\n" + record.command + "\n```",
        _table(_facts(record)),
        "## Which networks learned",
        _table(_encoders(record), ("component", "in this run")),
    ]
    if record.figures:
        shown = [(name, f"{value:.4g}") for name, value in sorted(record.figures.items())]
        sections += ["## Last figures of the run's log", _table(shown, ("figure", "value"))]
    sections += [
        "## Limits",
        "\n".join(f"- {line}" for line in (limits, *_general_limits(record))),
        "## Configuration",
        "```json\n" + json.dumps(preset, indent=1, ensure_ascii=False) + "\n```",
    ]
    return "\n\n".join(sections) + "\n"


def is_tiny(record: RunRecord) -> bool:
    """Whether a run is one of the tiny stack's."""
    return str(record.preset["name"]).startswith("tiny-")


def _header(record: RunRecord) -> str:
    lines = [
        "---",
        f"license: {record.licence}",
        "library_name: diffusers",
        "tags:",
        *(f"- {tag}" for tag in ("joystreamer", "talking-avatar", record.preset["stage"])),
    ]
    if not is_tiny(record):
        lines += [f"base_model: {BASE}"]
    return "\n".join([*lines, "---"])


def _form(record: RunRecord) -> str:
    if is_tiny(record):
        return (
            "Tiny stack: the real classes with small widths at 64x64 pixels, made to check the method "
            "on a CPU."
        )
    return f"Built on {BASE}, {record.preset['expert']} expert."


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    loop, data = record.preset["loop"], record.data
    resumed = f" in {record.sessions} sessions" if record.sessions > 1 else ""
    rows = [
        ("stage", record.preset["stage"]),
        ("preset", f"{record.preset['name']} ({record.preset['summary']})"),
        ("started from", record.model),
        *((f"{name} from", path) for name, path in record.replaced.items()),
        ("updates", f"{record.updates} of {loop['updates']} planned"),
        ("clips per update", str(loop["global_batch"])),
        ("precision", {"no": "float32"}.get(loop["precision"], loop["precision"])),
        ("seed", str(loop["seed"])),
        ("averaged", f"decay {loop['ema_decay']}" if loop["ema_decay"] else "no"),
        *_guidance(record),
        ("data", f"{data.name}: {data.windows} windows, {data.seconds / 3600:.2f} h"),
        (f"SHA-256 of the {data.of}", f"`{data.digest}`"),
        ("hardware", record.hardware),
        ("hours", f"{record.hours:.2f}{resumed}"),
        ("commit", record.commit or "installed from a wheel"),
        ("versions", ", ".join(f"{name} {number}" for name, number in record.packages.items())),
        ("licence", record.licence),
    ]
    stated = ", ".join(record.preset["of_the_paper"]) or "none"
    return [*rows, ("numbers stated by the paper", f"{stated}; all others are ours")]


def _guidance(record: RunRecord) -> list[tuple[str, str]]:
    """What the student was told by whom."""
    if record.preset["distillation"] is None:
        return []
    told = record.preset["distillation"]["guidance"]
    equation = "Eq. 3 (twin teachers)" if told["equation"] == "twin" else "Eq. 2 (audio teacher)"
    scales = f"text {told['text_scale']:g}, audio {told['audio_scale']:g}"
    if told["dynamic"] != "never":
        scales += f" ({told['audio_scale_high_noise']:g} above {told['threshold']:g})"
    return [("objective", f"{equation}; scales: {scales}")]


def _encoders(record: RunRecord) -> list[tuple[str, str]]:
    """Which encoders trained along and which are frozen."""
    tiny, stage = is_tiny(record), record.preset["stage"]
    trained = {
        "text_encoder": bool(record.preset["learns_text"]),
        "audio_encoder": bool(record.preset["learns_speech"]),
        "vae": stage == "codec",
    }
    learned_in = {"text_encoder": "foundation", "audio_encoder": "stage-2", "vae": "codec"}
    order = list(_STAGES)
    rows = [(name, "trained") for name in record.parts if name not in _COMPONENTS]
    for name in _COMPONENTS:
        if trained[name]:
            with_it = "trained alone" if name == "vae" else "trained jointly with the network"
            rows.append((name, f"{with_it}; frozen in every later stage"))
        elif not tiny:
            rows.append((name, "frozen, as published"))
        elif order.index(stage) < order.index(learned_in[name]):
            rows.append((name, f"not used; random until {learned_in[name]} trains it"))
        else:
            rows.append((name, f"frozen; {learned_in[name]} trained it"))
    return rows


def _general_limits(record: RunRecord) -> list[str]:
    common = "One person's face and voice may be used only with that person's consent."
    if is_tiny(record):
        return [
            "64x64 pixels and the pictures of its training set: not meant for photos or real people.",
            "Its text encoder knows the words of its training captions only.",
            common,
        ]
    return [
        "Nothing here measures long clips, hands or several people: score clips before relying on "
        "them.",
        common,
    ]


def _table(rows: list[tuple[str, str]], headings: tuple[str, str] = ("what", "value")) -> str:
    lines = ["| " + " | ".join(headings) + " |", "| --- | --- |"]
    cells = ((name, value.replace("|", "\\|")) for name, value in rows)
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in cells)])
