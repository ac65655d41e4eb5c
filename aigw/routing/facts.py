"""What a request is matched by, and the names that ``vars`` expressions have for it.

Cheap to make: whatever only some routes ask for (the query, cookies, the address as a number) is worked out when one
does, and then kept.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

import attrs

from aigw.routing.target import origin_form

Address = tuple[int, int]
"""(4 or 6, the address as a number); an IPv4 address mapped into IPv6 is the IPv4 address."""

_LONGEST_ADDRESS = 64


def parse_address(text: str) -> Address | None:
    """The number of an address, or None if ``text`` is not one (a Unix socket's peer has none)."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)


def _no_header(name: str) -> str | None:
    return None


@attrs.define(kw_only=True, eq=False)
class Facts:
    """One request. Not frozen, for one is made per request and freezing costs more than all the rest of it.

    ``path``: by `aigw.routing.target.normalise`. ``host``: by `aigw.routing.target.host_of`. ``method``: as sent.
    ``remote_addr``: the client's address. ``header``: from a lower-case header name to its value, or None; several
    fields of a name as one, joined by ``", "``. ``target``: the request target as sent.
    """

    path: str
    host: str = ""
    method: str = "GET"
    remote_addr: str = ""
    header: Callable[[str], str | None] = _no_header
    target: bytes = b""
    scheme: str = "http"

    @functools.cached_property
    def address(self) -> Address | None:
        """The client's address as a number."""
        return parse_address(self.remote_addr)

    @functools.cached_property
    def request_uri(self) -> str:
        """Path and query as sent, nothing decoded."""
        return origin_form(self.target).decode("latin-1")

    @property
    def query(self) -> str:
        """The query as sent, without its question mark."""
        return self.request_uri.partition("?")[2]

    @functools.cached_property
    def arguments(self) -> Mapping[str, str]:
        """The query's arguments, decoded; the first of several with one name."""
        found: dict[str, str] = {}
        for pair in self.query.split("&"):
            name, _, value = pair.partition("=")
            if name:
                found.setdefault(_unquoted(name), _unquoted(value))
        return found

    @functools.cached_property
    def cookies(self) -> Mapping[str, str]:
        """Cookies by name, as sent; the first of several with one name."""
        found: dict[str, str] = {}
        for pair in (self.header("cookie") or "").split(";"):
            name, equals, value = pair.partition("=")
            if equals:
                found.setdefault(name.strip(), value.strip())
        return found


Value = str | None
Variable = Callable[[Facts], Value]

_VARIABLES: Mapping[str, Variable] = {
    "uri": lambda facts: facts.path,
    "request_uri": lambda facts: facts.request_uri,
    "request_method": lambda facts: facts.method,
    "host": lambda facts: facts.host,
    "remote_addr": lambda facts: facts.remote_addr,
    "scheme": lambda facts: facts.scheme,
    "args": lambda facts: facts.query,
    "query_string": lambda facts: facts.query,
    "content_type": lambda facts: facts.header("content-type"),
    "content_length": lambda facts: facts.header("content-length"),
}


def variable(name: str) -> Variable:
    """What reads the variable of this name, as nginx and APISIX call it; an unknown one is None in every request.

    ``arg_x``: the argument ``x`` of the query. ``http_x_y``: the header ``X-Y``. ``cookie_x``: the cookie ``x``.
    """
    kind, underscore, rest = name.partition("_")
    if underscore and kind == "arg":
        return lambda facts: facts.arguments.get(rest)
    if underscore and kind == "cookie":
        return lambda facts: facts.cookies.get(rest)
    if underscore and kind == "http":
        header = rest.lower().replace("_", "-")
        return lambda facts: facts.header(header)
    return _VARIABLES.get(name, lambda facts: None)


def _unquoted(text: str) -> str:
    return unquote_plus(text, errors="replace")
