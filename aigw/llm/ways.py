"""In which dialect an instance is asked: the client's own if it can be, else one that a converter leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from aigw.dialects import DIALECTS
from aigw.dialects.body import Body
from aigw.dialects.converters import CONVERTERS
from aigw.dialects.converters.converter import Converter
from aigw.dialects.dialect import Dialect
from aigw.dialects.reasoning import NONE, Reasoning
from aigw.llm.config import Model
from aigw.llm.shaping import LIMIT_NAMES, Shape, shape_of
from aigw.providers.provider import Provider

PASSTHROUGH = "passthrough"

BY_NAME: Mapping[str, Dialect] = {dialect.name: dialect for dialect in DIALECTS}

ENDINGS: Mapping[str, str] = {
    "/chat/completions": "openai-chat",
    "/responses": "openai-responses",
    "/embeddings": "openai-embeddings",
    "/messages": "anthropic-messages",
    "/converse": "bedrock-converse",
    "/converse-stream": "bedrock-converse",
    ":predict": "vertex-predict",
}
"""What an endpoint's own path tells about the dialect that it takes."""


@attrs.frozen(kw_only=True, eq=False)
class Way:
    """How requests of one dialect reach an instance.

    ``dialect``: in which it is asked. ``converter``: from the client's to that one; None = it is the client's.
    ``shape``: what the instance changes in bodies. ``limiting``: the same, for requests with none of ``limits``: a
    length that the converter gave them is not the client's word. ``reasoning``: what the vendor does with it.
    """

    dialect: Dialect
    shape: Shape
    converter: Converter | None = None
    limiting: Shape | None = None
    limits: frozenset[str] = frozenset()
    reasoning: Reasoning = NONE

    def converted(self, request: Body, model: str) -> Body:
        """A client's request in the dialect in which the instance is asked; ``model`` as in `Converter.request`."""
        return request if self.converter is None else self.converter.request(request, model, self.reasoning)

    def shape_for(self, request: Body) -> Shape:
        """What the instance changes in the body of a client's request."""
        if self.limiting is not None and self.limits.isdisjoint(request.members):
            return self.limiting
        return self.shape


def way_to(model: Model, provider: Provider, conf: Any, dialect: str) -> Way | None:
    """How requests of a dialect reach an instance; None if they can't."""
    speaks = dialect == PASSTHROUGH or _speaks(model, provider, conf, dialect)
    if not speaks or provider.rather_converts(dialect, conf):
        for (client, spoken), converter in CONVERTERS.items():
            if client == dialect and _speaks(model, provider, conf, spoken):
                return _way(model, provider, conf, spoken, converter)
    return _way(model, provider, conf, dialect, None) if speaks else None


def _way(model: Model, provider: Provider, conf: Any, dialect: str, converter: Converter | None) -> Way:
    shape = shape_of(model, provider, dialect)
    reasoning = provider.reasoning_of(conf)
    way = Way(dialect=BY_NAME[dialect], shape=shape, converter=converter, reasoning=reasoning)
    if converter is None or shape.limit is None:
        return way
    names = LIMIT_NAMES.get(converter.client, frozenset({"max_tokens"}))
    return attrs.evolve(way, limiting=attrs.evolve(shape, force_limit=True), limits=names)


def _speaks(model: Model, provider: Provider, conf: Any, dialect: str) -> bool:
    """An endpoint whose path is one dialect's takes that one and no other, whatever else the vendor has."""
    path = urlsplit(model.override.endpoint or "").path.rstrip("/")
    only = next((spoken for ending, spoken in ENDINGS.items() if path.endswith(ending)), None)
    return provider.speaks(dialect, conf) if only is None else dialect == only
