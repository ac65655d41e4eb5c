"""The catalogue of plugins. A new one is a file beside these (its configuration and its behaviour) and a line below."""

from __future__ import annotations

from collections.abc import Mapping

from aigw.pipeline import Plugin
from aigw.plugins.ai_proxy import AIProxy
from aigw.plugins.ai_proxy_multi import AIProxyMulti
from aigw.plugins.proxy_buffering import ProxyBuffering

CATALOGUE: Mapping[str, type[Plugin]] = {plugin.name: plugin for plugin in (AIProxy, AIProxyMulti, ProxyBuffering)}
CONFIGS: Mapping[str, type] = {name: plugin.Config for name, plugin in CATALOGUE.items()}
