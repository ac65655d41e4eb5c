"""What may not mean what the author of a valid model configuration thinks."""

from __future__ import annotations

from collections.abc import Iterator

from aigw.llm.config import Model, PluginFields, Transport
from aigw.model.schema import check
from aigw.providers import PROVIDERS


def advise_on(config: Transport | PluginFields) -> Iterator[str]:
    """One sentence each, beginning with the field."""
    if getattr(config, "checks", None):
        yield "checks.active: accepted, but instances are judged by the requests they get; no probes are sent"
    if isinstance(config, PluginFields) and config.logging.payloads:
        yield "logging.payloads: accepted, but payloads are never logged"
    if isinstance(config, Model):
        yield from _advise_on_conf(config)


def _advise_on_conf(model: Model) -> Iterator[str]:
    """The members of ``provider_conf`` that the vendor has no use for."""
    kind = PROVIDERS[model.provider].conf
    if kind is None:
        for name in model.provider_conf:
            yield f"provider_conf.{name}: means nothing to provider {model.provider}"
    else:
        for complaint in check(model.provider_conf, kind).unknown:
            yield f"provider_conf.{complaint}"
