"""Targets that decode: pictures, sound and clips, whole, odd, lying and damaged.

Small samples are made here with Pillow, the project's writer and plain `struct`; the long run adds real
clips, pictures and recordings where they are at hand.
"""

import io
import math
import os
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from PIL import Image

from eval.ingest import match_source, store_matches
from eval.store.workspace import Workspace
from joystreamer.conditioning.speakers import read_mask
from joystreamer.conditioning.tracks import read_single, split_stereo
from joystreamer.media import (
    iter_audio,
    iter_frames,
    probe,
    read_audio,
    read_image,
    resample_frames,
    write_poster,
    write_proxy,
)  # fmt: skip
from tests.hostile.damage import damage_boxes, damage_bytes, damage_head
from tests.hostile.given_media import drawn_frames, write_small_clip, write_tone
from tests.hostile.target import Target
from tests.hostile.watch import Sandbox

Maker = Callable[[random.Random], bytes]

REAL_DATA: Final = "JOYSTREAMER_HOSTILE_MEDIA"
"""Environment variable: a folder of real media that the long run damages too."""

LARGEST_SAMPLE: Final = 3 << 20
"""Bytes; larger real files would make the run a test of copying."""


def place_bytes(suffix: str) -> Callable[[bytes, Sandbox], Path]:
    """Lay bytes out as a file."""

    def place(content: bytes, sandbox: Sandbox) -> Path:
        path = sandbox.given / f"hostile{suffix}"
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return path

    return place


