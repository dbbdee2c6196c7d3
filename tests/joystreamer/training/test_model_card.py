"""Model cards say what made the weights: command, data, time, what is frozen, what it cannot do."""

import hashlib
import json
import re

import pytest
import torch

from joystreamer.training.configuration import change, describe
from joystreamer.training.model_card import model_card, write_model_card
from joystreamer.training.presets import training_preset, training_presets
from joystreamer.training.run_record import (
    DataRecord,
    RunRecord,
    gather_record,
    last_figures,
    open_session,
    shorten,
    show_command,
    time_spent,
)


def record_of(name, parts=("transformer",), **changes):
    fields = {
        "preset": describe(training_preset(name)),
        "parts": parts,
        "model": "runs/earlier/final",
        "command": f"joystreamer train --preset {name} --out runs/this",
        "commit": "0123abcd",
        "packages": {"python": "3.11.7", "torch": "2.14.1"},
        "data": DataRecord(
            name="clips.jsonl", digest="f" * 64, of="manifest", windows=450, seconds=1602.0
        ),
        "hardware": "a processor, 2 cores, 1 process(es), no accelerator",
        "hours": 1.25,
        "sessions": 2,
        "updates": 470,
        "figures": {"validation/sync": 0.61},
    }
    return RunRecord(**{**fields, **changes})


def rows(card):
    """Cells of all tables of a card, by the first cell."""
    found = re.findall(r"^\| (.+?) \| (.+) \|$", card, flags=re.MULTILINE)
    return dict(found)


def header(card):
    assert card.startswith("---\n")
    return card.split("---\n")[1].splitlines()


def test_a_card_names_what_made_the_weights():
    card = model_card(record_of("tiny-distill"))
    told = rows(card)
    assert "```\njoystreamer train --preset tiny-distill --out runs/this\n```" in card
    assert told["commit"] == "0123abcd"
    assert told["versions"] == "python 3.11.7, torch 2.14.1"
    assert told["SHA-256 of the manifest"] == f"`{'f' * 64}`"
    assert told["data"] == "clips.jsonl: 450 windows, 0.45 h"
    assert told["hours"] == "1.25 in 2 sessions"
    assert told["hardware"].startswith("a processor, 2 cores")
    assert told["seed"] == "0"
    assert told["updates"] == f"470 of {training_preset('tiny-distill').loop.updates} planned"
    assert told["objective"] == "Eq. 3 (twin teachers); scales: text 5, audio 4 (0.1 above 950)"
    assert told["validation/sync"] == "0.61"
    assert told["licence"] == "apache-2.0"
    assert "Sample with `--preset distilled`: four steps, no guidance." in card
    assert json.loads(card.split("```json\n")[1].split("\n```")[0])["name"] == "tiny-distill"


def test_the_header_is_what_the_hub_reads():
    tiny = header(model_card(record_of("tiny-stage-2")))
    assert tiny[:3] == ["license: apache-2.0", "library_name: diffusers", "tags:"]
    assert "- stage-2" in tiny
    assert not any(line.startswith("base_model") for line in tiny)
    large = header(model_card(record_of("paper-stage-2-high")))
    assert "base_model: Wan-AI/Wan2.2-T2V-A14B-Diffusers" in large


@pytest.mark.parametrize(
    ("name", "text", "audio", "vae"),
    [
        ("tiny-codec", "random until foundation", "random until stage-2", "trained alone"),
        ("tiny-foundation", "trained jointly", "random until stage-2", "frozen; codec trained it"),
        ("tiny-text-teacher", "frozen; foundation", "random until stage-2", "frozen; codec"),
        ("tiny-stage-1", "frozen; foundation", "random until stage-2", "frozen; codec"),
        ("tiny-stage-2", "frozen; foundation trained it", "trained jointly", "frozen; codec"),
        ("tiny-distill", "frozen; foundation", "frozen; stage-2 trained it", "frozen; codec"),
        ("paper-distill-low", *["frozen, as published"] * 3),
    ],
)
def test_a_card_says_which_encoders_learned(name, text, audio, vae):
    told = rows(model_card(record_of(name, parts=())))
    for component, words in (("text_encoder", text), ("audio_encoder", audio), ("vae", vae)):
        assert words in told[component]
    assert told["text_encoder"].endswith("later stage") == (name == "tiny-foundation")


