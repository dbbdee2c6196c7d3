"""Language models that a planner may ask: an OpenAI-compatible endpoint, or Qwen3-VL on this machine.

Both answer a question about a picture. Keys come from the environment only, and nothing is loaded
or contacted before the first question.
"""

import base64
import io
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from joystreamer.errors import InputError, JoyStreamerError, MissingWeights

KEY_VARIABLES = ("JOYSTREAMER_PLANNER_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the endpoint's key, first one first."""

QWEN = "Qwen/Qwen3-VL-8B-Instruct"
"""Local model used unless another is named; the paper uses the 32B one of the same family."""

_TIMEOUT_SECONDS = 120
_LONGEST_SIDE = 768
_ANSWER_TOKENS = 1024


class EndpointPlanner:
    """Asks an OpenAI-compatible `/chat/completions` endpoint (also vLLM, Ollama, llama.cpp).

    Args:
        url: Address up to and including `/v1`.
        model: Model name that the server knows.
        sees: Whether the picture is sent.
    """

    def __init__(self, url: str, model: str, *, sees: bool = True) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(
                f"planner address {url!r} came; it must begin with http:// or https://"
            )
        self.url, self.model, self.sees = url.rstrip("/"), model, sees
        self.name = f"endpoint:{model}"

    def ask(self, question: str, image: NDArray[np.uint8] | None) -> str:
        """The model's answer.

        Raises:
            JoyStreamerError: The server cannot be reached, refuses, or answers in another form.
        """
        content: list[dict[str, Any]] = [{"type": "text", "text": question}]
        if image is not None and self.sees:
            content.append({"type": "image_url", "image_url": {"url": _data_url(image)}})
        body = {"model": self.model, "messages": [{"role": "user", "content": content}]}
        headers = {"Content-Type": "application/json"}
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            f"{self.url}/chat/completions", json.dumps(body).encode(), headers
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:
                answer = json.load(reply)["choices"][0]["message"]["content"]
        except (OSError, urllib.error.URLError) as error:
            raise JoyStreamerError(f"the planner at {self.url} did not answer: {error}") from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise JoyStreamerError(
                f"the planner at {self.url} answered in another form than chat completions"
            ) from error
        return str(answer)


class QwenPlanner:
    """Runs Qwen3-VL (or any image-text-to-text model) through transformers.

    Args:
        source: Folder or hub name of the weights.
        device: Where it runs.
    """

    def __init__(self, source: str | Path = QWEN, device: str = "cpu") -> None:
        self.source, self.device = source, device
        self.name = f"qwen:{Path(source).name}"
        self._loaded: tuple[Any, Any] | None = None

    def ask(self, question: str, image: NDArray[np.uint8] | None) -> str:
        """The model's answer, decoded greedily.

        Raises:
            MissingWeights: The weights are not on this machine.
        """
        processor, model = self._load()
        content: list[dict[str, Any]] = [{"type": "text", "text": question}]
        if image is not None:
            content.insert(0, {"type": "image", "image": Image.fromarray(image)})
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        ).to(model.device)  # fmt: skip
        made = model.generate(**inputs, max_new_tokens=_ANSWER_TOKENS, do_sample=False)
        new = made[:, inputs["input_ids"].shape[1] :]
        return str(processor.batch_decode(new, skip_special_tokens=True)[0])

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModelForImageTextToText, AutoProcessor

            try:
                processor = AutoProcessor.from_pretrained(self.source)
                model = AutoModelForImageTextToText.from_pretrained(self.source, dtype="auto")
            except OSError as error:
                raise MissingWeights(
                    f"the planner network '{self.source}' is not on this machine and could not be "
                    "fetched; name a folder that holds it, or use the rules or an endpoint"
                ) from error
            self._loaded = processor, model.eval().to(self.device)
        return self._loaded


def _data_url(image: NDArray[np.uint8]) -> str:
    """The picture as a JPEG data address, at most 768 pixels on its longer side."""
    picture = Image.fromarray(image)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
