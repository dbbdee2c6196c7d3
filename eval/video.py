"""Facts about a clip that need no network: rate, length, size, sound, loudness.

Arithmetic on what the container says; knows no file.
"""

from typing import Final

from joystreamer.media import MediaProbe

LOUDNESS_RATE: Final = 48_000
"""Hz at which loudness is measured: the rate whose filters ITU-R BS.1770 prints."""


def frame_rate(probe: MediaProbe) -> float | None:
    """Return frames per second, on average when not constant; None for a still of unknown length."""
    if probe.frame_rate is not None:
        return probe.frame_rate
    if probe.num_frames and probe.duration_s > 0:
        return probe.num_frames / probe.duration_s
    return None


def end_difference(probe: MediaProbe) -> float | None:
    """Return by how many seconds the pictures outlast the sound (negative: sound goes on).

    Both ends are on the clock of the first picture; the first audio stream counts. None without sound.
    """
    if not probe.audio_streams:
        return None
    audio = probe.audio_streams[0]
    return probe.duration_s - (audio.start_s + audio.duration_s)
