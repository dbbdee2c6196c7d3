"""The loop on tiny real classes: golden steps, accumulation, resume, guards, averages, logs."""

import json

import pytest
import torch
from accelerate.state import AcceleratorState

from joystreamer.errors import InputError
from joystreamer.presets import tiny_transformer
from joystreamer.training.checkpoint import checkpoints
from joystreamer.training.loop import LoopOptions, TrainingDiverged
from tests.joystreamer.training import tiny_runs
from tests.joystreamer.training.tiny_runs import (
    distillation_task,
    make_loop,
    make_task,
    pretraining_task,
    trained_values,
)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# (loss, gradient norm) of the first updates; for distillation of three critic updates and
# the student's first. Measured with torch 2.14.1; they move when an objective or an initialisation does.
GOLDEN = {
    "foundation": [(2.38048, 0.652383), (2.37735, 0.609901), (2.37457, 0.537956)],
    "text-teacher": [(2.32411, 0.588802), (2.31804, 0.578988), (2.33365, 0.577616)],
    "stage-1": [(2.38053, 0.0519285), (2.41616, 0.064843), (2.4319, 0.0512923)],
    "stage-2": [(2.3724, 0.318058), (2.38161, 0.346143), (2.39213, 0.281621)],
    "shared": [
        (2.19839, 0.0210225),
        (2.50753, 0.0243512),
        (2.01036, 0.0240895),
        (0.517621, 0.0176525),
    ],
    "full": [(2.19839, 0.521126), (2.47839, 0.704615), (1.89386, 0.558181), (0.491876, 0.335389)],
}


def measured(folder):
    rows = []
    for line in metrics(folder):
        (loss,) = (v for k, v in line.items() if k.endswith("/loss"))
        (norm,) = (v for k, v in line.items() if k.endswith("/gradient_norm"))
        rows.append((loss, norm))
    return rows


@pytest.mark.parametrize("stage", GOLDEN)
def test_loss_and_gradient_norm_of_the_first_updates_are_the_recorded_ones(tmp_path, stage):
    make_loop(make_task(stage), tmp_path, updates=len(GOLDEN[stage])).run()
    for found, expected in zip(measured(tmp_path), GOLDEN[stage], strict=True):
        assert found == pytest.approx(expected, rel=2e-3)


