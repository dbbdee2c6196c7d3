"""Options that choose who splits the prompt, shared by `generate` and `plan`."""

from collections.abc import Callable
from typing import Any

import click

from joystreamer.conditioning.planner import PlannerBackend
from joystreamer.conditioning.planner_backends import QWEN, EndpointPlanner, QwenPlanner
from joystreamer.errors import InputError


def planner_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --planner, --planner-url and --planner-model to a command."""
    for option in (
        click.option(
            "--planner-model",
            help="Model name at the endpoint, or folder of a Qwen3-VL model.",
        ),
        click.option(
            "--planner-url",
            help="OpenAI-compatible address up to /v1. The key comes from the environment variable "
            "JOYSTREAMER_PLANNER_KEY or OPENAI_API_KEY.",
        ),
        click.option(
            "--planner",
            type=click.Choice(["rules", "endpoint", "qwen"]),
            default="rules",
            show_default=True,
            help="Who splits the prompt over time; rules need nothing.",
        ),
    ):
        command = option(command)
    return command


def open_planner(
    name: str, url: str | None, model: str | None, device: str = "cpu"
) -> PlannerBackend | None:
    """The chosen backend; None for rules.

    Raises:
        InputError: The endpoint lacks its address or model.
    """
    if name == "rules":
        return None
    if name == "qwen":
        return QwenPlanner(model or QWEN, device)
    if not url or not model:
        raise InputError("planner endpoint needs --planner-url and --planner-model; give both")
    return EndpointPlanner(url, model)
