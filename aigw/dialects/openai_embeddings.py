"""OpenAI's embeddings: https://platform.openai.com/docs/api-reference/embeddings/create. It never streams."""

from __future__ import annotations

from typing import ClassVar

from aigw.dialects.body import Body
from aigw.dialects.passthrough import Passthrough


class OpenAIEmbeddings(Passthrough):
    """``input`` in, vectors out; usage knows prompt tokens only."""

    name: ClassVar[str] = "openai-embeddings"

    def matches(self, path: str, body: Body) -> bool:
        """An ``input`` (chats, which may have one as well, come before)."""
        return "input" in body

    def streams(self, body: Body, path: str = "") -> bool:
        """Never."""
        return False
