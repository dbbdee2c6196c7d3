"""What has to be computed, what is known already, and why.

A score belongs to a *content* (the clip and whatever else of its case the measure reads, by digest)
and to a *fingerprint* (constants, weights, library versions). Work whose content and fingerprint are
in the store is done, whoever did it and whichever clip it was done for.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from eval.measure import Measure
from eval.store.leases import Work
from eval.store.registry import StoredCase, StoredClip, all_cases
from eval.store.schema import clips, contents, scores, specs
from eval.store.scores import done, remember_contents, remember_spec, snapshot
from eval.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Unit:
    """One measure to be shown one clip."""

    clip: StoredClip
    measure: Measure
    work: Work


@dataclass(frozen=True)
class Plan:
    """All units of a run, in the order of the clips.

    Attributes:
        units: Every clip with every chosen measure.
        known: Work that is stored already.
        after: Number of the newest score that counts as old; 0 unless forced.
        digests: sha256 of every weight a chosen measure needs; 'missing' when it is not here.
        cases: Cases by (suite, id).
    """

    units: tuple[Unit, ...]
    known: frozenset[Work]
    after: int
    digests: Mapping[str, str]
    cases: Mapping[tuple[str, str], StoredCase]

    @property
    def open(self) -> list[Unit]:
        """Units that must be computed; each piece of work once, however many clips share it."""
        seen: set[Work] = set(self.known)
        fresh = []
        for unit in self.units:
            if unit.work not in seen:
                seen.add(unit.work)
                fresh.append(unit)
        return fresh


def content_digest(measure: Measure, clip: StoredClip, case: StoredCase | None) -> str:
    """Return the digest of everything a measure reads of a clip and its case.

    A clip that cannot be decoded has its problem in the digest: mending a reader makes it new work.
    """
    parts: dict[str, Any] = {"clip": clip.clip.digest, "problem": clip.clip.problem}
    record = case.record if case else {}
    for name in sorted(measure.inputs):
        if name == "reference":
            parts[name] = case.image if case else ""
        elif name == "speech":
            parts[name] = case.speech if case else ""
        elif name == "borders":
            parts[name] = clip.clip.borders_s
        elif name == "prompt":
            parts[name] = [
                record.get("prompt", ""),
                record.get("questions", []),
                record.get("extra", {}),
            ]
        else:
            parts[name] = record.get(name)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def applies(measure: Measure, case: StoredCase | None) -> bool:
    """Return whether a case has the facts that a measure judges by."""
    return case is not None and measure.needs_extra in case.record.get("extra", {})


def make_plan(
    workspace: Workspace,
    chosen: Sequence[StoredClip],
    measures: Sequence[Measure],
    digests: Mapping[str, str],
    *,
    force: bool = False,
) -> Plan:
    """Lay clips against measures and look up what is known; writes nothing.

    Args:
        workspace: Where scores are kept.
        chosen: Clips, from `current_clips`.
        measures: Rows of the metric table.
        digests: sha256 by weight name.
        force: Treat nothing as known.
    """
    cases = all_cases(workspace)
    fingerprints = {measure.spec: measure.fingerprint(digests) for measure in measures}
    units = tuple(
        Unit(clip, measure, Work(content_digest(measure, clip, case), fingerprints[measure.spec]))
        for clip in chosen
        for case in (cases.get((clip.clip.suite, clip.clip.case)),)
        for measure in measures
        if not measure.needs_extra or applies(measure, case)
    )
    after = snapshot(workspace.database) if force else 0
    known = frozenset(done(workspace.database, (unit.work for unit in units), after=after))
    return Plan(units, known, after, digests, cases)


def remember(workspace: Workspace, plan: Plan) -> None:
    """Store what the plan's fingerprints mean and which content each clip shows to them."""
    for measure in {unit.measure.spec: unit.measure for unit in plan.units}.values():
        remember_spec(workspace.database, measure, plan.digests)
    remember_contents(workspace.database, ((unit.clip.id, unit.work) for unit in plan.units))


def explain(workspace: Workspace, plan: Plan) -> list[str]:
    """Say in one sentence per open unit why it has to be computed."""
    lines = []
    for unit in plan.open:
        clip = unit.clip.clip
        why = _why(workspace, plan, unit)
        lines.append(f"{clip.system} / {clip.case}: {unit.measure.spec}: {why}")
    return lines


def _why(workspace: Workspace, plan: Plan, unit: Unit) -> str:
    clip = unit.clip.clip
    with workspace.database.read() as connection:
        old = connection.execute(
            select(scores.c.content, scores.c.fingerprint, specs.c.description)
            .join(
                contents,
                (contents.c.content == scores.c.content)
                & (contents.c.fingerprint == scores.c.fingerprint),
            )
            .join(specs, specs.c.fingerprint == scores.c.fingerprint)
            .where(
                contents.c.clip == unit.clip.id,
                specs.c.measure == unit.measure.name,
                specs.c.variant == unit.measure.variant,
            )
            .order_by(scores.c.id.desc())
        ).first()
        if old is None:
            older = _replaced_clip_digest(connection, unit)
            if older:
                return f"the clip changed ({older[:8]}… to {clip.digest[:8]}…)"
            return "never scored"
    if old.fingerprint != unit.work.fingerprint:
        new = unit.measure.description(plan.digests)
        return "the specification changed: " + "; ".join(differences(old.description, new))
    if old.content != unit.work.content:
        return "the case's " + " or ".join(sorted(unit.measure.inputs)) + " changed"
    return "asked for with --force"


def _replaced_clip_digest(connection: Any, unit: Unit) -> str:
    clip = unit.clip.clip
    return (
        connection.execute(
            select(clips.c.digest)
            .where(
                clips.c.system == clip.system,
                clips.c.suite == clip.suite,
                clips.c.case == clip.case,
                clips.c.seed == clip.seed,
                clips.c.replaced,
            )
            .order_by(clips.c.id.desc())
        ).scalar()
        or ""
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name every leaf in which two descriptions differ, as 'parameters.crop: 0.4 to 0.5'."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key}: {_short(before)} to {_short(after)}")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "…"
