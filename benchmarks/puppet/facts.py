"""What a scene's case says of itself, for the oracles; the one place where world and oracles meet."""

from collections.abc import Sequence
from typing import Any

from benchmarks.puppet import look
from benchmarks.puppet.program import Program, slots
from benchmarks.puppet.render import Scene
from benchmarks.puppet.timeline import JUMP, LEFT_EDGE, RIGHT_EDGE, WALK, ZOOM
from eval.puppet.case import Person, puppet_extra

PALETTE = {
    "mouth": look.MOUTH,
    "glove": look.GLOVE,
    "ball": look.BALL,
    "red face": look.RED_FACE,
    "night": look.NIGHT,
    "floor": look.FLOOR,
    "window": look.WINDOW,
}


def puppet_facts(
    scene: Scene, programs: Sequence[Program], starts_s: Sequence[float] = (0.0,)
) -> dict[str, Any]:
    """Return the facts of a scene for `Case.extra`.

    Args:
        scene: Its first frame says where everybody starts.
        programs: What is asked, one per stretch.
        starts_s: Second at which each stretch starts.
    """
    people = [
        Person(
            skin=actor.identity.skin,
            shirt=actor.identity.shirt,
            hair=actor.identity.hair,
            x=float(actor.poses.x[0]),
            scale=actor.scale,
        )
        for actor in scene.actors
    ]
    return puppet_extra(
        people,
        [slots(program) for program in programs],
        wall=scene.wall,
        palette=PALETTE,
        changes={"walk": WALK, "jump": JUMP, "zoom": ZOOM},
        edges=(LEFT_EDGE, RIGHT_EDGE),
        starts_s=starts_s,
    )
