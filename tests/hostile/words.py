"""Texts, names and values that break readers: as lists, and as Hypothesis strategies over them."""

from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

TEXTS: Final = (
    "", " ", "\t", "\n", "a\nb", "a\r\nb", "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\x7f", "\x85", "\u2028", "\ufeff",
    "\u202eevitagen", "\u200bzero", "e\u0301", "\u00e9", "\U0001f469\u200d\U0001f680", "\ud800", "\udcff", "a\udc80b",
    "\ufffe", "\U0010ffff", "\u0635\u0651", "x" * 300, "y" * 5_000, "z" * 100_000, "a b" * 9_000,
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'\"><svg/onload=alert(1)>", "</style><b>", "&lt;b&gt;",
    "javascript:alert(1)", "{{7*7}}", "{% raw %}", "{0.__class__}", "%s%n%x", "${HOME}", "$(touch pwned)", "`touch pwned`",
    "; touch pwned", "| touch pwned", "'; DROP TABLE clips; --", "1 OR 1=1", "\" OR \"\"=\"", "Robert'); --", "%", "_", "\\",
    "=cmd|'/c calc'!A1", "+1+1", "@SUM(1)", "[bold]x[/bold]", "[/]", "[link=file:///etc/passwd]x[/link]", "\\input{/etc/passwd}",
    "$\\frac{1}{0}$", "nan", "NaN", "inf", "-inf", "1e400", "-1", "0", "1_000", "0x10", "1" * 400, "1" * 5000, "None", "null",
    "true", "[]", "{}", "CON", "NUL", "-", "--help", "-rf", "@@", "a@@b@@c@@d", "a,b", "\"", "'", "#", "//", "2024-01-01",
)  # fmt: skip


SPLICES: Final = (
    *TEXTS,
    "[" * 100_000,
    '{"a":' * 50_000,
    "[[[" * 700,
    "[" * 900 + "]" * 900,
    "a." * 3_000 + "b = 1",
)
"""Texts that are put into a file's middle; the deep ones are beyond what a strategy can nest."""


def paths_at(guard: Path) -> tuple[str, ...]:
    """Names that try to leave a folder, or that no file can have."""
    up = f"../{guard.name}/secret"
    return (
        f"{up}.txt", f"{up}.png", f"{up}.wav", f"{up}.mp4", f"../../{guard.parent.name}/{guard.name}/secret.png",
        str(guard / "secret.png"), str(guard / "secret.wav"), str(guard / "secret.mp4"), str(guard / "new.mp4"),
        "/etc/passwd", "/dev/zero", "/dev/stdin", "/proc/self/mem", "file:///etc/passwd", "http://127.0.0.1:9/x.mp4",
        "concat:a|b", "..", ".", "./", "~", "~root/x", "a/../../" + guard.name + "/secret.png", "link.png", "link.mp4", "link.wav",
        "out/secret.png", "out/secret.wav", "..\\" + guard.name + "\\secret.png", "C:\\secret.png", "\\\\host\\share", "nul\x00.png",
        "a/" * 2000 + "x", "x" * 256 + ".png", "x" * 5000, "\ud800.png", "a\nb.png", "folder", "folder/", "loop", "/", "//", "-x.png",
        "pipe.wav", "pipe.png", "pipe.mp4",
    )  # fmt: skip


NUMBERS: Final = (
    0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**40, 10**400, -(10**400), 0.0, -0.0, 0.5, 1e-320, 1e308, float("nan"),
    float("inf"), float("-inf"), True, False,
)  # fmt: skip


def deep(depth: int, value: Any = 0) -> Any:
    """A list within lists."""
    for _ in range(depth):
        value = [value]
    return value


def hostile_values(guard: Path) -> st.SearchStrategy[Any]:
    """Any JSON value, hostile ones first."""
    leaves = st.one_of(
        st.sampled_from(TEXTS),
        st.sampled_from(paths_at(guard)),
        st.sampled_from(NUMBERS),
        st.none(),
        st.text(max_size=40),
        st.text(st.characters(), max_size=12),
        st.integers(),
        st.floats(),
    )
    nested = st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(TEXTS[:40]), inner, max_size=3),
        ),
        max_leaves=6,
    )
    return st.one_of(leaves, leaves, nested, st.sampled_from((20, 60)).map(deep))
