"""OpenAI: chat, Responses, embeddings, models, and what is not JSON (audio, images, files, batches).

https://platform.openai.com/docs/api-reference, errors: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import attrs
from msgspec import Meta

from aigw.testing.requests import Received
from aigw.testing.vendors.chat_format import ChatFormat
from aigw.testing.vendors.checking import Complaint, Strict, checked, decoded
from aigw.testing.vendors.openai_files import FilesAPI
from aigw.testing.vendors.openai_responses import answer_response
from aigw.testing.vendors.scenario import Heard
from aigw.testing.vendors.vendor import CREATED, Answer, Refused, whole

KINDS = {401: "invalid_request_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}
MODELS = ("gpt-fake", "text-embedding-fake", "whisper-fake")
DIMENSIONS = 4


class EmbeddingsRequest(Strict):
    """The body of a request for embeddings: texts, or texts as tokens."""

    model: str
    input: Annotated[str, Meta(min_length=1)] | Annotated[list[Any], Meta(min_length=1, max_length=2048)]
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None

    def texts(self) -> list[Any]:
        """One for each vector.

        :raises Complaint: if they are not of one kind.
        """
        if isinstance(self.input, str) or isinstance(self.input[0], int):
            return [self.input]
        if not all(isinstance(item, str) and item for item in self.input) and not all(
            isinstance(item, list) and item for item in self.input
        ):
            raise Complaint("input", "invalid", "Expected texts or lists of tokens")
        return self.input


class OpenAI(FilesAPI):
    """The uploads are in ``files``."""

    provider = "openai"
    chat = ChatFormat(refusals=True, extra={"service_tier": "default", "system_fingerprint": None})
    routes: ClassVar[Sequence[tuple[str, str, str]]] = (
        ("POST", "/v1/chat/completions", "complete"),
        ("POST", "/v1/responses", "respond"),
        ("POST", "/v1/embeddings", "embed"),
        ("GET", "/v1/models", "list_models"),
        *FilesAPI.file_routes,
    )

    def complete(self, request: Received) -> Answer:
        """Chat."""
        return answered(self.chat.answer(self, body_of(request)))

    def respond(self, request: Received) -> Answer:
        """The Responses API."""
        return answered(answer_response(self, body_of(request)))

    def embed(self, request: Received) -> Answer:
        """Embeddings."""
        return answered(self.embedded(body_of(request)))

    def embedded(self, document: Any) -> Answer:
        """A vector for each text: how long it is, and its place among them, over and over."""
        asked, _ = checked(EmbeddingsRequest, document)
        texts = asked.texts()
        tokens = self.perform(Heard(model=asked.model)).tokens.prompt
        size = asked.dimensions or DIMENSIONS
        vectors = [([float(len(text)), float(n)] * size)[:size] for n, text in enumerate(texts)]
        data = [
            {"object": "embedding", "index": n, "embedding": _encoded(vector, asked.encoding_format)}
            for n, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return whole({"object": "list", "data": data, "model": asked.model, "usage": usage})

    def list_models(self, request: Received) -> Answer:
        """Which there are."""
        data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "fake"} for name in MODELS]
        return answered(whole({"object": "list", "data": data}))

    def refusal(self, refused: Refused) -> Answer:
        """OpenAI's error object."""
        if isinstance(refused, Complaint):
            refused = worded(refused)
        status = 503 if refused.status == 529 else refused.status
        kind = KINDS.get(status, "invalid_request_error")
        error = {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}
        return whole({"error": error}, status, {"x-request-id": "req_fake", **retry_after(refused)})


def answered(answer: Answer) -> Answer:
    """With the headers of OpenAI's answers."""
    own = {"x-request-id": "req_fake", "openai-version": "2020-10-01", "openai-processing-ms": "1"}
    limits = {"x-ratelimit-limit-requests": "5000", "x-ratelimit-remaining-requests": "4999"}
    return attrs.evolve(answer, headers={**answer.headers, **own, **limits})


def body_of(request: Received) -> Any:
    """The body, which has to be JSON and say so.

    :raises Refused: if it is not.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(400, "Invalid content type: expected application/json.")
    return decoded(request.body)


def worded(complaint: Complaint) -> Refused:
    """In OpenAI's words."""
    where = complaint.where
    if complaint.detail and complaint.problem == "json":
        return Refused(400, "We could not parse the JSON body of your request.")
    if complaint.problem == "missing":
        return _refused(f"Missing required parameter: '{where}'.", "missing_required_parameter", where)
    if complaint.problem == "unknown" and len(complaint.steps) == 1:
        return Refused(400, f"Unrecognized request argument supplied: {where}")
    if complaint.problem == "unknown":
        return _refused(f"Unknown parameter: '{where}'.", "unknown_parameter", where)
    return _refused(f"Invalid value for '{where}': {complaint.detail}.", "invalid_value", where)


def retry_after(refused: Refused) -> dict[str, str]:
    """The header, if there is something to say."""
    return {} if refused.retry_after is None else {"retry-after": str(refused.retry_after)}


def _refused(message: str, code: str, param: str) -> Refused:
    return Refused(400, message, code=code, param=param)


def _encoded(vector: list[float], encoding: str) -> Any:
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
