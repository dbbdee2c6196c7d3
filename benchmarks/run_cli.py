"""`python -m benchmarks run` and `adapters`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from eval.console import FAILED_CASES, clip_progress, print_json, standard_output
from eval.workspace_options import database_option, json_option, workspace_option
from joystreamer.errors import InputError


@click.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, metavar="[NAME=]FOLDER",
              help="Checkpoint: a saved pipeline, the name of a bundled one, tiny, or truth (draws puppet cases as asked). Repeatable.")  # fmt: skip
@click.option(
    "--adapter", "adapters", multiple=True, help="Competitor, by name or .toml. Repeatable."
)
@click.option("--home", "homes", multiple=True, metavar="NAME=FOLDER",
              help="Where an adapter's checkout is.")  # fmt: skip
@click.option("--python", "pythons", multiple=True, metavar="NAME=PROGRAM",
              help="Python of an adapter's own environment.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="NAME.SETTING=VALUE",
              help="Change a setting of an adapter, for example infinitetalk.steps=8.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--preset", default="", help="Sampling preset of the models; see joystreamer presets."
)
@click.option("--steps", type=click.IntRange(min=1), default=None, help="Denoising steps.")
@click.option("--detector", default="", help="Finds speakers without box or mask (OWLv2 class).")
@click.option("--device", default="auto", show_default=True)
@click.option("--case", "cases", multiple=True, help="Only this case. Repeatable.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Only the first N cases.")
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True,
              help="Processes on this machine, for rendering and scoring.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Try failed cases again.")
@click.option("--measure", "-m", "measures", multiple=True,
              help="Measure to score with; repeatable. Default: all default ones.")  # fmt: skip
@click.option("--no-score", is_flag=True, help="Render and ingest only.")
@click.option("--dry-run", is_flag=True, help="Show commands and what is missing; run nothing.")
@click.option("--stage", type=click.Choice(["all", "render"]), default="all", hidden=True)
@json_option
@workspace_option
@database_option
def run(**given: Any) -> None:
    """Render every case of a suite by several systems, ingest the clips and score them.

    Run it again after a crash and it goes on; several machines may share one workspace
    (accelerate launch -m benchmarks run ..., or one command on each with --database).

    \b
      python -m benchmarks run suites/talk-mine --model out/step-1000 --model out/step-2000 \\
          --adapter baseline.still --processes 2
      python -m benchmarks run suites/talk-mine --adapter wan-s2v --home wan-s2v=../Wan2.2
    """  # noqa: D301  # \b keeps click from rewrapping the list
    from benchmarks.check import suite_folder
    from benchmarks.run import complete_cases, failures, ingest_run, make_tasks, render_all
    from eval.catalog import find_measures
    from eval.processes import launched, this_place
    from eval.reader import read_suite
    from eval.store.workspace import Workspace

    suite = read_suite(suite_folder(given["suite"]))
    cases = complete_cases(suite, given["cases"], given["limit"])
    renderers = _renderers(given)
    for name in given["measures"]:
        find_measures(name)  # refused now rather than after hours of rendering
    if given["dry_run"]:
        _show_plan(suite, cases, renderers)
        return
    workspace = Workspace(given["root"], given["database"])
    seed, quiet = given["seed"], given["as_json"]
    tasks = make_tasks(
        workspace, suite, cases, renderers, seed=seed, retry_failed=given["retry_failed"]
    )
    rank, processes = _place(given["device"], launched=launched(), place=this_place)
    if given["processes"] > 1 and not launched() and given["stage"] == "all":
        _render_in_processes(given["processes"], _arguments(given))
    else:
        with clip_progress("rendering", quiet=quiet or rank > 0) as tell:
            render_all(workspace, tasks, seed=seed, rank=rank, processes=processes, progress=tell)
    if given["stage"] == "render" or rank > 0:
        return
    stored = ingest_run(workspace, suite, tasks, seed=seed)
    failed = failures(tasks)
    skipped = len(suite.cases) - len(cases) if not (given["cases"] or given["limit"]) else 0
    if quiet:
        print_json({"clips": len(stored) - len(failed), "failed": failed, "incomplete": skipped})
    else:
        click.echo(
            f"{len(stored) - len(failed)} clips of {len(renderers)} systems, {len(failed)} failed"
            + (f", {skipped} cases without media left out" if skipped else "")
        )
        for line in failed:
            click.echo(f"failed: {line}", err=True)
    code = 0 if given["no_score"] else _score(given, suite.name)
    if failed or code:
        raise SystemExit(FAILED_CASES)


def _place(device: str, *, launched: bool, place: Any) -> tuple[int, int]:
    """Return rank and number of processes: a launcher's, or those `--processes` started."""
    if launched:
        found = place(device)
        return found.rank, found.processes
    return int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _arguments(given: dict[str, Any]) -> list[str]:
    """Return the arguments of a process that only renders, as they came."""
    repeated = {"models": "--model", "adapters": "--adapter", "homes": "--home",
                "pythons": "--python", "overrides": "--set", "cases": "--case"}  # fmt: skip
    single = {"seed": "--seed", "preset": "--preset", "steps": "--steps", "detector": "--detector",
              "device": "--device", "limit": "--limit", "root": "--workspace",
              "database": "--database"}  # fmt: skip
    arguments = ["run", str(given["suite"]), "--stage", "render"]
    arguments += [
        part for key, name in repeated.items() for one in given[key] for part in (name, one)
    ]
    for key, name in single.items():
        if given[key] not in (None, ""):
            arguments += [name, str(given[key])]
    return arguments + (["--json"] if given["as_json"] else [])


