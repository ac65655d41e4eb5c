"""From the dialect of a client to that of a provider: only the pairs that are supported, one file each, named after it.
Where two of them meet in chat completions, they are one more pair.

No Twisted, no I/O, no clock. A pair that is not here is refused (``unsupported_dialect``).
"""

from __future__ import annotations

from collections.abc import Mapping

from aigw.dialects.converters.anthropic_messages_to_openai_chat import AnthropicMessagesToOpenAIChat
from aigw.dialects.converters.chained import Chained
from aigw.dialects.converters.converter import Converter
from aigw.dialects.converters.openai_chat_to_anthropic_messages import OpenAIChatToAnthropicMessages
from aigw.dialects.converters.openai_chat_to_bedrock_converse import OpenAIChatToBedrockConverse
from aigw.dialects.converters.openai_embeddings_to_vertex_predict import OpenAIEmbeddingsToVertexPredict
from aigw.dialects.converters.openai_responses_to_openai_chat import OpenAIResponsesToOpenAIChat
from aigw.dialects.openai_chat import OpenAIChat

_TO_CHAT: tuple[Converter, ...] = (AnthropicMessagesToOpenAIChat(), OpenAIResponsesToOpenAIChat())
_FROM_CHAT: tuple[Converter, ...] = (OpenAIChatToAnthropicMessages(), OpenAIChatToBedrockConverse())
_CHAT = OpenAIChat()

_ALL: tuple[Converter, ...] = (
    *_TO_CHAT,
    *_FROM_CHAT,
    OpenAIEmbeddingsToVertexPredict(),
    *(Chained(to, _CHAT, away) for to in _TO_CHAT for away in _FROM_CHAT if to.client != away.provider),
)
"""The first one that leads to what a provider speaks is used, so those in one step come before those in two."""

CONVERTERS: Mapping[tuple[str, str], Converter] = {(c.client, c.provider): c for c in _ALL}
"""By (dialect of the client, dialect of the provider)."""
