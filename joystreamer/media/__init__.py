"""Reading and writing clips, sound and pictures, without the networks' weight of imports.

`probe` says what a clip is; `iter_frames`, `ExactRate` and `read_audio` decode it once on one
clock whose zero is the first picture; `ClipWriter`, `write_proxy` and `write_poster` write.
"""

from joystreamer.media.audio import iter_audio, read_audio
from joystreamer.media.container import DecodeError
from joystreamer.media.images import read_image
from joystreamer.media.loudness import LoudnessMeter, integrated_loudness, match_loudness
from joystreamer.media.probe import AudioProbe, MediaProbe, probe
from joystreamer.media.proxy import ProxyReport, write_poster, write_proxy
from joystreamer.media.resampling import ExactRate, resample_frames
from joystreamer.media.video import Frame, iter_frames
from joystreamer.media.writing import ClipWriter, write_clip

__all__ = [
    "AudioProbe",
    "ClipWriter",
    "DecodeError",
    "ExactRate",
    "Frame",
    "LoudnessMeter",
    "MediaProbe",
    "ProxyReport",
    "integrated_loudness",
    "iter_audio",
    "iter_frames",
    "match_loudness",
    "probe",
    "read_audio",
    "read_image",
    "resample_frames",
    "write_clip",
    "write_poster",
    "write_proxy",
]
