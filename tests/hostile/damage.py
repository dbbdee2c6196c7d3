"""Damage to bytes, from a seed: flips, cuts, repeats, lying lengths, swapped blocks."""

import random
import struct
from typing import Final

_LYING: Final = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """Return content with one to eight kinds of damage."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        if not damaged:
            break
        rng.choice((_flip, _flip, _overwrite, _lie, _lie, _cut, _repeat, _swap, _zero))(
            damaged, rng
        )
    return bytes(damaged)


def damage_head(content: bytes, rng: random.Random, reach: int = 4096) -> bytes:
    """Return content whose first bytes, where headers are, are damaged."""
    return damage_bytes(content[:reach], rng) + content[reach:]


def damage_boxes(content: bytes, rng: random.Random) -> bytes:
    """Return an MP4 with a box's size, name or inside changed, wherever the box stands."""
    names = [b"moov", b"trak", b"stts", b"stsz", b"stco", b"stsc", b"ctts", b"elst", b"mdhd", b"tkhd", b"mvhd",
             b"avcC", b"esds", b"stsd", b"hdlr", b"ftyp", b"mdat", b"stss", b"avc1", b"mp4a"]  # fmt: skip
    places = [at for name in names for at in _all_of(content, name)]
    if not places:
        return damage_head(content, rng)
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.choice(places)
        way = rng.randrange(4)
        if way == 0 and at >= 4:
            damaged[at - 4 : at] = struct.pack(">I", rng.choice(_LYING))
        elif way == 1:
            damaged[at : at + 4] = rng.choice(names)
        else:
            inside = at + 4 + rng.randrange(40)
            damaged[inside : inside + 4] = struct.pack(
                ">I", rng.choice((*_LYING, rng.getrandbits(32)))
            )
    return bytes(damaged)


def _all_of(content: bytes, name: bytes) -> list[int]:
    found, at = [], content.find(name)
    while at >= 0:
        found.append(at)
        at = content.find(name, at + 1)
    return found


def _flip(damaged: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 4, 16))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)


def _overwrite(damaged: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(damaged))
    length = min(rng.choice((1, 4, 64, 512)), len(damaged) - start)
    damaged[start : start + length] = rng.randbytes(length)


def _lie(damaged: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(damaged))
    form = rng.choice((">I", "<I", ">H", "<H", "B"))
    number = rng.choice(_LYING) & ((1 << 8 * struct.calcsize(form)) - 1)
    damaged[start : start + struct.calcsize(form)] = struct.pack(form, number)


def _cut(damaged: bytearray, rng: random.Random) -> None:
    del damaged[rng.randrange(len(damaged)) :]


def _repeat(damaged: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(damaged))
    piece = damaged[start : start + rng.choice((1, 16, 256, 4096))]
    damaged[start:start] = piece * rng.choice((1, 2, 30))


def _swap(damaged: bytearray, rng: random.Random) -> None:
    size = min(len(damaged) // 2, rng.choice((4, 64, 1024)))
    if size:
        one, other = rng.randrange(len(damaged) - size), rng.randrange(len(damaged) - size)
        damaged[one : one + size], damaged[other : other + size] = (
            damaged[other : other + size], damaged[one : one + size],
        )  # fmt: skip


def _zero(damaged: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(damaged))
    length = min(rng.choice((4, 64, 1024)), len(damaged) - start)
    damaged[start : start + length] = bytes(length)