@lru_cache(maxsize=4)
def _real(kind: str, suffixes: tuple[str, ...]) -> tuple[bytes, ...]:
    root = os.environ.get(REAL_DATA)
    if not root:
        return ()
    found = sorted(p for p in (Path(root) / kind).rglob("*") if p.suffix.lower() in suffixes)
    small = [path for path in found if path.stat().st_size <= LARGEST_SAMPLE]
    return tuple(path.read_bytes() for path in small[:: max(1, len(small) // 12)][:12])


# --- pictures ------------------------------------------------------------------------------------


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """A picture in a form of Pillow's."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_that_claims(
    width: int, height: int, *, depth: int = 8, colour: int = 2, rows: int = 1
) -> bytes:
    """A PNG whose header claims a size and whose data hold some rows, well compressed."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" + bytes((min(width, 1 << 20) * channels * depth + 7) // 8)
    packed = zlib.compress(row * min(rows, 64), 9)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def _exif(rng: random.Random) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255))
    return exif.tobytes()


def _frames(rng: random.Random, count: int) -> list[Image.Image]:
    return [Image.new("RGB", (24, 18), tuple(rng.randbytes(3))) for _ in range(count)]


PICTURES: Final[dict[str, Maker]] = {
    "1x1": lambda rng: saved(Image.new(rng.choice(("1", "L", "RGB", "RGBA", "P")), (1, 1)), "PNG"),
    "cmyk": lambda rng: saved(Image.new("CMYK", (20, 16), (9, 200, 30, 40)), rng.choice(("JPEG", "TIFF"))),
    "palette": lambda rng: saved(Image.new("P", (20, 16), 3), rng.choice(("PNG", "GIF", "BMP")), transparency=rng.randrange(4)),
    "animated gif": lambda rng: saved(_frames(rng, 1)[0], "GIF", save_all=True, append_images=_frames(rng, 5), loop=0),
    "animated png": lambda rng: saved(_frames(rng, 1)[0], "PNG", save_all=True, append_images=_frames(rng, 4)),
    "animated webp": lambda rng: saved(_frames(rng, 1)[0], "WEBP", save_all=True, append_images=_frames(rng, 4)),
    "exif": lambda rng: saved(_frames(rng, 1)[0], rng.choice(("JPEG", "PNG", "WEBP")), exif=_exif(rng)),
    "broken exif": lambda rng: saved(_frames(rng, 1)[0], "JPEG", exif=b"Exif\0\0" + damage_bytes(_exif(rng)[6:], rng)),
    "16 bit": lambda rng: saved(Image.fromarray(np.full((9, 7), rng.randrange(65536), np.uint16)), rng.choice(("PNG", "TIFF"))),
    "float": lambda rng: saved(Image.fromarray(np.full((9, 7), rng.choice((math.nan, math.inf, -1e30, 0.5)), np.float32)), "TIFF"),
    "transparent": lambda rng: saved(Image.new("LA", (9, 7), (3, rng.randrange(256))), "PNG"),
    "jpeg 2000": lambda rng: saved(_frames(rng, 1)[0], "JPEG2000"),
    "tga": lambda rng: saved(_frames(rng, 1)[0], "TGA"),
    "avif": lambda rng: saved(_frames(rng, 1)[0], "AVIF"),
    "bomb": lambda rng: png_that_claims(rng.choice((30_000, 100_000, 2**31 - 1)), rng.choice((30_000, 65_535, 2**31 - 1))),
    "long side": lambda rng: png_that_claims(*rng.choice(((30_000, 3), (3, 30_000), (16_384, 64), (30_000, 64))), rows=64),
    "lying depth": lambda rng: png_that_claims(9, 9, depth=rng.choice((1, 2, 4, 8, 16)), colour=rng.choice((0, 2, 3, 4, 6))),
    "zero size": lambda rng: png_that_claims(rng.choice((0, 1)), 0),
    "script": lambda rng: rng.choice((b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n",
                                      b"%PDF-1.4\n", b"GIF89a", b"RIFF\xff\xff\xff\xffWEBPVP8X", b"BM" + bytes(60))),
}  # fmt: skip


def make_picture(rng: random.Random, _: Sandbox) -> bytes:
    """An odd picture, or a damaged one."""
    real = _real("images", (".png", ".jpg", ".jpeg", ".webp", ".gif"))
    if real and rng.random() < 0.15:
        return damage_head(rng.choice(real), rng)
    content = PICTURES[rng.choice(sorted(PICTURES))](rng)
    return damage_bytes(content, rng) if rng.random() < 0.6 else content


# --- sound ---------------------------------------------------------------------------------------


def wav(
    samples: bytes, *, rate: int = 16_000, channels: int = 1, bits: int = 16, form: int = 1,
    claimed: int | None = None,
) -> bytes:  # fmt: skip
    """A RIFF WAVE whose header may say anything."""
    length = len(samples) if claimed is None else claimed
    block = channels * bits // 8
    head = struct.pack(
        "<HHIIHH",
        form,
        channels,
        rate & 0xFFFFFFFF,
        rate * block & 0xFFFFFFFF,
        block & 0xFFFF,
        bits,
    )
    body = (
        b"WAVEfmt "
        + struct.pack("<I", 16)
        + head
        + b"data"
        + struct.pack("<I", length & 0xFFFFFFFF)
        + samples
    )
    return b"RIFF" + struct.pack("<I", (4 + len(body)) & 0xFFFFFFFF) + body


def _floats(rng: random.Random) -> bytes:
    values = np.zeros(800, np.float32)
    values[rng.randrange(800)] = rng.choice((math.nan, math.inf, -math.inf, 1e30, 3.0))
    return wav(values.tobytes(), bits=32, form=3)


def _packed(rng: random.Random, codec: str, form: str, rate: int, seconds: float) -> bytes:
    """Silence with one click in a compressed form."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        left = round(seconds * rate)
        while left > 0:
            size = min(left, 1 << 18)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, size), np.int16), "s16", "mono")
            frame.sample_rate = rate
            for packet in stream.encode(frame):
                container.mux(packet)
            left -= size
        for packet in stream.encode(None):
            container.mux(packet)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def ten_hours() -> bytes:
    """Ten hours of silence in a FLAC of some megabytes: a bomb of sound."""
    return _packed(random.Random(0), "flac", "flac", 8_000, 36_000)


SOUNDS: Final[dict[str, Maker]] = {
    "not finite": _floats,
    "8 channels": lambda rng: wav(rng.randbytes(1600), channels=8),
    "65535 channels": lambda rng: wav(rng.randbytes(4000), channels=65_535, bits=8),
    "odd rates": lambda rng: wav(rng.randbytes(400), rate=rng.choice((0, 1, 4, 7, 11_025, 192_000, 2**31 - 1, 2**32 - 1))),
    "10 h claimed": lambda rng: wav(rng.randbytes(3200), claimed=rng.choice((16_000 * 2 * 36_000, 2**32 - 1, 2**31))),
    "empty": lambda rng: wav(b"", claimed=rng.choice((0, 2, 1000))),
    "odd bits": lambda rng: wav(rng.randbytes(999), bits=rng.choice((0, 1, 4, 7, 12, 24, 32, 64)), form=rng.choice((1, 3, 6, 7, 17, 65_534))),
    "flac": lambda rng: _packed(rng, "flac", "flac", 16_000, 0.3),
    "ogg": lambda rng: _packed(rng, "libvorbis", "ogg", 48_000, 0.2) if "libvorbis" in av.codecs_available else wav(b"\0\0"),
    "tiny": lambda rng: wav(rng.randbytes(rng.choice((1, 2, 3)))),
}  # fmt: skip


def make_sound(rng: random.Random, _: Sandbox) -> bytes:
    """An odd recording, or a damaged one."""
    real = _real("audio", (".wav", ".flac", ".mp3"))
    if real and rng.random() < 0.15:
        return damage_head(rng.choice(real), rng)
    content = SOUNDS[rng.choice(sorted(SOUNDS))](rng)
    return damage_head(content, rng, 128) if rng.random() < 0.5 else content


# --- clips ---------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def small_clips() -> tuple[bytes, ...]:
    """MP4 by the project, and WebM, MKV, AVI, GIF and MPEG of the same square."""
    import tempfile

    made = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made.append(write_small_clip(folder / "a.mp4").read_bytes())
        for suffix, codec in (
            (".webm", "libvpx"),
            (".mkv", "libx264"),
            (".avi", "mpeg4"),
            (".gif", "gif"),
            (".mpg", "mpeg2video"),
        ):
            path = folder / f"b{suffix}"
            with av.open(str(path), "w") as container:
                stream = container.add_stream(codec, rate=25)
                stream.width = stream.height = 48
                stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
                for picture in drawn_frames(8):
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                    for packet in stream.encode(frame):
                        container.mux(packet)
                for packet in stream.encode():
                    container.mux(packet)
            made.append(path.read_bytes())
    return tuple(made)


_LISTS: Final = (
    b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n",
    b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><Period/></MPD>", b"[playlist]\nFile1=http://127.0.0.1:9/\n",
    b"P6 9 9 255\n" + bytes(243), b"YUV4MPEG2 W99999 H99999 F25:1\nFRAME\n", b"FLV\x01\x05\x00\x00\x00\x09" + bytes(40),
)  # fmt: skip


def make_clip(rng: random.Random, _: Sandbox) -> bytes:
    """A damaged clip, or what only pretends to be one."""
    real = _real("videos", (".mp4", ".webm", ".avi", ".mov", ".mkv", ".gif"))
    if rng.random() < 0.04:
        return rng.choice(_LISTS)
    source = rng.choice(real) if real and rng.random() < 0.35 else rng.choice(small_clips())
    if source[4:8] == b"ftyp" and rng.random() < 0.7:
        return damage_boxes(source, rng)
    return rng.choice((damage_bytes, damage_head))(source, rng)


# --- readers -------------------------------------------------------------------------------------

LONGEST_READ: Final = 400
"""Frames of a damaged clip that are looked at; its time stamps may claim hours."""


def _look(path: Path, _: Sandbox) -> None:
    probe(path)
    frames = iter_frames(path, threads=1)
    for number, frame in enumerate(resample_frames(frames, 25.0)):
        assert frame.rgb.dtype == np.uint8
        if number >= LONGEST_READ:
            frames.close()
            return


def _hear(path: Path, _: Sandbox) -> None:
    for read in (
        lambda: read_audio(path),
        lambda: read_audio(path, sample_rate=48_000, mono=False),
    ):
        samples = read()
        assert samples is None or bool(np.isfinite(samples).all()), (
            "sound that is not finite came out"
        )
    for number, _chunk in enumerate(iter_audio(path)):
        if number > 100:
            return


def _speak(path: Path, _: Sandbox) -> None:
    read_single(path)
    split_stereo(path)


def _picture(path: Path, _: Sandbox) -> None:
    pixels = read_image(path)
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.dtype == np.uint8
    read_mask(path, *pixels.shape[:2])


def _derive(path: Path, sandbox: Sandbox) -> None:
    write_poster(path, sandbox.allowed / "poster.jpg")
    write_proxy(path, sandbox.allowed / "proxy.mp4")


def _place_clip(content: bytes, sandbox: Sandbox) -> Path:
    folder = sandbox.given / "clips" / "ours"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a1.mp4").write_bytes(content)
    shutil.rmtree(sandbox.allowed / "workspace", ignore_errors=True)
    return folder.parent


def _store(folder: Path, sandbox: Sandbox) -> None:
    with Workspace(sandbox.allowed / "workspace") as workspace:
        (stored,) = store_matches(workspace, match_source(folder))
        assert "\n" not in stored.problem


def _place_tone(content: bytes, sandbox: Sandbox) -> Path:
    write_tone(sandbox.given / "tone.wav")
    return place_bytes(".wav")(content, sandbox)


def media_targets() -> tuple[Target, ...]:
    """Every target that decodes."""
    return (
        Target(name="picture", kind="pictures", makes=make_picture, place=place_bytes(".png"), read=_picture, share=4),
        Target(name="sound", kind="sound", makes=make_sound, place=_place_tone, read=_hear, share=3),
        Target(name="ten hours of silence", kind="sound", makes=lambda rng, _: ten_hours(), place=place_bytes(".flac"),
               read=_hear, share=0, seconds=400),
        Target(name="speech of a job", kind="sound", makes=make_sound, place=place_bytes(".wav"), read=_speak, share=1),
        Target(name="sound of a clip", kind="clips", makes=make_clip, place=place_bytes(".mp4"), read=_hear, share=2),
        Target(name="pictures of a clip", kind="clips", makes=make_clip, place=place_bytes(".mp4"), read=_look, share=4),
        Target(name="proxy and poster", kind="clips", makes=make_clip, place=place_bytes(".mp4"), read=_derive, share=1,
               seconds=60),
        Target(name="clip into a workspace", kind="clips", makes=make_clip, place=_place_clip, read=_store, share=1),
    )  # fmt: skip
