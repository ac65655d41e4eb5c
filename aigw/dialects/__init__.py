"""The dialects that clients and providers speak: what a body is, what a stream means. No Twisted, no I/O, no clock."""

from __future__ import annotations

import functools

from aigw.dialects.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from aigw.dialects.bedrock_converse import BedrockConverse
from aigw.dialects.body import Body
from aigw.dialects.dialect import Dialect
from aigw.dialects.openai_chat import OpenAIChat
from aigw.dialects.openai_embeddings import OpenAIEmbeddings
from aigw.dialects.openai_responses import OpenAIResponses
from aigw.dialects.passthrough import Passthrough
from aigw.dialects.vertex_predict import VertexPredict

DIALECTS: tuple[Dialect, ...] = (
    OpenAIResponses(),
    AnthropicMessages(),
    AnthropicCountTokens(),
    BedrockConverse(),
    OpenAIChat(),
    OpenAIEmbeddings(),
    VertexPredict(),
    Passthrough(),
)
"""In the order in which they are asked; the last one takes everything."""


def detect(path: str, body: Body) -> Dialect:
    """The dialect of a request, by its path (percent-decoded, no query) and its body."""
    for dialect in _at(path):
        if dialect.matches(path, body):
            return dialect
    raise AssertionError("the last one takes everything")


@functools.lru_cache(maxsize=256)
def _at(path: str) -> tuple[Dialect, ...]:
    """Those that requests to this path can be in."""
    return tuple(dialect for dialect in DIALECTS if not dialect.endings or path.endswith(dialect.endings))
