"""Vertex AI (https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest): chat through its OpenAI endpoint
(.../docs/migrate/openai/overview), embeddings through ``:predict``.

Hosts (https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations): one of each region, one of the multi-
regions ``us`` and ``eu``, and one that is global. The model of a chat has its publisher in its name
(``google/gemini-2.5-flash``), that of embeddings has not (``gemini-embedding-001``).
"""

from __future__ import annotations

from typing import Annotated

import attrs
from msgspec import Meta

from aigw.providers.provider import Provider

_LOCATION = "/v1/projects/{conf.project_id}/locations/{conf.region}"


@attrs.frozen(kw_only=True)
class VertexConf:
    """``project_id``: its id or number, with the domain before a colon that old ones have."""

    project_id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.:-]{0,99}$")]
    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,50}$", description="such as us-central1")] = "global"

    @property
    def host(self) -> str:
        """The host that serves the region."""
        if self.region == "global":
            return "aiplatform.googleapis.com"
        if self.region in ("us", "eu"):
            return f"aiplatform.{self.region}.rep.googleapis.com"
        return f"{self.region}-aiplatform.googleapis.com"


PROVIDER = Provider(
    name="vertex-ai",
    base="https://{conf.host}",
    paths={
        "openai-chat": f"{_LOCATION}/endpoints/openapi/chat/completions",
        "vertex-predict": f"{_LOCATION}/publishers/google/models/{{model}}:predict",
    },
    max_tokens={"openai-chat": "max_completion_tokens"},
    conf=VertexConf,
    signs="gcp",
)