@pytest.mark.parametrize("name", sorted(training_presets()))
def test_every_preset_has_a_card_with_limits(name):
    card = model_card(record_of(name))
    limits = card.split("## Limits\n\n")[1].split("\n\n")[0].splitlines()
    assert len(limits) >= 3
    assert all(line.startswith("- ") for line in limits)
    assert ("64x64" in card.split("## Use")[0]) == name.startswith("tiny-")


def test_components_get_a_card_of_their_own(tmp_path):
    for part in ("transformer", "text_encoder", "vae"):
        (tmp_path / part).mkdir()
    path = write_model_card(
        tmp_path, record_of("tiny-foundation", parts=("transformer", "text_encoder", "gone"))
    )
    assert path == tmp_path / "README.md"
    assert "# tiny-foundation\n" in path.read_text()
    alone = (tmp_path / "text_encoder" / "README.md").read_text()
    assert "# tiny-foundation: text_encoder\n" in alone
    assert "This folder is the component `text_encoder` alone." in alone
    assert not (tmp_path / "vae" / "README.md").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "README.md",
        "text_encoder",
        "transformer",
        "vae",
    ]


def test_commands_are_shown_as_typed_with_short_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["/opt/bin/joystreamer", "train", "--out", str(tmp_path / "runs" / "a b"),
                 "--with", "vae=/elsewhere/codec", "--set", "loop.updates=3"]  # fmt: skip
    assert show_command(arguments, 1) == (
        "joystreamer train --out 'runs/a b' --with vae=codec --set loop.updates=3"
    )
    module = ["/lib/joystreamer/training/__main__.py", "distill"]
    assert show_command(module, 1) == "python -m joystreamer.training distill"
    assert show_command(module, 8) == (
        "torchrun --nproc_per_node 8 -m joystreamer.training distill"
    )
    assert shorten("loop.note=a/b") == "loop.note=a/b"


def test_time_counts_every_session_up_to_its_last_sign(tmp_path):
    import os

    assert time_spent(tmp_path, 50.0) == (0.0, 0)
    open_session(tmp_path, 1000.0)
    (tmp_path / "metrics.jsonl").write_text('{"update": 10, "codec/loss": 0.5}\n')
    os.utime(tmp_path / "metrics.jsonl", (1300.0, 1300.0))
    assert time_spent(tmp_path, 1400.0) == (400.0, 1)
    open_session(tmp_path, 5000.0)  # the first was killed some time after its last line
    assert time_spent(tmp_path, 5100.0) == (400.0, 2)


def test_figures_are_the_last_of_validation_or_else_the_losses(tmp_path):
    log = tmp_path / "metrics.jsonl"
    assert last_figures(log) == {}
    log.write_text('{"update": 1, "a/loss": 2.0}\n{"update": 2, "a/loss": 1.0, "a/psnr": 9}\n')
    assert last_figures(log) == {"a/loss": 1.0}
    with log.open("a") as file:
        file.write('{"update": 2, "validation/sync": 0.5}\n{"update": 3, "a/loss": 0.9}\n{"upd')
    assert last_figures(log) == {"validation/sync": 0.5}


def test_a_finished_run_is_gathered_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest, cache, out = tmp_path / "clips.jsonl", tmp_path / "cache", tmp_path / "run"
    manifest.write_text("{}\n")
    for folder in (cache, out):
        folder.mkdir()
    (cache / "index.jsonl").write_text("index\n")
    preset = change(training_preset("tiny-stage-1"), ["loop.seed=7"])
    open_session(out)
    facts = {
        "parts": ["transformer"], "model": str(tmp_path / "before"), "cache": cache,
        "replaced": {"vae": tmp_path / "codec"}, "windows": 25, "updates": 3, "processes": 1,
        "device": torch.device("cpu"), "arguments": ["joystreamer", "train"],
    }  # fmt: skip
    record = gather_record(preset, out, manifest=manifest, **facts)
    assert record.data.digest == hashlib.sha256(b"{}\n").hexdigest()
    assert (record.data.name, record.data.of) == ("clips.jsonl", "manifest")
    assert record.data.seconds == pytest.approx(25 * 89 / 25)
    assert (record.model, record.replaced) == ("before", {"vae": "codec"})
    assert record.sessions == 1
    assert rows(model_card(record))["seed"] == "7"
    cached = gather_record(preset, out, manifest=None, **facts)
    assert cached.data.digest == hashlib.sha256(b"index\n").hexdigest()
    assert (cached.data.name, cached.data.of) == ("cache", "cache index")
    assert "SHA-256 of the cache index" in rows(model_card(cached))
