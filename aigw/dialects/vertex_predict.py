"""Vertex AI's ``:predict`` as its text embedding models have it. Only providers speak it; it never streams.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api: ``instances`` in,
``predictions`` out, each of which tells the tokens of its own text.
"""

from __future__ import annotations

from typing import Any, ClassVar

from aigw.dialects.body import Body
from aigw.dialects.passthrough import Passthrough
from aigw.dialects.rawjson import object_of
from aigw.dialects.usage import Usage, record


class VertexPredict(Passthrough):
    """``instances`` in, vectors out."""

    name: ClassVar[str] = "vertex-predict"

    def matches(self, path: str, body: Body) -> bool:
        """No client: its URL names a project and a region, which are the instance's."""
        return False

    def streams(self, body: Body, path: str = "") -> bool:
        """Never."""
        return False

    def body_usage(self, raw: bytes, usage: Usage) -> None:
        """The sum of ``predictions[].embeddings.statistics.token_count``."""
        tokens = tokens_of(object_of(raw).get("predictions"))
        if tokens:
            record(usage, {"prompt_tokens": tokens})


def tokens_of(predictions: Any) -> int:
    """The tokens that predictions tell, 0 for those that don't; some models tell them as 7.0."""
    return sum(map(_tokens, predictions)) if isinstance(predictions, list) else 0


def _tokens(prediction: Any) -> int:
    for name in ("embeddings", "statistics", "token_count"):
        prediction = prediction.get(name) if isinstance(prediction, dict) else None
    return int(prediction) if type(prediction) in (int, float) and 0 <= prediction <= _MOST else 0


_MOST = 2**53
"""Counts past what a double holds exactly are no token counts."""
