"""One admin request, decoded as far as every handler needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs
from twisted.web.iweb import IRequest

from aigw.admin.answers import Refusal
from aigw.admin.body import check_size, parse, parse_object
from aigw.admin.preconditions import Preconditions
from aigw.model.fields import Id
from aigw.model.schema import check

MAX_PARAMETERS = 50


@attrs.frozen(kw_only=True)
class GroupParameter:
    """What a gateway group may be called: the same as any id."""

    gateway_group_id: Id


@attrs.frozen(kw_only=True)
class Call:
    """``group``: the gateway group it is about. ``query``: the first value of each query parameter."""

    group: str
    query: Mapping[str, str]
    preconditions: Preconditions
    body: bytes = attrs.field(repr=False)

    @classmethod
    def of(cls, request: IRequest, default_group: str) -> Call:
        """Decode a request. The query is read from its target: ``request.args`` may hold parts of a form body.

        :raises Refusal: 400 or 413.
        """
        query = _query(request.uri.partition(b"?")[2])
        group = query.get("gateway_group_id", default_group)
        complaints = check({"gateway_group_id": group}, GroupParameter).complaints
        if complaints:
            raise Refusal(400, "; ".join(map(str, complaints)))
        content = request.content.read()
        check_size(len(content))
        return cls(group=group, query=query, preconditions=Preconditions.of(request.requestHeaders), body=content)

    def document(self) -> dict[str, Any]:
        """The JSON object of the body."""
        return parse_object(self.body)

    def value(self) -> Any:
        """The JSON value of the body, whatever it is."""
        return parse(self.body)

    def flag(self, name: str) -> bool:
        """Is a query parameter ``true``?"""
        return self.query.get(name) == "true"

    def integer(self, name: str, most: int) -> int | None:
        """A query parameter as a whole number of 0 to ``most``; None if it isn't there.

        :raises Refusal: 400.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 12 and int(text) <= most):
            raise Refusal(400, f"invalid argument {name}: should be a number from 0 to {most}")
        return int(text)


def _query(query: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Refusal(400, f"over {MAX_PARAMETERS} query parameters") from None
    return dict(reversed(pairs))
