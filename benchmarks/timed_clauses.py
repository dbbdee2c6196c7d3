"""Times that a prompt or a judge's question names, in English and Chinese.

Only seconds and the words for beginning and end are understood; nothing here knows of suites.
"""

import re
from typing import Final

_ONES: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS: Final = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_ORDINALS: Final = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10,
}  # fmt: skip
_HAN_DIGITS: Final = dict(zip("零一二三四五六七八九", range(10), strict=True)) | {"两": 2}

_NUMBER: Final = (
    r"\d+(?:\.\d+)?|(?:" + "|".join(_TENS) + r")(?:-(?:" + "|".join(_ONES[1:10]) + r"))?|"
    r"(?:" + "|".join(sorted(_ONES, key=len, reverse=True)) + r")"
)
_ENGLISH: Final = (
    re.compile(rf"\bseconds?\s+({_NUMBER})(?:\s*(?:to|and|or)\s*({_NUMBER}))?\b"),
    re.compile(rf"\b({_NUMBER})\s+seconds?\b"),
    re.compile(r"\b(" + "|".join(_ORDINALS) + r")\s+second\b"),
)
_CHINESE: Final = (
    re.compile(r"第\s*([\d.]+|[零一二两三四五六七八九十]+)\s*(?:到|至)\s*([\d.]+|[零一二两三四五六七八九十]+)\s*秒"),
    re.compile(r"([\d.]+|[零一二两三四五六七八九十]+)\s*秒"),
)  # fmt: skip
_PHASES: Final = re.compile(
    r"\b(start|opening|beginning|beginnings?|end|ending|finish|final|last|first|throughout|"
    r"before|after|middle|half)\b|开头|起初|开场|前|后|末|最后|结尾|收尾|始终|全程|一直"
)


def number_of(word: str) -> float:
    """Return the value of a number in digits, English words or Chinese characters (below 100).

    Raises:
        ValueError: It is no number.
    """
    if re.fullmatch(r"\d+(?:\.\d+)?", word):
        return float(word)
    if word in _ONES:
        return float(_ONES.index(word))
    tens, _, one = word.partition("-")
    if tens in _TENS:
        return float(_TENS[tens] + (_ONES.index(one) if one else 0))
    left, ten, right = word.partition("十")
    if all(sign in _HAN_DIGITS for sign in left + right) and len(left) < 2 and len(right) < 2:
        high = (_HAN_DIGITS[left] if left else 1) * 10 if ten else 0
        low = _HAN_DIGITS[right if ten else left] if (right if ten else left) else 0
        return float(high + low)
    raise ValueError(f"{word!r} is no number")


def named_seconds(text: str) -> tuple[float, ...]:
    """Return the seconds a text names, ascending, for example (4.0, 8.0) for 'between second 4 and 8'."""
    found: set[float] = set()
    low = text.lower()
    for pattern in _ENGLISH[:2] + _CHINESE:
        for match in pattern.finditer(low):
            for word in match.groups():
                if word:
                    try:
                        found.add(number_of(word))
                    except ValueError:
                        continue  # such as 十几秒: a time, yet no number
    found.update(float(_ORDINALS[match[1]]) for match in _ENGLISH[2].finditer(low))
    return tuple(sorted(found))


def is_timed(text: str) -> bool:
    """Whether a text says when: a second, or a phase such as 'at the end'."""
    return bool(named_seconds(text)) or bool(_PHASES.search(text.lower()))
