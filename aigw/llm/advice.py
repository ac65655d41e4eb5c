"""What may not mean what the author of a valid model configuration thinks."""

from __future__ import annotations

from collections.abc import Iterator

from aigw.llm.config import PluginFields, Transport


def advise_on(config: Transport | PluginFields) -> Iterator[str]:
    """One sentence each, beginning with the field."""
    if getattr(config, "checks", None):
        yield "checks.active: accepted, but instances are judged by the requests they get; no probes are sent"
    if isinstance(config, PluginFields) and config.logging.payloads:
        yield "logging.payloads: accepted, but payloads are never logged"
