"""DWPose's decoding on outputs whose answer is known, and the pipeline with tiny real ONNX networks."""

from pathlib import Path

import numpy as np
import pytest

from eval.backends.dwpose import DWPoseHands
from eval.catalog import find_measure
from eval.dwpose import crop_frame, decode_simcc, main_person, person_boxes
from eval.weight_table import Weights
from eval.weights import WeightFolder, file_digest
from joystreamer.media import Frame


def yolox_output(people, person_class=0):
    """YOLOX's raw output for boxes (centre x, y, width, height, score) in detector pixels."""
    output = np.zeros((8400, 85), np.float32)
    for x, y, width, height, score in people:
        column, row = int(x // 8), int(y // 8)
        place = row * 80 + column
        output[place, :4] = [x / 8 - column, y / 8 - row, np.log(width / 8), np.log(height / 8)]
        output[place, 4] = 1.0
        output[place, 5 + person_class] = score
    return output


def test_boxes_are_decoded_to_source_pixels():
    boxes = person_boxes(yolox_output([(100, 200, 80, 160, 0.9)]), scale=0.5)
    assert boxes == pytest.approx(np.array([[120, 240, 280, 560, 0.9]]), rel=1e-5)


def test_weak_overlapping_and_other_boxes_are_dropped():
    people = [(100, 200, 80, 160, 0.9), (110, 204, 80, 160, 0.8), (400, 200, 60, 60, 0.25)]
    assert len(person_boxes(yolox_output(people), 1.0)) == 1
    assert len(person_boxes(yolox_output([(100, 200, 80, 160, 0.9)], person_class=3), 1.0)) == 0


def test_the_largest_person_is_the_main_one():
    boxes = np.array([[0, 0, 10, 10, 0.99], [0, 0, 50, 50, 0.4]])
    assert main_person(boxes, 640, 480).tolist() == [0, 0, 50, 50]
    assert main_person(np.zeros((0, 5)), 640, 480).tolist() == [0, 0, 640, 480]


def test_the_crop_is_padded_to_the_aspect_ratio():
    centre, size = crop_frame(np.array([100, 100, 200, 300]), 288, 384)
    assert centre.tolist() == [150, 200]
    assert size.tolist() == [187.5, 250]  # 200 * 1.25 tall, 3:4
    _, wide = crop_frame(np.array([0, 0, 300, 100]), 288, 384)
    assert wide.tolist() == [375, 500]


def test_simcc_takes_the_smaller_maximum():
    along_x, along_y = np.zeros((2, 576)), np.zeros((2, 768))
    along_x[0, 288], along_y[0, 384] = 0.9, 0.6
    points, scores = decode_simcc(along_x, along_y, np.array([150.0, 200]), np.array([288.0, 384]))
    assert scores.tolist() == [0.6, 0.0]
    assert points[0].tolist() == [150, 200]
    assert points[1] == pytest.approx([150 - 144 - 0.5, 200 - 192 - 0.5])


@pytest.fixture
def networks(tmp_path: Path) -> WeightFolder:
    """Two ONNX networks whose outputs are constants, under the names of the real ones."""
    onnx = pytest.importorskip(
        "onnx", reason="the onnx package writes the tiny networks of this test"
    )
    pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra 'onnx'")
    along_x, along_y = np.full((1, 133, 576), 0.1), np.full((1, 133, 768), 0.1)
    along_x[0, 91:112, 100], along_y[0, 91:112, 200] = (
        0.8,
        0.7,
    )  # a left hand; the right one is weak
    outputs = {
        "yolox-l": ([yolox_output([(320, 240, 200, 400, 0.9)])[None]], 640, 640),
        "dwpose": ([along_x, along_y], 384, 288),
    }
    rows = []
    for name, (arrays, height, width) in outputs.items():
        path = tmp_path / f"{name}.onnx"
        write_constant_network(
            onnx, path, [each.astype(np.float32) for each in arrays], height, width
        )
        rows.append(
            Weights(
                name=name, file=path.name, url="", licence="MIT", source="here", needed_by=(),
                sha256=file_digest(path), size=path.stat().st_size,
            )
        )  # fmt: skip
    return WeightFolder([tmp_path], memory=tmp_path / "memory", table=rows)


def write_constant_network(onnx, path, arrays, height, width):
    helper, types = onnx.helper, onnx.TensorProto
    given = helper.make_tensor_value_info("input", types.FLOAT, [1, 3, height, width])
    nodes = [
        helper.make_node("ReduceSum", ["input"], ["sum"], keepdims=0),
        helper.make_node("Sub", ["sum", "sum"], ["zero"]),
    ]
    values, results = [], []
    for index, array in enumerate(arrays):
        values.append(onnx.numpy_helper.from_array(array, f"c{index}"))
        nodes.append(helper.make_node("Add", [f"c{index}", "zero"], [f"out{index}"]))
        results.append(helper.make_tensor_value_info(f"out{index}", types.FLOAT, list(array.shape)))
    graph = helper.make_graph(nodes, "constant", [given], results, values)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def test_the_whole_path_through_onnxruntime(networks):
    hands = DWPoseHands(networks.find("yolox-l"), networks.find("dwpose"))
    (left,) = hands.find(Frame(0.0, np.zeros((480, 640, 3), np.uint8)))
    # The box 220-420 x 40-440 becomes a crop of 375 x 500 around (320, 240).
    assert left.side == 0
    assert left.score == pytest.approx(0.7, rel=1e-5)
    assert left.points[0] == pytest.approx(
        [320 - 187.5 + 375 * 50 / 288, 240 - 250 + 500 * 100 / 384]
    )
    assert hands.all_scores == pytest.approx([0.7, 0.1])


def test_the_measure_reports_masked_and_unmasked_confidence(networks, tmp_path):
    from eval.measure import ClipInputs
    from joystreamer.media import probe, write_clip

    path = tmp_path / "clip.mp4"
    write_clip(path, [np.zeros((96, 128, 3), np.uint8)] * 3, 25)
    inputs = ClipInputs(path=path, probe=probe(path), weights=networks)
    observer = find_measure("hands/dwpose-min").start(inputs)
    for index in range(3):
        observer.see(Frame(index / 25, np.zeros((96, 128, 3), np.uint8)))
    found = observer.finish()
    assert found["hands.confidence"].value == pytest.approx(0.7, rel=1e-5)
    assert found["hands.confidence"].details["unmasked_confidence"] == pytest.approx(0.4, rel=1e-5)
    assert found["hands.variance"].value == 0.0
