"""Who is heard when: files, channels and turns become one track per speaker and one mix.

Reads sound through `joystreamer.media`. The tracks feed the network (16 kHz mono, common loudness);
the mix goes into the clip as recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from joystreamer.conditioning.audio import SAMPLE_RATE, prepare_track
from joystreamer.errors import InputError
from joystreamer.media.audio import read_audio

MIX_RATE = 48_000
"""Samples per second of the sound that goes into the clip."""

PAUSE_SECONDS = 0.2
"""Silence between turns that have no start of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """All sound of a clip.

    Attributes:
        tracks: One track per speaker, 16 kHz mono float32, of equal length, at common loudness.
        mix: What is heard, (channels, samples) float32 at 48 kHz, at most two channels.
    """

    tracks: tuple[NDArray[np.float32], ...]
    mix: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.tracks[0].size / SAMPLE_RATE


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One speaker's stretch of a conversation.

    Attributes:
        speaker: Index of the speaker.
        audio: File with this stretch alone.
        start: Seconds from the start of the clip; None follows the turn before after a pause.
    """

    speaker: int
    audio: Path
    start: float | None = None


def read_single(path: str | Path) -> Sound:
    """One speaker, one file of any format.

    Raises:
        InputError: The file is unreadable or holds no sound.
    """
    return Sound(tracks=(prepare_track(_mono(path), f"'{path}'"),), mix=_heard(path))


def split_stereo(path: str | Path) -> Sound:
    """Two speakers in one stereo file: the left channel is speaker 0, the right is speaker 1.

    Raises:
        InputError: The file has not exactly two channels.
    """
    channels = read_audio(path, sample_rate=SAMPLE_RATE, mono=False)
    if channels is None or channels.shape[0] != 2:
        count = 0 if channels is None else channels.shape[0]
        raise InputError(
            f"'{path}' has {count} channel(s); a stereo split needs 2, one per speaker: give a "
            "stereo file, or one file per speaker"
        )
    tracks = tuple(
        prepare_track(channel, f"'{path}', {side} channel")
        for channel, side in zip(channels, ("left", "right"), strict=True)
    )
    return Sound(tracks=tracks, mix=_heard(path))


def read_parallel(paths: Sequence[str | Path]) -> Sound:
    """One file per speaker, all starting together; shorter ones end in silence."""
    return lay_turns(
        [Turn(speaker=index, audio=Path(path), start=0.0) for index, path in enumerate(paths)],
        speakers=len(paths),
    )


def lay_turns(turns: Sequence[Turn], *, speakers: int, pause: float = PAUSE_SECONDS) -> Sound:
    """Lay the turns of a conversation of any number of rounds over time.

    Args:
        turns: In order of speech; several per speaker are welcome, overlaps too.
        speakers: Number of speakers in the picture; one without a turn stays silent.
        pause: Seconds before a turn that has no start of its own.

    Raises:
        InputError: No turns, a turn of an unknown speaker, or a start before the clip.
    """
    if not turns:
        raise InputError("the conversation has no turns; give at least one speaker with audio")
    placed: list[tuple[Turn, float, NDArray[np.float32], NDArray[np.float32]]] = []
    end = -pause
    for number, turn in enumerate(turns, start=1):
        if not 0 <= turn.speaker < speakers:
            raise InputError(
                f"turn {number} is given to speaker {turn.speaker}; there are {speakers}, "
                "counted from 0"
            )
        start = end + pause if turn.start is None else turn.start
        if start < 0:
            raise InputError(f"turn {number} starts at {start:g} s; give 0 or more")
        speech, heard = prepare_track(_mono(turn.audio), f"'{turn.audio}'"), _heard(turn.audio)
        placed.append((turn, start, speech, heard))
        end = max(end, start + speech.size / SAMPLE_RATE)
    tracks = [np.zeros(round(end * SAMPLE_RATE), np.float32) for _ in range(speakers)]
    mix = np.zeros((max(heard.shape[0] for *_, heard in placed), round(end * MIX_RATE)), np.float32)
    for turn, start, speech, heard in placed:
        _add(tracks[turn.speaker], speech, round(start * SAMPLE_RATE))
        for channel in range(mix.shape[0]):
            _add(mix[channel], heard[min(channel, heard.shape[0] - 1)], round(start * MIX_RATE))
    mix /= np.float32(max(1.0, float(np.abs(mix).max(initial=0.0))))
    return Sound(tracks=tuple(tracks), mix=mix)


def _add(track: NDArray[np.float32], piece: NDArray[np.float32], start: int) -> None:
    """Add a piece into a track in place; rounding may cost the piece its last sample."""
    room = track[start : start + piece.size]
    room += piece[: room.size]


def _mono(path: str | Path) -> NDArray[np.float32]:
    return _present(read_audio(path, sample_rate=SAMPLE_RATE), path)


def _heard(path: str | Path) -> NDArray[np.float32]:
    """The recording at 48 kHz; more than two channels are mixed to one."""
    channels = _present(read_audio(path, sample_rate=MIX_RATE, mono=False), path)
    if channels.shape[0] > 2:
        channels = _present(read_audio(path, sample_rate=MIX_RATE), path)[None]
    return channels


def _present(audio: NDArray[np.float32] | None, path: str | Path) -> NDArray[np.float32]:
    if audio is None or audio.size == 0:
        raise InputError(f"'{path}' holds no sound; give a file with speech or singing")
    return audio
