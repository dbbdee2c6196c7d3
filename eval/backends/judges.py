"""Judges that look at frames and answer: an OpenAI-compatible endpoint, or a local network.

Chosen by the environment variable `JOYSTREAMER_JUDGE`: `openai:MODEL@URL` (the URL ends before
`/chat/completions`) or `transformers:FOLDER`. A key for an endpoint is read from
`JOYSTREAMER_JUDGE_KEY` and never stored. Verdicts are kept in the user cache by the digest of
everything they depend on.
"""

import base64
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np

from eval.alignment import read_verdict, yes_probability
from eval.measure import CannotMeasure
from eval.weights import WeightFolder
from joystreamer.errors import InputError

JUDGE_VARIABLE: Final = "JOYSTREAMER_JUDGE"
KEY_VARIABLE: Final = "JOYSTREAMER_JUDGE_KEY"
NO_JUDGE: Final = (
    f"no judge is configured: set {JUDGE_VARIABLE} to openai:MODEL@URL or to transformers:FOLDER"
)
MAX_TOKENS: Final = 8
SEED: Final = 0
TOP_LOGPROBS: Final = 20
TRIES: Final = 4
TIMEOUT_S: Final = 120.0
YES: Final = ("yes", "Yes", "YES", " yes", " Yes")
NO: Final = ("no", "No", "NO", " no", " No")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A judge's answer.

    Attributes:
        text: Its words.
        yes: What they mean; None when they mean neither.
        probability: Of yes against no, None when the judge does not give it.
    """

    text: str
    yes: bool | None
    probability: float | None = None


class Judge(Protocol):
    """Somebody who looks at pictures and answers."""

    @property
    def identity(self) -> str:
        """What decides the answers besides question and pictures: model, digest, settings."""

    def answer(self, pictures: Sequence[bytes], question: str) -> Verdict:
        """Answer a question about JPEG pictures in order.

        Raises:
            CannotMeasure: The judge failed.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointJudge:
    """A model behind an OpenAI-compatible chat endpoint.

    Attributes:
        model: Its name there; all that is known of its weights.
        url: Up to, not including, `/chat/completions`.
        pause_s: Wait before the second try; doubled before each further one.
    """

    model: str
    url: str
    pause_s: float = 1.0

    @property
    def identity(self) -> str:
        """Model and settings; the address does not decide the answer."""
        return f"endpoint {self.model}, temperature 0, seed {SEED}, {MAX_TOKENS} tokens"

    def answer(self, pictures: Sequence[bytes], question: str) -> Verdict:
        """Ask once per question, trying again when the endpoint is busy."""
        images = [
            {
                "type": "image_url",
                "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(each).decode()},
            }
            for each in pictures
        ]
        content = [*images, {"type": "text", "text": question}]
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "seed": SEED,
            "max_tokens": MAX_TOKENS,
            "logprobs": True,
            "top_logprobs": TOP_LOGPROBS,
        }
        answer = self._post(body)
        try:
            choice = answer["choices"][0]
            text = str(choice["message"]["content"])
        except (KeyError, IndexError, TypeError) as error:
            raise CannotMeasure(
                "backend_error", f"{self.url} answered without choices[0].message.content"
            ) from error
        return Verdict(text=text, yes=read_verdict(text), probability=_first_probability(choice))

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(KEY_VARIABLE)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = Request(
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers
        )
        why = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(self.pause_s * 2 ** (attempt - 1))
            try:
                with urlopen(request, timeout=TIMEOUT_S) as answer:
                    return json.load(answer)
            except HTTPError as error:
                why = f"{error.code} {error.reason}"
                if error.code != HTTPStatus.TOO_MANY_REQUESTS and error.code < 500:
                    break
            except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
                why = str(getattr(error, "reason", None) or error)
            except json.JSONDecodeError:
                why = "what came is not JSON"
        raise CannotMeasure("backend_error", f"the judge at {self.url} did not answer: {why}")


def _first_probability(choice: Any) -> float | None:
    """Return the mass of yes against no at the first word, None when the endpoint gives none."""
    try:
        ranked = choice["logprobs"]["content"][0]["top_logprobs"]
    except (KeyError, IndexError, TypeError):
        return None
    yes = [each["logprob"] for each in ranked if each["token"].strip().lower() == "yes"]
    no = [each["logprob"] for each in ranked if each["token"].strip().lower() == "no"]
    if not yes and not no:
        return None
    floor = min(each["logprob"] for each in ranked)  # what is not among the best is at most this
    return yes_probability(np.array(yes or [floor]), np.array(no or [floor]))


