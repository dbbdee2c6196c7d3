"""Reads sizes written WIDTHxHEIGHT."""

from joystreamer.errors import InputError, brief


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of a text such as 832x480.

    Raises:
        InputError: Another form.
    """
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise InputError(f"size {brief(text)} came; write WIDTHxHEIGHT such as 832x480") from error
    return height, width
