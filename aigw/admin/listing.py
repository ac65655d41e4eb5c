"""Which resources a list shows, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from aigw.admin.answers import Refusal
from aigw.admin.call import Call
from aigw.model.kinds import Kind
from aigw.model.snapshot import Resource

LEAST_PAGE_SIZE, MOST_PAGE_SIZE = 10, 500
MOST_PAGES = 10**9
FILTERS = ("name", "uri", "label")

_order = attrgetter("created_index", "id")


def ordered(resources: Iterable[Resource]) -> list[Resource]:
    """The one created first first."""
    return sorted(resources, key=_order)


def filters_of(call: Call) -> dict[str, str]:
    """``name`` and ``uri`` (substrings), ``label`` (``key`` or ``key:value``); an empty one lets everything through."""
    return {name: call.query[name] for name in FILTERS if call.query.get(name)}


def passes(kind: Kind, resource: Resource, filters: Mapping[str, str]) -> bool:
    """Do the filters let a resource through?"""
    document = resource.document
    return (
        ("name" not in filters or filters["name"] in (document.get("name") or ""))
        and ("uri" not in filters or any(filters["uri"] in uri for uri in _uris(kind, document)))
        and ("label" not in filters or _labelled(document.get("labels") or {}, filters["label"]))
    )


def page_of(resources: Sequence[Resource], call: Call) -> Sequence[Resource]:
    """The page that ``page`` (from 1) and ``page_size`` (10..500) ask for; all, if neither is there.

    :raises Refusal: 400.
    """
    page, size = call.integer("page", MOST_PAGES), call.integer("page_size", MOST_PAGES)
    if page is None and size is None:
        return resources
    size = LEAST_PAGE_SIZE if size is None else size
    if not LEAST_PAGE_SIZE <= size <= MOST_PAGE_SIZE:
        raise Refusal(400, f"page_size must be between {LEAST_PAGE_SIZE} and {MOST_PAGE_SIZE}")
    start = (max(page or 1, 1) - 1) * size
    return resources[start : start + size]


def _uris(kind: Kind, document: Any) -> Iterator[str]:
    for field in kind.uri_fields:
        value = document.get(field)
        yield from [value] if isinstance(value, str) else value or ()


def _labelled(labels: dict[str, str], wanted: str) -> bool:
    key, colon, value = wanted.partition(":")
    return wanted in labels or bool(colon and labels.get(key) == value)