def _render_in_processes(processes: int, arguments: list[str]) -> None:
    """Render in several processes of this machine, and wait for all."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    running = []
    for rank in range(processes):
        own = {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(processes)}
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        running.append(subprocess.Popen(command, env={**os.environ, **threads, **own}))
    try:
        codes = [process.wait() for process in running]
    finally:
        for process in running:
            process.terminate()
    if any(codes):
        raise InputError(
            f"{sum(map(bool, codes))} of {processes} processes ended early; see above, then run the "
            "same command again: it goes on where it stopped"
        )


def _renderers(given: dict[str, Any]) -> list[Any]:
    from benchmarks.adapters import change_settings, find_adapter
    from benchmarks.command_runs import CommandSetting
    from benchmarks.exchange_cli import pairs
    from benchmarks.puppet.truth import TRUTH, TruthRenderer
    from benchmarks.renderers import CommandRenderer, ModelRenderer

    changes = {"steps": given["steps"]} if given["steps"] else {}
    renderers: list[Any] = []
    for text in given["models"]:
        name, _, folder = text.rpartition("=")
        if text == TRUTH:
            renderers.append(TruthRenderer())
            continue
        renderers.append(
            ModelRenderer(
                folder, name=name, preset=given["preset"], changes=changes,
                device=given["device"], detector=given["detector"],
            )
        )  # fmt: skip
    homes, pythons = pairs(given["homes"], "--home"), pairs(given["pythons"], "--python")
    overrides = pairs(given["overrides"], "--set")
    for text in given["adapters"]:
        adapter = change_settings(find_adapter(text), overrides)
        if adapter.closed:
            raise InputError(f"{adapter.name} has no command. {adapter.notes}")
        home = Path(homes[adapter.name]) if adapter.name in homes else None
        if adapter.home and home is None and not given["dry_run"]:
            raise InputError(
                f"{adapter.name} runs in {adapter.home}; say where with --home {adapter.name}=FOLDER"
            )
        if home is not None and not home.is_dir():
            raise InputError(f"{home} is not a folder; give {adapter.home or 'an existing one'}")
        setting = CommandSetting(home=home, python=pythons.get(adapter.name, ""))
        renderers.append(CommandRenderer(adapter, setting))
    if not renderers:
        raise InputError("nobody is to render; give --model FOLDER or --adapter NAME, or both")
    return renderers


def _show_plan(suite: Any, cases: Any, renderers: Any) -> None:
    import shlex

    from benchmarks.adapters import Asked, fill
    from benchmarks.renderers import CommandRenderer
    from benchmarks.sound_mix import sound_seconds, voices

    for renderer in renderers:
        for case in cases:
            name = f"{renderer.system.name} / {case.id}"
            if not isinstance(renderer, CommandRenderer):
                click.echo(f"{name}: by the pipeline, {len(voices(case))} voices")
                continue
            work = Path("WORK")
            audio = voices(case)[0]
            asked = Asked(
                case=case, audio=audio, seconds=sound_seconds(audio), out=work / f"{case.id}.mp4",
                work=work,
            )  # fmt: skip
            try:
                command = shlex.join(fill(renderer.adapter, asked, python=renderer.setting.python))
            except InputError as error:
                command = f"would fail: {error}"
            click.echo(f"{name}: {command}")
    click.echo(f"{len(cases)} of {len(suite.cases)} cases have their media")


def _score(given: dict[str, Any], suite: str) -> int:
    """Score the run as `python -m eval score` does; return its exit code."""
    from eval.cli import main as eval_main
    from eval.processes import run_in_processes

    arguments = ["score", "--workspace", str(given["root"]), "--suite", suite]
    arguments += [part for name in given["measures"] for part in ("--measure", name)]
    arguments += ["--device", given["device"]]
    if given["database"]:
        arguments += ["--database", given["database"]]
    if given["as_json"]:
        arguments.append("--json")
    if given["processes"] > 1:
        return run_in_processes(given["processes"], arguments)
    try:
        eval_main(arguments, standalone_mode=False)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@click.command(name="adapters")
@json_option
def list_adapters(as_json: bool) -> None:
    """List the competitors: what runs by a command, what is closed, what each needs."""
    from dataclasses import asdict

    from rich.table import Table

    from benchmarks.adapters import shipped_adapters

    adapters = shipped_adapters()
    if as_json:
        print_json([asdict(adapter) for adapter in adapters])
        return
    table = Table(title="Competitors", show_lines=True)
    for heading in ("name", "what it is", "runs in", "voices", "notes"):
        table.add_column(heading, overflow="fold")
    for adapter in adapters:
        place = "closed" if adapter.closed else adapter.home or "anywhere"
        table.add_row(adapter.name, adapter.title, place, str(adapter.speakers), adapter.notes)
    standard_output().print(table)
