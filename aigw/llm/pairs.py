"""The tables of ``docs/dialects.rst``: ``python -m aigw.llm.pairs``. They say what `way_to` does, by asking it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from aigw.llm.config import Auth, Model, Override, conf_of
from aigw.llm.ways import way_to
from aigw.providers import PROVIDERS

SHORT: Mapping[str, str] = {
    "openai-chat": "chat",
    "openai-responses": "responses",
    "openai-embeddings": "embeddings",
    "anthropic-messages": "messages",
    "anthropic-count-tokens": "count_tokens",
    "bedrock-converse": "converse",
    "vertex-predict": "predict",
}
"""What the table calls the dialects."""

CLIENTS = tuple(name for name in SHORT if name != "vertex-predict")
"""Those that clients speak, but for what is passed through."""

NEEDED: Mapping[str, Mapping[str, Any]] = {
    "vertex-ai": {"project_id": "project", "region": "region"},
    "azure-openai": {"resource": "resource", "deployment": "deployment"},
    "bedrock": {"region": "region"},
}
"""A ``provider_conf`` for those that can't do without one."""

VARIANTS: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    ("anthropic", "``native: true``", {"native": True}),
    ("openai-compatible", "``dialects``: chat", {"dialects": ["openai-chat"]}),
    (
        "openai-compatible",
        "``dialects``: chat, messages, count_tokens",
        {"dialects": ["openai-chat", "anthropic-messages", "anthropic-count-tokens"]},
    ),
)
"""Configurations that change the picture."""


def pairs() -> str:
    """Each client's dialect at each provider: native, converted to which dialect, or refused."""
    rows = [["", *(SHORT[name] for name in CLIENTS)]]
    rows += [[f"``{name}``", *_cells(name, NEEDED.get(name, {}))] for name in PROVIDERS]
    rows += [[f"``{name}``, {what}", *_cells(name, conf)] for name, what, conf in VARIANTS]
    return simple_table(rows)


def vendors() -> str:
    """Each provider: where it is by default, and the members of its ``provider_conf``."""
    rows = [["", "default upstream", "provider_conf"]]
    for name, provider in PROVIDERS.items():
        base = provider.base_of(conf_of(_model(name, NEEDED.get(name, {}))))
        conf = () if provider.conf is None else attrs.fields(provider.conf)
        fields = ", ".join(f"``{field.name}``" for field in conf)
        rows.append([f"``{name}``", "none" if base is None else base.removeprefix("https://"), fields])
    return simple_table(rows)


def simple_table(rows: Sequence[Sequence[str]]) -> str:
    """A simple table of reStructuredText; the first row is its head, an empty cell a dash."""
    cells = [[cell or ("\\-" if nth else "..") for nth, cell in enumerate(row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def _model(provider: str, conf: Mapping[str, Any]) -> Model:
    endpoint = None if PROVIDERS[provider].base else "http://server"
    return Model(provider=provider, auth=Auth(), provider_conf=dict(conf), override=Override(endpoint=endpoint))


def _cells(provider: str, conf: Mapping[str, Any]) -> Iterator[str]:
    model = _model(provider, conf)
    for dialect in CLIENTS:
        way = way_to(model, PROVIDERS[provider], conf_of(model), dialect)
        yield "" if way is None else "native" if way.converter is None else f"as {SHORT[way.dialect.name]}"


if __name__ == "__main__":
    sys.stdout.write(f"{pairs()}\n\n{vendors()}\n")
