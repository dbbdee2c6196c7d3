"""The table of network weights: what each file is, where it comes from, and how it is recognised.

Weights belong to their authors and are not shipped, but for one small network of our own. A file is
recognised by size and sha256, not by name or place. Where no public digest was found, `sha256` is None:
the first file of that name is then pinned on this machine when it is first used, and `weights verify`
says so. This file opens nothing.
"""

from dataclasses import dataclass
from typing import Final

_MEDIAPIPE: Final = "https://storage.googleapis.com/mediapipe-models"
_MEDIAPIPE_SOURCE: Final = "github.com/google-ai-edge/mediapipe"
_HUB: Final = "https://huggingface.co"
_SYNC: Final = (
    "sync/clean",
    "sync/every-frame",
    "sync/mocha",
    "sync/joonson",
    "sync/latentsync",
)
_DINOV2_BASE: Final = (
    "identity/dinov2",
    "identity/dinov2-518",
    "identity/dinov2-letterbox",
    "identity/dinov2-person",
    "identity/dinov2-face",
    "identity/dinov2-transformers",
)
_QALIGN: Final = (
    "quality/qalign",
    "quality/qalign-video",
    "quality/qalign-8bit",
    "quality/qalign-4bit",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """One file of network weights.

    Attributes:
        name: Name by which measures ask for it.
        file: File name it is stored under.
        url: Where `fetch` gets it; '' when it is not published as a file of its own.
        sha256: Digest, or None when none is published: pinned at first use by the user.
        size: Bytes, or None together with `sha256`.
        licence: Licence of the weights, as their authors state it.
        source: Project they belong to.
        needed_by: Measures that read it, as `family/variant`.
        stand_in: Another row that is taken when this one is not on this machine. Scores name the
            digest of what was really read, so they never mix.
    """

    name: str
    file: str
    url: str
    licence: str
    source: str
    needed_by: tuple[str, ...]
    sha256: str | None = None
    size: int | None = None
    stand_in: str | None = None


def _dinov2(letter: str, revision: str, sha256: str | None, size: int | None) -> Weights:
    model = f"vit_{letter}_patch14_dinov2.lvd142m"
    return Weights(
        name=f"dinov2-{letter}",
        file=f"{model}.safetensors",
        url=f"{_HUB}/timm/{model}/resolve/{revision}/model.safetensors",
        sha256=sha256,
        size=size,
        licence="Apache-2.0",
        source="github.com/facebookresearch/dinov2, as converted for timm",
        needed_by=_DINOV2_BASE if letter == "base" else (f"identity/dinov2-{letter}",),
    )


WEIGHTS: Final[tuple[Weights, ...]] = (
    Weights(
        name="syncnet-v2",
        file="syncnet_v2.model",
        url="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        size=54_573_114,
        licence="not stated by the authors (code: MIT)",
        source="github.com/joonson/syncnet_python",
        needed_by=_SYNC,
    ),
    Weights(
        name="s3fd",
        file="sfd_face.pth",
        url="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/sfd_face.pth",
        sha256="d54a87c2b7543b64729c9a25eafd188da15fd3f6e02f0ecec76ae1b30d86c491",
        size=89_844_381,
        licence="not stated by the authors (code: MIT)",
        source="github.com/joonson/syncnet_python",
        needed_by=_SYNC,
    ),
    Weights(
        name="puppet-syncnet",
        file="puppet_syncnet.safetensors",
        url="",
        sha256="27a370033c46ed5313e16040f0ce6d87cdd667f8b1e1ed9d4ec8f73e24721548",
        size=913_104,
        licence="Apache-2.0",
        source="this project: it lies in eval/shipped, made by benchmarks.puppet.sync_training",
        needed_by=("sync/puppet",),
    ),
    Weights(
        name="hand-landmarker",
        file="hand_landmarker.task",
        url=f"{_MEDIAPIPE}/hand_landmarker/hand_landmarker/float16/1/hand_landmarker.task",
        sha256="fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
        size=7_819_105,
        licence="Apache-2.0",
        source=_MEDIAPIPE_SOURCE,
        needed_by=("hands/mediapipe", "hands/mediapipe-readings", "hands/mediapipe-body"),
        stand_in="hand-landmarker-lite",
    ),
    Weights(
        name="hand-landmarker-lite",
        file="hand_landmarker_lite.task",
        url="",
        sha256="4edefe044e5f001b0f64b9bd1cb818b82a3be865822f3966d453005146f563aa",
        size=4_410_342,
        licence="Apache-2.0",
        source=f"{_MEDIAPIPE_SOURCE}: palm_detection_full and hand_landmark_lite in one bundle",
        needed_by=("hands/mediapipe-lite",),
    ),
    Weights(
        name="face-detector",
        file="blaze_face_short_range.tflite",
        url=f"{_MEDIAPIPE}/face_detector/blaze_face_short_range/float16/1/blaze_face_short_range.tflite",
        sha256="b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
        size=229_746,
        licence="Apache-2.0",
        source=_MEDIAPIPE_SOURCE,
        needed_by=("drift/colour-face", "drift/colour-face-10s", "identity/dinov2-face"),
        stand_in="face-detector-metadata",
    ),
    Weights(
        name="face-detector-metadata",
        file="face_detection_short_range_with_metadata.tflite",
        url="",
        sha256="97bc2ede3d62c752ea01242984291ffbba6818b09122a5c4bce9dbb2af957fe8",
        size=229_498,
        licence="Apache-2.0",
        source=f"{_MEDIAPIPE_SOURCE}: face_detection_short_range with normalisation metadata added",
        needed_by=("drift/colour-face", "drift/colour-face-10s", "identity/dinov2-face"),
    ),
    Weights(
        name="pose-landmarker-lite",
        file="pose_landmarker_lite.task",
        url=f"{_MEDIAPIPE}/pose_landmarker/pose_landmarker_lite/float16/1/pose_landmarker_lite.task",
        sha256="59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a",
        size=5_777_746,
        licence="Apache-2.0",
        source=_MEDIAPIPE_SOURCE,
        needed_by=(
            "hands/mediapipe-body",
            "identity/dinov2-person",
        ),
    ),
    _dinov2(
        "small",
        "4610ca143709d58a633b6397a74412c2c3842454",
        "04d27f3400d059fc0cfd7d17dd1909a75bf3ea8fb3eeb48b97cb99e57ee20081",
        88_240_510,
    ),
    _dinov2(
        "base",
        "4685c99dabffe5affac90bd99dbffd25801ae58d",
        "55cbb5d887b336d430e649c277b85a1429e724871f9d02ac16203235886d8c7b",
        346_334_872,
    ),
    _dinov2(
        "large",
        "4741e1cafbf45415e77074bb0cb42dba76c8684a",
        "0424a5d1b515278cba3c6640ccbeaacc41de59d3a93df0dd5e494285eea2b355",
        1_217_502_758,
    ),
    _dinov2("giant", "main", None, None),
    Weights(
        name="dwpose",
        file="dw-ll_ucoco_384.onnx",
        url=f"{_HUB}/yzd-v/DWPose/resolve/1a7144101628d69ee7a3768d1ee3a094070dc388/dw-ll_ucoco_384.onnx",
        sha256="724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
        size=134_399_116,
        licence="Apache-2.0",
        source="github.com/IDEA-Research/DWPose",
        needed_by=("hands/dwpose-min",),
    ),
    Weights(
        name="yolox-l",
        file="yolox_l.onnx",
        url=f"{_HUB}/yzd-v/DWPose/resolve/1a7144101628d69ee7a3768d1ee3a094070dc388/yolox_l.onnx",
        sha256="7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
        size=216_746_733,
        licence="Apache-2.0",
        source="github.com/Megvii-BaseDetection/YOLOX",
        needed_by=("hands/dwpose-min",),
    ),
    Weights(
        name="scrfd-10g",
        file="det_10g.onnx",
        url=f"{_HUB}/public-data/insightface/resolve/main/models/buffalo_l/det_10g.onnx",
        sha256="5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
        size=16_923_827,
        licence="non-commercial research (InsightFace buffalo_l)",
        source="github.com/deepinsight/insightface",
        needed_by=("identity/arcface",),
    ),
    Weights(
        name="arcface-r50",
        file="w600k_r50.onnx",
        url=f"{_HUB}/public-data/insightface/resolve/main/models/buffalo_l/w600k_r50.onnx",
        sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        size=174_383_860,
        licence="non-commercial research (InsightFace buffalo_l)",
        source="github.com/deepinsight/insightface",
        needed_by=("identity/arcface",),
    ),
    *(
        Weights(
            name=f"onealign-{part}",
            file=f"pytorch_model-0000{part}-of-00002.bin",
            url=f"{_HUB}/q-future/one-align/resolve/main/pytorch_model-0000{part}-of-00002.bin",
            licence="MIT (model card)",
            source="github.com/Q-Future/Q-Align",
            needed_by=_QALIGN,
        )
        for part in (1, 2)
    ),
    Weights(
        name="inception-fid",
        file="weights-inception-2015-12-05-6726825d.pth",
        url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        size=95_628_359,
        licence="Apache-2.0",
        source="TensorFlow's Inception 2015-12-05, as converted for pytorch-fid and torch-fidelity",
        needed_by=("FID between sets",),
    ),
    Weights(
        name="i3d-fvd",
        file="i3d_torchscript.pt",
        url="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
        licence="not stated by the authors",
        source="github.com/universome/stylegan-v",
        needed_by=("FVD between sets",),
    ),
    Weights(
        name="llama-tokenizer",
        file="tokenizer.model",
        url=f"{_HUB}/q-future/one-align/resolve/main/tokenizer.model",
        sha256="9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347",
        size=499_723,
        licence="Llama 2 Community License",
        source="the tokenizer of LLaMA and Llama 2",
        needed_by=_QALIGN,
    ),
)
"""Every file of weights that any measure can read."""


def find_weights(name: str) -> Weights:
    """Return the row called `name`.

    Raises:
        KeyError: No such row: a defect of the caller.
    """
    for row in WEIGHTS:
        if row.name == name:
            return row
    raise KeyError(
        f"no weights are called {name!r}; the table has {', '.join(row.name for row in WEIGHTS)}"
    )
