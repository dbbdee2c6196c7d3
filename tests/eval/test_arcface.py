"""SCRFD's decoding, the alignment, and the pipeline with tiny real ONNX networks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.arcface import TEMPLATE, align_matrix, decode_faces
from eval.catalog import find_measure
from eval.measure import ClipInputs
from eval.weight_table import Weights
from eval.weights import WeightFolder, file_digest
from joystreamer.media import Frame, probe, write_clip


def scrfd_outputs(score=0.9, weaker=0.0):
    """A face at cell (10, 20) of stride 8: centre (80, 160) in detector pixels."""
    outputs = []
    for width in (1, 4, 10):
        outputs += [
            np.zeros((2 * (640 // stride) ** 2, width), np.float32) for stride in (8, 16, 32)
        ]
    place = 2 * (20 * 80 + 10)
    outputs[0][place], outputs[0][place + 1] = score, weaker
    outputs[3][place : place + 2] = [4, 5, 6, 7]
    outputs[6][place : place + 2] = np.arange(10) / 2
    return outputs


def test_a_face_is_decoded_to_source_pixels():
    (face,) = decode_faces(scrfd_outputs(), scale=0.5)
    assert face.box == pytest.approx(2 * np.array([80 - 32, 160 - 40, 80 + 48, 160 + 56]))
    assert face.points[0] == pytest.approx([160, 320 + 8])
    assert face.points[4] == pytest.approx([2 * (80 + 32), 2 * (160 + 36)])


def test_weak_and_doubled_faces_are_dropped():
    assert decode_faces(scrfd_outputs(score=0.49), 1.0) == []
    assert len(decode_faces(scrfd_outputs(weaker=0.8), 1.0)) == 1


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_alignment_undoes_a_similarity(angle):
    turn = 2.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = TEMPLATE @ turn.T + [30, -12]
    matrix = align_matrix(moved)
    assert moved @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(TEMPLATE, abs=1e-9)


def test_alignment_never_mirrors():
    mirrored = TEMPLATE * [-1, 1]
    assert np.linalg.det(align_matrix(mirrored)[:, :2]) > 0


@pytest.fixture
def networks(tmp_path: Path) -> WeightFolder:
    """SCRFD as constants, and an 'ArcFace' that averages colours: both real ONNX files."""
    onnx = pytest.importorskip(
        "onnx", reason="the onnx package writes the tiny networks of this test"
    )
    pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra 'onnx'")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    opsets = [helper.make_opsetid("", 17)]
    values, nodes, results = [], [], []
    for index, array in enumerate(scrfd_outputs()):
        values.append(onnx.numpy_helper.from_array(array, f"c{index}"))
        nodes.append(helper.make_node("Identity", [f"c{index}"], [f"o{index}"]))
        results.append(helper.make_tensor_value_info(f"o{index}", kind, list(array.shape)))
    given = helper.make_tensor_value_info("input", kind, [1, 3, 640, 640])
    detector = helper.make_graph(nodes, "scrfd", [given], results, values)
    given = helper.make_tensor_value_info("input", kind, [1, 3, 112, 112])
    result = helper.make_tensor_value_info("out", kind, [1, 3])
    node = helper.make_node("ReduceMean", ["input"], ["out"], axes=[2, 3], keepdims=0)
    average = helper.make_graph([node], "average", [given], [result])
    rows = []
    for name, graph in (("scrfd-10g", detector), ("arcface-r50", average)):
        path = tmp_path / f"{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
        rows.append(
            Weights(
                name=name, file=path.name, url="", licence="MIT", source="here", needed_by=(),
                sha256=file_digest(path), size=path.stat().st_size,
            )
        )  # fmt: skip
    return WeightFolder([tmp_path], memory=tmp_path / "memory", table=rows)


def test_the_whole_path_through_onnxruntime(networks, tmp_path):
    red = np.full((640, 640, 3), (200, 40, 40), np.uint8)
    green = np.full((640, 640, 3), (40, 200, 40), np.uint8)
    Image.fromarray(red).save(tmp_path / "reference.png")
    path = tmp_path / "clip.mp4"
    write_clip(path, [np.zeros((16, 16, 3), np.uint8)] * 2, 8)
    inputs = ClipInputs(
        path=path, probe=probe(path), weights=networks, reference=tmp_path / "reference.png"
    )
    observer = find_measure("identity/arcface").start(inputs)
    observer.see(Frame(0.0, red))
    observer.see(Frame(0.125, green))
    found = observer.finish()["identity.csim"]
    assert found.series["cosine"].values[0] == pytest.approx(1.0)
    assert found.series["cosine"].values[1] < 0.6
    assert found.details["found_rate"] == 1.0