class LocalJudge:
    """A vision-language network of transformers (Qwen3-VL and its like) in a local folder.

    Args:
        folder: With config, processor and weights.
        device: Torch device string.
    """

    def __init__(self, folder: Path, device: str) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        kind = torch.bfloat16 if device.startswith("cuda") else torch.float32
        self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True, dtype=kind
        )
        self._model = model.to(device).eval()
        self._device = device
        self.identity = f"network {folder_digest(folder)[:16]}, greedy, {MAX_TOKENS} tokens, {kind}"

    def answer(self, pictures: Sequence[bytes], question: str) -> Verdict:
        """Read the first word's logits, then its words."""
        import io

        import torch
        from PIL import Image

        images = [Image.open(io.BytesIO(each)).convert("RGB") for each in pictures]
        content = [{"type": "image", "image": each} for each in images]
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": question}]}]
        inputs = self._processor.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self._device)
        with torch.inference_mode():
            result = self._model.generate(
                **inputs,
                max_new_tokens=MAX_TOKENS,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        logits = result.logits[0][0].float().cpu().numpy()
        words = result.sequences[0, inputs["input_ids"].shape[1] :]
        text = self._processor.tokenizer.decode(words, skip_special_tokens=True)
        chances = yes_probability(logits[self._ids(YES)], logits[self._ids(NO)])
        return Verdict(text=text, yes=read_verdict(text), probability=chances)

    def _ids(self, spellings: Sequence[str]) -> list[int]:
        """Return the tokens that are a whole spelling; a word it does not know says nothing."""
        tokenizer = self._processor.tokenizer
        encoded = [tokenizer.encode(each, add_special_tokens=False) for each in spellings]
        whole = {ids[0] for ids in encoded if len(ids) == 1} - {tokenizer.unk_token_id}
        return sorted(whole) or [encoded[0][0]]


def folder_digest(folder: Path) -> str:
    """Return the sha256 over names and digests of a folder's files; digests are remembered."""
    memory = WeightFolder([folder])
    parts = [
        f"{path.relative_to(folder)} {memory.digest(path)}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".json", ".safetensors", ".txt", ".model", ".jinja")
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@lru_cache(maxsize=1)
def load_local(folder: Path, device: str) -> LocalJudge:
    """Return a local judge, kept for the life of the process."""
    return LocalJudge(folder, device)


def judge_name() -> str:
    """Return what decides a configured judge's answers, without loading it; '' when there is none.

    Raises:
        InputError: `JOYSTREAMER_JUDGE` cannot be read.
    """
    kind, where = _configured()
    if kind == "openai":
        model, _, url = where.rpartition("@")
        return EndpointJudge(model=model, url=url).identity
    return f"network {folder_digest(Path(where))[:16]}" if kind else ""


def open_judge(device: str) -> Judge:
    """Return the configured judge.

    Raises:
        CannotMeasure: None is configured.
        InputError: `JOYSTREAMER_JUDGE` cannot be read.
    """
    kind, where = _configured()
    if kind == "openai":
        model, _, url = where.rpartition("@")
        return EndpointJudge(model=model, url=url)
    if kind:
        return load_local(Path(where), device)
    raise CannotMeasure("no_backend", NO_JUDGE)


def _configured() -> tuple[str, str]:
    given = os.environ.get(JUDGE_VARIABLE, "")
    if not given:
        return "", ""
    kind, _, where = given.partition(":")
    if kind == "openai" and "@" in where and where.rpartition("@")[2].startswith("http"):
        return kind, where
    if kind == "transformers" and Path(where).is_dir():
        return kind, where
    raise InputError(
        f"{JUDGE_VARIABLE} is {given!r}: it must be openai:MODEL@URL with http(s), or "
        f"transformers: "
        "and a folder that exists"
    )


class VerdictCache:
    """Verdicts by the digest of judge, question and pictures.

    Args:
        folder: Where they are kept, one small file each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answer(self, judge: Judge, pictures: Sequence[bytes], question: str) -> Verdict:
        """Return the kept verdict, or ask and keep it."""
        parts = [judge.identity.encode(), question.encode(), *pictures]
        digests = "".join(hashlib.sha256(part).hexdigest() for part in parts)
        key = hashlib.sha256(digests.encode()).hexdigest()
        path = self._folder / key[:2] / f"{key}.json"
        if path.is_file():
            return Verdict(**json.loads(path.read_text(encoding="utf-8")))
        verdict = judge.answer(pictures, question)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(asdict(verdict), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return verdict
