"""`joystreamer`: the command line. Loads a command's code only when that command is run."""

import sys
import warnings
from importlib import import_module
from typing import Any

import click

from joystreamer import __version__
from joystreamer.errors import JoyStreamerError, about_path, printable

COMMANDS = {
    "generate": "joystreamer.commands.generate:generate",
    "plan": "joystreamer.commands.plan:plan",
    "presets": "joystreamer.commands.presets:presets",
    "doctor": "joystreamer.commands.doctor:doctor",
    "convert": "joystreamer.commands.convert:convert",
    "train": "joystreamer.training.commands:train",
    "distill": "joystreamer.training.commands:distill",
}
"""Command names and where they live. Adding a command is adding a line."""

USER_ERROR, FAILED_CASES = 2, 1
"""Exit codes: something given does not fit; some cases of many failed."""


class UserError(click.ClickException):
    """An error of `joystreamer.errors` on its way to the terminal: one line, exit code 2."""

    exit_code = USER_ERROR

    def show(self, file: Any = None) -> None:
        """Print the sentence."""
        lines = map(printable, self.format_message().splitlines())
        click.echo("error: " + "\n".join(lines), file=file or sys.stderr)


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their first line, without importing what they use."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            rows.append((name, command.get_short_help_str(70) if command else ""))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors a user can act on become one line."""
        try:
            return super().invoke(ctx)
        except JoyStreamerError as error:
            raise UserError(str(error)) from error
        except (OSError, UnicodeEncodeError) as error:
            sentence = about_path(error)
            if sentence is None:
                raise
            raise UserError(str(sentence)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="joystreamer")
def main() -> None:
    """Talking avatars from one image, speech and a prompt.

    First steps, without any download (noise, but of the right size, length and sound):

    \b
      joystreamer doctor
      joystreamer generate --model tiny --image me.png --audio speech.wav \\
          --prompt "A woman talks, then waves." --out clip.mp4

    With weights:

    \b
      joystreamer convert Wan2.2-T2V-A14B-Diffusers my-model --to pipeline --speech wav2vec2-folder
      joystreamer generate --model my-model --image me.png --audio speech.wav \\
          --prompt "A woman talks, then waves." --out clip.mp4

    Exit codes: 0 done, 1 some jobs of a batch failed, 2 something given does not fit.
    """  # noqa: D301 - click reads the escape
    warnings.formatwarning = _format_warning


def _format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,  # noqa: ARG001 - the signature of the standard library
) -> str:
    """Warnings of ours as one line; those of others keep their place in the code."""
    if category is UserWarning and "joystreamer" in filename:
        return f"warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


if __name__ == "__main__":
    main()
