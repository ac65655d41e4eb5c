"""The plugins there are, and what holds for each of them."""

from __future__ import annotations

import pkgutil

import pytest

import aigw.plugins
from aigw.model.schema import check, json_schema
from aigw.pipeline import Plugin
from aigw.plugins import CATALOGUE, CONFIGS

PRIORITIES = {"proxy-buffering": 21991, "ai-proxy-multi": 1041, "ai-proxy": 1040}
"""As in APISIX, so that a chain of plugins is in the same order there and here."""


def test_all_of_them() -> None:
    assert {name: plugin.priority for name, plugin in CATALOGUE.items()} == PRIORITIES
    assert {name: plugin.Config for name, plugin in CATALOGUE.items()} == CONFIGS
    assert all(plugin.name == name for name, plugin in CATALOGUE.items())


def test_every_file_is_in_the_catalogue() -> None:
    files = {module.name for module in pkgutil.iter_modules(aigw.plugins.__path__)}
    assert {name.replace("-", "_") for name in CATALOGUE} == files


@pytest.mark.parametrize("plugin", CATALOGUE.values(), ids=list(CATALOGUE))
def test_each_describes_itself(plugin: type[Plugin]) -> None:
    schema = json_schema(plugin.Config)
    properties = schema["$defs"][plugin.Config.__name__]["properties"]
    assert properties
    assert all(name in properties for name in schema["$defs"][plugin.Config.__name__].get("required", []))


@pytest.mark.parametrize("plugin", CATALOGUE.values(), ids=list(CATALOGUE))
@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_each_is_configured_with_an_object(plugin: type[Plugin], document: object) -> None:
    (complaint,) = check(document, plugin.Config).complaints
    assert str(complaint).startswith("expected an object")
