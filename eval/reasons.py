"""Why a score can be null: one closed list, so that reasons can be counted and explained.

A score is never 0 for "could not". Codes are stored; sentences are shown.
"""

from typing import Final

REASONS: Final[dict[str, str]] = {
    "backend_error": "the network or library behind the metric failed on this clip",
    "decode_error": "the clip could not be decoded to its end",
    "device_missing": "the metric needs a device that this machine lacks",
    "extra_missing": "an optional package is not installed",
    "memory_missing": "the network does not fit into this machine's memory",
    "music_only": "the audio holds sound but no speech",
    "no_audio": "the clip has no audio stream",
    "no_backend": "no judge is configured",
    "no_face": "no face was found for long enough",
    "no_hand": "no hand was found in any frame",
    "no_person": "no person was found",
    "no_prompt": "the case has no prompt",
    "no_reference": "the case has no reference image",
    "no_segment_borders": "the times at which segments join are unknown for this system",
    "no_speech_time": "the case gives no times at which this speaker talks",
    "no_silence": "nobody is silent for long enough while somebody else speaks",
    "not_puppet": "the case does not belong to the puppet world",
    "nothing_asked": "the prompt asks for nothing but talking",
    "one_person": "only one person is in the picture",
    "silent_audio": "the audio is silent",
    "too_short": "the clip is too short",
    "too_small": "the picture is too small",
    "weights_missing": "network weights are not on this machine",
}
