"""`joystreamer doctor`: what this machine can run, and what is missing."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table


@click.command()
@click.option("--model", type=click.Path(path_type=Path), help="Also check this saved pipeline.")
@click.option("--size", default="832x480", show_default=True, help="Width x height to plan for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(model: Path | None, size: str, as_json: bool) -> None:
    """Check this machine, and say how it would run the 14B model.

    Packages, devices, memory and disk. Nothing is downloaded or loaded: sizes come from configurations. Ends with code 0 unless --model
    names a folder that is incomplete.
    """
    findings = examine(model, size)
    if as_json:
        click.echo(json.dumps(findings, indent=2))
        return
    table = Table(show_header=False)
    for name, value in findings.items():
        lines = value if isinstance(value, list) else [value]
        table.add_row(name, "\n".join(str(line) for line in lines))
    Console().print(table)


def examine(model: Path | None, size: str) -> dict[str, Any]:
    """Everything the command prints, as plain values.

    Raises:
        InputError: The size or the model folder does not fit.
    """
    import av
    import torch

    from joystreamer.commands.sizes import parse_size
    from joystreamer.loading import check_pipeline_folder
    from joystreamer.memory import choose_tier, free_device_gb, plan_memory
    from joystreamer.presets import paper_workload
    from joystreamer.provenance import code_commit, package_versions

    height, width = parse_size(size)
    workload = paper_workload(height, width)
    findings: dict[str, Any] = {
        "versions": [f"{name} {number}" for name, number in package_versions().items()],
        "commit": code_commit() or "installed from a wheel",
        "ffmpeg": [f"{name} {'.'.join(map(str, number))}" for name, number in
                   av.library_versions.items()],
        "processors": f"{os.cpu_count()} cores, {_main_memory_gb():.0f} GB of main memory",
        "disk": f"{shutil.disk_usage('.').free / 1e9:.0f} GB free here",
    }  # fmt: skip
    if torch.cuda.is_available():
        device = torch.device("cuda")
        free = free_device_gb(device)
        tier = choose_tier(free)
        findings["device"] = (
            f"{torch.cuda.get_device_name(device)}, {free:.1f} GB free: tier {tier}"
        )
        findings[f"14B at {width}x{height}"] = list(plan_memory(workload, tier).explanation)
    else:
        findings["device"] = "no CUDA device: only tiny models run in reasonable time"
        for tier in (24, 80):
            findings[f"14B at {width}x{height} on {tier} GB"] = list(
                plan_memory(workload, tier).explanation
            )
    if model is not None:
        check_pipeline_folder(model)
        findings["model"] = f"'{model}' is complete"
    return findings


def _main_memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
