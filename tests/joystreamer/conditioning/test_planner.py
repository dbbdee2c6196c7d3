"""Plans: rules, answers of language models good and bad, a real endpoint on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joystreamer.conditioning.planner import (
    ATTEMPTS,
    Plan,
    PlanRequest,
    make_plan,
    read_answer,
    split_by_rules,
)
from joystreamer.conditioning.planner_backends import EndpointPlanner, QwenPlanner
from joystreamer.errors import InputError, JoyStreamerError, MissingWeights


@pytest.mark.parametrize(
    ("prompt", "count", "expected"),
    [
        ("A man talks", 3, ("A man talks",)),
        ("She sits, then she stands, and then waves", 3, ("She sits", "she stands", "waves")),
        (
            "A woman in a kitchen. She lifts a cup. Then she drinks.",
            2,
            (
                "A woman in a kitchen. She lifts a cup.",
                "A woman in a kitchen. Then she drinks.",
            ),
        ),
        ("He sits. He reads. He sleeps.", 2, ("He sits. He reads.", "He sleeps.")),
        ("one | two | three", 2, ("one two", "three")),
        ("一个女人在厨房。她拿起杯子，然后喝水。", 5, None),
    ],
)
def test_rules(prompt, count, expected):
    got = split_by_rules(prompt, count)
    if expected is None:
        assert got == ("一个女人在厨房。 她拿起杯子", "一个女人在厨房。 喝水。")
    else:
        assert got == expected


@given(st.text(min_size=1, max_size=200), st.integers(1, 5))
def test_rules_never_return_nothing_or_too_much(prompt, count):
    try:
        fragments = split_by_rules(prompt, count)
    except InputError:
        assert not prompt.replace("|", "").strip()
        return
    assert 1 <= len(fragments) <= count
    assert all(text.strip() for text in fragments)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("Sure! here is nothing", "a JSON list of texts was asked for"),
        ('["a", 3]', "a JSON list of texts was asked for"),
        ('["a"]', "2 fragments were asked for; 1 came"),
        ('["a", " "]', "a fragment is empty"),
        ('["a", "a"]', "two fragments are the same"),
        (json.dumps(["a", "b " * 151]), "a fragment has 151 words; at most 150 fit"),
    ],
)
def test_bad_answers_are_refused(answer, message):
    with pytest.raises(InputError, match=message):
        read_answer(answer, 2)


def test_answers_may_be_wrapped():
    assert read_answer('```json\n["a  man", "b"]\n```', 2) == ("a man", "b")


class Scripted:
    """A backend that gives prepared answers and keeps the questions."""

    name = "scripted"

    def __init__(self, *answers):
        self.answers, self.questions = list(answers), []

    def ask(self, question, image):
        self.questions.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_bad_answer_is_retried_and_told_what_was_wrong():
    backend = Scripted("no", '["a", "b", "c"]')
    request = PlanRequest(prompt="talks", seconds=9.0, transcript="hello")
    plan = make_plan(request, backend)
    assert plan.fragments == ("a", "b", "c")
    assert (plan.backend, plan.attempts) == ("scripted", 2)
    assert "a JSON list" in backend.questions[1]
    assert 'The person says: "hello"' in backend.questions[0]
    assert "exactly 3 descriptions" in backend.questions[0]


def test_after_three_bad_answers_the_rules_take_over_with_a_warning():
    backend = Scripted("no", JoyStreamerError("server gone"), "[]")
    with pytest.warns(UserWarning, match="gave no usable plan in 3 attempts"):
        plan = make_plan(PlanRequest(prompt="He sits. He reads.", seconds=9.0), backend)
    assert plan.fragments == ("He sits.", "He reads.")
    assert (plan.backend, plan.attempts, len(plan.warnings)) == ("rules", ATTEMPTS, 3)


def test_an_empty_prompt_is_refused():
    with pytest.raises(InputError, match="the prompt is empty"):
        make_plan(PlanRequest(prompt=" \n", seconds=3.0))


def test_plans_are_read_back():
    plan = Plan(fragments=("a", "b"), backend="rules")
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).fragments == ("a", "b")
    with pytest.raises(InputError, match="no list of texts under 'fragments'"):
        Plan.from_json({"fragments": "a"})
    with pytest.raises(InputError, match="not a text or empty"):
        Plan.from_json({"fragments": ["a", ""]})


@pytest.fixture
def endpoint():
    """A chat-completions server on this machine: (address, requests, answers to give)."""
    seen: list[dict] = []
    answers: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append({"path": self.path, "key": self.headers["Authorization"],
                         "body": json.loads(body)})  # fmt: skip
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers.pop(0))

        def log_message(self, format, *args):  # noqa: A002 - the name http.server uses
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/", seen, answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_endpoint_speaks_chat_completions(endpoint, monkeypatch):
    address, seen, answers = endpoint
    monkeypatch.setenv("JOYSTREAMER_PLANNER_KEY", "secret")
    content = {"choices": [{"message": {"content": '["looks up", "waves"]'}}]}
    answers.append(json.dumps(content).encode())
    image = np.zeros((900, 1600, 3), np.uint8)
    request = PlanRequest(prompt="talks", seconds=6.0, image=image)
    plan = make_plan(request, EndpointPlanner(address, "some-model"))
    assert plan.fragments == ("looks up", "waves")
    assert plan.backend == "endpoint:some-model"
    assert seen[0]["path"] == "/v1/chat/completions"
    assert seen[0]["key"] == "Bearer secret"
    parts = seen[0]["body"]["messages"][0]["content"]
    assert parts[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_endpoint_errors_are_sentences(endpoint, monkeypatch):
    address, seen, answers = endpoint
    monkeypatch.delenv("JOYSTREAMER_PLANNER_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    answers.append(b'{"unexpected": 1}')
    with pytest.raises(JoyStreamerError, match="answered in another form than chat completions"):
        EndpointPlanner(address, "m").ask("?", None)
    assert seen[0]["key"] is None
    with pytest.raises(JoyStreamerError, match="did not answer"):
        EndpointPlanner("http://127.0.0.1:9/v1", "m").ask("?", None)
    with pytest.raises(InputError, match="must begin with http"):
        EndpointPlanner("file:///etc", "m")


def test_missing_local_model_is_named(tmp_path):
    with pytest.raises(MissingWeights, match="is not on this machine and could not be fetched"):
        QwenPlanner(tmp_path / "absent").ask("?", None)
