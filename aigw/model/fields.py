"""Field types that several kinds of resource share."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from msgspec import Meta

ID = re.compile(r"[A-Za-z0-9\-_.]{1,64}")
ID_WORDS = "1 to 64 of letters, digits, - _ ."
Id = Annotated[str, Meta(pattern=f"^{ID.pattern}$", description=ID_WORDS)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Description = Annotated[str, Meta(max_length=256)]
Labels = dict[str, Annotated[str, Meta(min_length=1, max_length=256)]]
Plugins = dict[str, dict[str, Any]]
"""Plugin name -> configuration; each is checked against its plugin's own class (`aigw.plugins`)."""

Host = Annotated[str, Meta(pattern=r"^\*?[0-9a-zA-Z\-._\[\]:]+$", description="A host name; a leading * is a wildcard")]
Uri = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^/")]
Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"]
Address = Annotated[str, Meta(min_length=2, max_length=64, description="An IPv4/IPv6 address or CIDR")]

_SHELL_VARIABLE = re.compile(r"^\$(\w+|\{\w+\})$")


def shell_variable_hint(field: str, value: str) -> str | None:
    """What to say of a value that a shell should have expanded, with the quoting that works; else None."""
    if not _SHELL_VARIABLE.match(value):
        return None
    return (
        f"{value} looks like a shell variable that was not expanded (single quotes keep a shell from it);"
        f""" close the quotes around it: "{field}": "'"{value}"'\""""
    )


def check_address(field: str, value: str) -> None:
    """:raises ValueError: naming the field, if the value is no address and no network."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f'{field}: expected an IP address or CIDR, got "{value}"') from None
