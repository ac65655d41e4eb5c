"""OpenAI's embeddings in front of Vertex AI's text embedding models.

https://platform.openai.com/docs/api-reference/embeddings/create and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api.

``dimensions`` becomes ``outputDimensionality``. ``encoding_format: base64`` (OpenAI's SDKs ask for it by default) is
done here: little-endian float32. Texts too long are an error of the provider, as with OpenAI, not cut off
(``autoTruncate: false``). Dropped: ``user``, which OpenAI documents as help against abuse of its own. Refused: token
arrays, which mean something to OpenAI's tokenizers only.
"""

from __future__ import annotations

import math
from array import array
from base64 import b64encode
from sys import byteorder
from typing import Any, ClassVar

from aigw.dialects.body import Body
from aigw.dialects.converters.converter import ConvertedStream
from aigw.dialects.rawjson import encode, object_of
from aigw.dialects.reasoning import NONE, Reasoning
from aigw.dialects.vertex_predict import tokens_of
from aigw.errors import BadRequest, Unconvertible, UpstreamBadReply

MOST_INPUTS = 2048
"""In one request (OpenAI's limit; Vertex AI's models take 250 at most, gemini-embedding-001 one)."""

_CARRIED = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_TOLD_LIMIT = 500


class OpenAIEmbeddingsToVertexPredict:
    """A `Converter`; neither side streams."""

    client: ClassVar[str] = "openai-embeddings"
    provider: ClassVar[str] = "vertex-predict"

    def request(self, request: Body, model: str, reasoning: Reasoning = NONE) -> Body:
        """The model is in the URL."""
        for name in request.members:
            if name not in _CARRIED and request.type_of(name) != "null":
                raise Unconvertible(f"{name}: Vertex AI has nothing like it", param=name)
        _wants_base64(request)
        parameters: dict[str, Any] = {"autoTruncate": False}
        dimensions = request.get("dimensions")
        if dimensions is not None:
            if type(dimensions) is not int or dimensions < 1:
                raise BadRequest("dimensions: expected an integer of 1 or more", param="dimensions")
            parameters["outputDimensionality"] = dimensions
        instances = [{"content": text} for text in _texts(request.get("input"))]
        return Body.parse(encode({"instances": instances, "parameters": parameters}))

    def answer(self, request: Body, raw: bytes, now: int) -> bytes:
        """The vectors in the order of the texts."""
        predictions = object_of(raw).get("predictions")
        if not isinstance(predictions, list):
            raise UpstreamBadReply("the upstream's answer has no predictions")
        if len(predictions) != len(_texts(request.get("input"))):
            raise UpstreamBadReply("the upstream's answer has not as many predictions as there were texts")
        told = _base64 if _wants_base64(request) else array.tolist
        tokens = tokens_of(predictions)
        answer = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": told(_vector(prediction))}
                for index, prediction in enumerate(predictions)
            ],
            "model": _model(request),
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return encode(answer)

    def error(self, status: int, raw: bytes) -> bytes:
        """Google's error (https://cloud.google.com/apis/design/errors#http_mapping) as OpenAI's."""
        told = object_of(raw).get("error")
        told = told if isinstance(told, dict) else {}
        message, code = told.get("message"), told.get("status")
        if not isinstance(message, str) or not message:
            message = f"the upstream answered with status {status}"
        kind = "invalid_request_error" if 400 <= status < 500 else "server_error"
        code = code if isinstance(code, str) else None
        return encode({"error": {"message": message[:_TOLD_LIMIT], "type": kind, "code": code, "param": None}})

    def stream(self, request: Body, now: int) -> ConvertedStream:
        """There are none.

        :raises UpstreamBadReply: always.
        """
        raise UpstreamBadReply("the upstream answered with a stream, which embeddings never are")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise BadRequest("input: expected a string or an array of strings", param="input")
    if len(value) > MOST_INPUTS:
        raise BadRequest(f"input: expected {MOST_INPUTS} texts at most", param="input")
    if type(value[0]) is int:
        raise _tokens("input")
    for index, text in enumerate(value):
        if isinstance(text, list):
            raise _tokens(f"input[{index}]")
        if not isinstance(text, str):
            raise BadRequest(f"input[{index}]: expected a string", param=f"input[{index}]")
    return value


def _tokens(where: str) -> Unconvertible:
    return Unconvertible(f"{where}: token arrays mean nothing to Vertex AI; send the text", param=where)


def _wants_base64(request: Body) -> bool:
    wanted = request.get("encoding_format")
    if wanted not in (None, "float", "base64"):
        raise BadRequest('encoding_format: expected "float" or "base64"', param="encoding_format")
    return bool(wanted == "base64")


def _vector(prediction: Any) -> array[float]:
    embeddings = prediction.get("embeddings") if isinstance(prediction, dict) else None
    values = embeddings.get("values") if isinstance(embeddings, dict) else None
    try:
        vector = array("d", values if isinstance(values, list) else "?")
    except (TypeError, OverflowError):
        raise UpstreamBadReply("the upstream's answer has a prediction without a vector") from None
    return _finite(vector)


def _base64(vector: array[float]) -> str:
    floats = _finite(array("f", vector))
    if byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode("ascii")


def _finite(vector: array[float]) -> array[float]:
    if not math.isfinite(sum(vector)):
        raise UpstreamBadReply("the upstream's answer has a vector with a component that is too large")
    return vector


def _model(request: Body) -> str:
    model = request.get("model")
    return model if isinstance(model, str) else ""
