"""The chain: what tampering looks like."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.ratings.ledger import GENESIS, Entry, canonical, chain_problems, entry_digest, seal


def chain(length=5):
    entries: list[Entry] = []
    for number in range(1, length + 1):
        previous = entries[-1].digest if entries else GENESIS
        payload = {"answers": {"overall_quality": "left"}, "rater": f"R{number:02d}"}
        entries.append(
            seal(
                seq=number, at=f"2026-01-0{number}", kind="vote", payload=payload, previous=previous
            )
        )
    return entries


def test_an_untouched_chain_has_no_problems():
    entries = chain()
    assert chain_problems(entries) == []
    assert chain_problems(entries, head=entries[2].digest) == []
    assert chain_problems([]) == []


@settings(deadline=None)
@given(st.integers(0, 4), st.sampled_from(["content", "at", "kind", "previous", "digest"]))
def test_any_changed_field_is_found(index, field):
    entries = chain()
    old = getattr(entries[index], field)
    new = old.replace("left", "right") if field == "content" else old[:-1] + "x"
    entries[index] = dataclasses.replace(entries[index], **{field: new})
    problems = chain_problems(entries)
    assert any(f"entry {index + 1}" in problem for problem in problems)


def test_dropping_swapping_and_inserting_are_found():
    entries = chain()
    assert "entry 3 is missing: the next one is number 4" in chain_problems(
        entries[:2] + entries[3:]
    )
    swapped = [entries[0], entries[2], entries[1], *entries[3:]]
    assert len(chain_problems(swapped)) >= 2
    assert chain_problems([*entries[:2], entries[1], *entries[2:]])


def test_a_chain_rewritten_as_a_whole_misses_the_published_digest():
    published = chain()[-1].digest
    forged: list[Entry] = []
    for entry in chain():
        payload = {**entry.payload(), "answers": {"overall_quality": "right"}}
        previous = forged[-1].digest if forged else GENESIS
        forged.append(
            seal(seq=entry.seq, at=entry.at, kind=entry.kind, payload=payload, previous=previous)
        )
    assert chain_problems(forged) == []
    assert chain_problems(forged, head=published) == [
        f"no entry has the published digest {published[:12]}…: the ledger was rewritten or is another one"
    ]


def test_cutting_off_the_end_misses_the_published_digest():
    entries = chain()
    assert chain_problems(entries[:-1]) == []
    assert chain_problems(entries[:-1], head=entries[-1].digest)


def test_parts_cannot_flow_into_each_other():
    one = entry_digest(seq=1, at="ab", kind="c", content="", previous="")
    two = entry_digest(seq=1, at="a", kind="bc", content="", previous="")
    assert one != two


def test_content_has_one_spelling_and_no_nan():
    assert canonical({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical({"a": float("nan")})
