"""`text.*` against a small OpenAI-compatible server that answers by what it is asked."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from eval.backends.judges import EndpointJudge, judge_name
from eval.catalog import find_measure
from eval.measure import CannotMeasure
from joystreamer.errors import InputError

JUDGE, VQA = find_measure("text/judge"), find_measure("text/vqascore")
PROMPT = "A grey wall stands still, a purple cat dances wildly."


class Endpoint(BaseHTTPRequestHandler):
    """Sees walls, never cats; remembers what came."""

    asked: list[dict] = []  # noqa: RUF012
    keys: list[str | None] = []  # noqa: RUF012
    busy = 0
    body: bytes | None = None

    def do_POST(self) -> None:
        cls = type(self)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cls.asked.append(body)
        cls.keys.append(self.headers.get("Authorization"))
        if cls.busy > 0:
            cls.busy -= 1
            self.send_error(503)
            return
        if self.path != "/v1/chat/completions":
            self.send_error(404)
            return
        wall = "wall" in body["messages"][0]["content"][-1]["text"]
        chances = [("Yes", 0.9), ("No", 0.1)] if wall else [("No", 0.75), ("yes", 0.25)]
        ranked = [{"token": word, "logprob": float(np.log(chance))} for word, chance in chances]
        answer = {
            "choices": [
                {
                    "message": {"role": "assistant", "content": chances[0][0] + "."},
                    "logprobs": {"content": [{"token": chances[0][0], "top_logprobs": ranked}]},
                }
            ]
        }
        payload = cls.body or json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[str]:
    Endpoint.asked, Endpoint.keys, Endpoint.busy, Endpoint.body = [], [], 0, None
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    monkeypatch.setenv("JOYSTREAMER_JUDGE", f"openai:tiny-judge@{url}")
    monkeypatch.setenv("JOYSTREAMER_CACHE", str(tmp_path / "cache"))
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def wall(count=50):
    return [np.full((64, 64, 3), 100 + index, np.uint8) for index in range(count)]


def test_the_score_is_the_share_of_clauses_seen(feed, endpoint):
    found = feed(JUDGE, wall(), prompt=PROMPT)["text.alignment"]
    assert found.value == 0.5
    assert [each["value"] for each in found.details["clauses"]] == [1.0, 0.0]
    assert found.details["judge"].startswith("endpoint tiny-judge, temperature 0")
    assert len(Endpoint.asked) == 2
    content = Endpoint.asked[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 8 + ["text"]
    assert content[0]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_probabilities_are_shared_between_yes_and_no(feed, endpoint):
    assert feed(VQA, wall(), prompt=PROMPT)["text.vqascore"].value == pytest.approx(
        (0.9 + 0.25) / 2
    )


def test_verdicts_are_kept_until_anything_changes(feed, endpoint):
    feed(JUDGE, wall(), prompt=PROMPT)
    feed(JUDGE, wall(), prompt=PROMPT)
    assert len(Endpoint.asked) == 2
    feed(JUDGE, wall()[::-1], prompt=PROMPT)
    assert len(Endpoint.asked) == 4


def test_questions_of_a_suite_come_first(feed, endpoint):
    found = feed(JUDGE, wall(), prompt=PROMPT, questions=("Is there a wall?",))["text.alignment"]
    assert found.value == 1.0
    assert len(Endpoint.asked) == 1


def test_a_busy_endpoint_is_asked_again(endpoint):
    Endpoint.busy = 2
    judge = EndpointJudge(model="m", url=endpoint, pause_s=0.01)
    assert judge.answer([b"jpeg"], "a wall?").yes is True
    assert len(Endpoint.asked) == 3


def test_the_key_is_sent_and_kept_nowhere(endpoint, monkeypatch, tmp_path, feed):
    monkeypatch.setenv("JOYSTREAMER_JUDGE_KEY", "secret-key")
    found = feed(JUDGE, wall(), prompt=PROMPT)["text.alignment"]
    assert Endpoint.keys[0] == "Bearer secret-key"
    kept = "".join(path.read_text() for path in (tmp_path / "cache").rglob("*.json"))
    assert "secret-key" not in kept + str(found) + judge_name()


def test_failures_are_one_sentence(endpoint):
    wrong = EndpointJudge(model="m", url=endpoint + "/elsewhere", pause_s=0.01)
    with pytest.raises(CannotMeasure, match="did not answer: 404 Not Found"):
        wrong.answer([], "?")
    offline = EndpointJudge(model="m", url="http://127.0.0.1:9/v1", pause_s=0.001)
    with pytest.raises(CannotMeasure) as caught:
        offline.answer([], "?")
    assert caught.value.reason == "backend_error"
    Endpoint.body = b'{"choices": []}'
    with pytest.raises(CannotMeasure, match=r"answered without choices\[0\]"):
        EndpointJudge(model="m", url=endpoint).answer([], "?")


def test_neither_yes_nor_no_is_a_reason(feed, endpoint):
    Endpoint.body = json.dumps({"choices": [{"message": {"content": "Perhaps"}}]}).encode()
    assert feed(JUDGE, wall(), prompt=PROMPT)["text.alignment"].reason == "backend_error"
    found = feed(VQA, wall(), prompt=PROMPT)["text.vqascore"]
    assert found.message == "the judge gives no probabilities"


def test_without_a_judge_or_a_prompt_there_is_a_reason(feed, monkeypatch):
    monkeypatch.delenv("JOYSTREAMER_JUDGE", raising=False)
    assert feed(JUDGE, wall(), prompt=PROMPT)["text.alignment"].reason == "no_backend"
    assert feed(JUDGE, wall())["text.alignment"].reason == "no_prompt"
    assert judge_name() == ""


def test_the_judge_is_part_of_the_fingerprint(monkeypatch, tmp_path):
    monkeypatch.setenv("JOYSTREAMER_CACHE", str(tmp_path / "cache"))
    prints = []
    for judge in ("openai:a@http://h/v1", "openai:b@http://h/v1", "openai:a@http://other/v1"):
        monkeypatch.setenv("JOYSTREAMER_JUDGE", judge)
        prints.append(JUDGE.fingerprint({}))
    folder = tmp_path / "model"
    folder.mkdir()
    for content in ("one", "two"):
        (folder / "config.json").write_text(content * len(prints))
        monkeypatch.setenv("JOYSTREAMER_JUDGE", f"transformers:{folder}")
        prints.append(JUDGE.fingerprint({}))
    assert prints[0] == prints[2]  # the same model at another address
    assert len(set(prints)) == 4


def test_a_judge_that_cannot_be_read_says_what_fits(monkeypatch):
    for given in ("qwen", "openai:model", "transformers:/no/such/folder"):
        monkeypatch.setenv("JOYSTREAMER_JUDGE", given)
        with pytest.raises(InputError, match="it must be openai:MODEL@URL"):
            judge_name()


def test_frames_are_the_nearest_to_the_middles(feed, endpoint, monkeypatch):
    shown: list[int] = []
    from eval.measures import alignment

    def note(rgb):
        shown.append(int(rgb[0, 0, 0]))
        return b"jpeg"

    monkeypatch.setattr(alignment, "as_jpeg", note)
    feed(JUDGE, [np.full((8, 8, 3), index, np.uint8) for index in range(64)], rate=8, prompt=PROMPT)
    # 8 s at 8 fps: 11 frames, one per 8/11 s.
    wanted = (np.arange(11) + 0.5) * 64 / 11
    assert np.abs(np.array(shown) - wanted).max() <= 0.5