@pytest.fixture
def fresh_accelerator():
    """accelerate keeps its precision for the life of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("kind", ["stage-1", "stage-2", "shared"])
@pytest.mark.usefixtures("fresh_accelerator")
def test_half_precision_keeps_masters_in_single_and_loses_nearly_nothing(
    tmp_path, kind, monkeypatch
):
    monkeypatch.setattr(
        tiny_runs, "tiny_transformer", lambda **changes: tiny_transformer(**changes).bfloat16()
    )
    task = make_task(kind)
    dtypes = {p.dtype for trained in task.trained for p in trained.parameters.values()}
    assert dtypes == {torch.float32}
    loop = make_loop(task, tmp_path, updates=len(GOLDEN[kind]), precision="bf16")
    loop.run()
    for found, expected in zip(measured(tmp_path), GOLDEN[kind], strict=True):
        assert found[0] == pytest.approx(expected[0], rel=0.03)


@pytest.mark.parametrize("kind", ["stage-2", "shared"])
def test_accumulating_micro_batches_equals_one_large_batch(tmp_path, kind):
    ends = []
    for micro in (1, 2):
        loop = make_loop(make_task(kind), tmp_path / str(micro), micro_batch=micro, updates=4)
        loop.run()
        ends.append(trained_values(loop))
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("kind", ["stage-1", "shared", "full"])
def test_a_resumed_run_ends_bit_for_bit_where_an_uninterrupted_one_does(tmp_path, kind):
    whole = make_loop(make_task(kind), tmp_path / "whole", ema_decay=0.9)
    whole.run()
    first = make_loop(make_task(kind), tmp_path / "cut", ema_decay=0.9)
    first.run(stop_at=3)  # for distillation the next update is the student's
    second = make_loop(make_task(kind), tmp_path / "cut", ema_decay=0.9)
    second.run()
    assert second.done == 6
    ends = trained_values(second)
    for name, value in trained_values(whole).items():
        assert torch.equal(ends[name], value), name
    for name, average in whole.averages.items():
        for key, value in average.shadow.items():
            assert torch.equal(second.averages[name].shadow[key], value)
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")


def test_a_run_may_begin_with_the_averaged_networks_of_another(tmp_path):
    first = make_loop(make_task("shared"), tmp_path / "a", ema_decay=0.5)
    first.run()
    second = make_loop(make_task("shared"), tmp_path / "b")
    newest = first.store.latest()
    assert newest is not None
    second.adopt(newest)
    assert second.done == 0
    values = trained_values(second)
    for key, value in first.averages["both-student"].shadow.items():
        assert torch.equal(values[f"both-student/{key}"], value)
    for key, value in trained_values(first).items():
        if key.startswith("both-fake"):
            assert torch.equal(values[key], value)
    with pytest.raises(InputError, match="continue from a run of the same kind"):
        make_loop(make_task("full"), tmp_path / "c").adopt(newest)


def test_the_log_forgets_what_a_killed_run_wrote_after_its_checkpoint(tmp_path):
    make_loop(make_task("stage-1"), tmp_path).run(stop_at=2)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"update": 3, "network/loss": 1.0}\n{"update": 4, "netw')
    loop = make_loop(make_task("stage-1"), tmp_path)
    loop.run()
    assert [line["update"] for line in metrics(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_checkpoint_of_another_stage_is_refused(tmp_path):
    make_loop(make_task("stage-1"), tmp_path).run(stop_at=1)
    with pytest.raises(InputError, match="resume with the preset that wrote it"):
        make_loop(make_task("stage-2"), tmp_path).run()


def test_old_checkpoints_and_left_overs_go_away(tmp_path):
    (tmp_path / ".partial-00000099").mkdir()
    loop = make_loop(make_task("stage-1"), tmp_path, checkpoint_every=1, keep_checkpoints=2)
    loop.run()
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000005", "step-00000006"]
    assert not list(tmp_path.glob(".partial-*"))


class Poisoned:
    """A task whose loss is not finite in chosen updates."""

    def __init__(self, task, updates):
        self.task, self.updates, self.update = task, updates, -1
        self.trained = task.trained

    def phase(self, update):
        self.update = update
        return self.task.phase(update)

    def start(self, accelerator, networks, *, sharded):
        self.task.start(accelerator, networks, sharded=sharded)

    def loss(self, phase, batch, draws):
        loss, figures = self.task.loss(phase, batch, draws)
        return (loss * float("nan") if self.update in self.updates else loss), figures

    def report(self, total):
        return self.task.report(total)


def test_an_update_with_broken_gradients_changes_nothing_and_too_many_stop_the_run(tmp_path):
    loop = make_loop(Poisoned(pretraining_task("stage-1"), {0}), tmp_path / "a", skips=2)
    before = trained_values(loop)
    loop.run(stop_at=1)
    assert all(torch.equal(value, before[name]) for name, value in trained_values(loop).items())
    assert loop.steps == {"network": 0}
    loop.run()
    assert loop.steps == {"network": 5}
    bad = make_loop(Poisoned(pretraining_task("stage-1"), {1, 2, 3}), tmp_path / "b", skips=2)
    with pytest.raises(TrainingDiverged, match="not finite 3 times in a row at update 3"):
        bad.run()


class Watch:
    """A validation that remembers the weights it was shown and stops at a given call."""

    def __init__(self, parameter, stop_at=None):
        self.parameter, self.stop_at = parameter, stop_at
        self.seen, self.stop = [], False

    def __call__(self, update):
        self.seen.append(self.parameter.detach().clone())
        self.stop = update == self.stop_at
        return {"text_alignment": 0.25}


def test_the_average_begins_at_its_step_and_stands_in_for_validation(tmp_path):
    task = pretraining_task("stage-1")
    parameter = next(iter(task.trained[0].parameters.values()))
    loop = make_loop(
        task, tmp_path, ema_decay=0.5, ema_start=2, updates=3, validate_every=3, log_every=1
    )
    loop.validate = Watch(parameter)
    course = [parameter.detach().clone()]
    for stop in (1, 2):
        loop.run(stop_at=stop)
        course.append(parameter.detach().clone())
    loop.run()
    course.append(parameter.detach().clone())
    before, after = loop.validate.seen[0], loop.validate.seen[-1]
    assert torch.equal(before, course[0])
    torch.testing.assert_close(after, 0.5 * course[2] + 0.5 * course[3])
    assert metrics(tmp_path)[-1]["validation/text_alignment"] == 0.25


def test_a_broken_stop_rule_ends_the_run_at_the_last_good_checkpoint(tmp_path):
    task = pretraining_task("stage-1")
    parameter = next(iter(task.trained[0].parameters.values()))
    loop = make_loop(task, tmp_path, validate_every=2, checkpoint_every=2)
    loop.validate = Watch(parameter, stop_at=4)
    loop.run()
    assert loop.done == 2
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000002"]
    assert torch.equal(parameter.detach(), loop.validate.seen[1])


def test_rates_rise_over_the_warm_up(tmp_path):
    loop = make_loop(make_task("stage-1"), tmp_path, rate_warmup=4, updates=5)
    rates = []
    for stop in range(1, 6):
        loop.run(stop_at=stop)
        rates.append(loop.optimisers["network"].param_groups[0]["lr"])
    assert rates == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3])


def test_rates_fall_as_a_cosine_to_what_is_asked():
    options = LoopOptions(updates=100, rate_warmup=10, rate_end=0.2)
    assert options.rate_factor(0, 0) == pytest.approx(0.1)
    assert options.rate_factor(50, 50) == pytest.approx(0.6)
    assert options.rate_factor(100, 100) == pytest.approx(0.2)
    assert LoopOptions(updates=100).rate_factor(70, 70) == 1.0
    with pytest.raises(InputError, match="rate_end is 2"):
        LoopOptions(updates=1, rate_end=2.0)


def test_stages_train_what_the_paper_says(tmp_path):
    names = {
        stage: {n.split("network.")[1] for n in pretraining_task(stage).trained[0].parameters}
        for stage in ("stage-1", "stage-2")
    }
    assert all(n.startswith("frame_pack.") or ".attn1." in n for n in names["stage-1"])
    assert any(n.startswith("frame_pack.") for n in names["stage-1"])
    assert all(n.startswith("audio_projector.") or ".audio_" in n for n in names["stage-2"])
    task = pretraining_task("stage-1")
    frozen = dict(task.stack.network.named_parameters())
    before = {n: v.detach().clone() for n, v in frozen.items() if n not in names["stage-1"]}
    make_loop(task, tmp_path, updates=2).run()
    assert all(torch.equal(frozen[n], v) for n, v in before.items())


def test_the_student_trains_in_its_turn_only(tmp_path):
    loop = make_loop(distillation_task(), tmp_path, updates=4)
    start = trained_values(loop)
    loop.run(stop_at=3)
    middle = trained_values(loop)
    assert all(torch.equal(middle[n], v) for n, v in start.items() if n.startswith("both-student"))
    assert any(not torch.equal(middle[n], v) for n, v in start.items() if "both-fake" in n)
    loop.run()
    end = trained_values(loop)
    assert any(not torch.equal(end[n], v) for n, v in middle.items() if "both-student" in n)
    assert all(torch.equal(end[n], v) for n, v in middle.items() if n.startswith("both-fake"))


def test_senseless_options_are_refused():
    with pytest.raises(InputError, match="updates 0, checkpoint_every 500"):
        LoopOptions(updates=0)
    with pytest.raises(InputError, match="precision is 'half'; choose one of no, bf16, fp16"):
        LoopOptions(updates=1, precision="half")
    with pytest.raises(InputError, match=r"ema_decay is 1\.0"):
        LoopOptions(updates=1, ema_decay=1.0)
