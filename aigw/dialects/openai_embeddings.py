"""OpenAI's embeddings: https://platform.openai.com/docs/api-reference/embeddings/create. It never streams."""

from __future__ import annotations

from typing import ClassVar

from aigw.dialects.body import Body
from aigw.dialects.passthrough import Passthrough


class OpenAIEmbeddings(Passthrough):
    """``input`` in, vectors out; usage knows prompt tokens only."""

    name: ClassVar[str] = "openai-embeddings"

    def matches(self, path: str, body: Body) -> bool:
        """An ``input`` (chats, which may have one as well, come before), but not of OpenAI's other APIs with one.

        Speech, moderations and others say by their path below ``/v1/`` that they are none.
        """
        return "input" in body and (path.endswith("/embeddings") or "/v1/" not in path)

    def streams(self, body: Body, path: str = "") -> bool:
        """Never."""
        return False
