"""Field types that several kinds share."""

from __future__ import annotations

import attrs
import pytest

from aigw.model.fields import Host, Id, Uri, check_address, shell_variable_hint
from aigw.model.schema import check


@attrs.frozen(kw_only=True)
class Fields:
    id: Id = "x"
    host: Host = "h"
    uri: Uri = "/"


@pytest.mark.parametrize("id", ["a", "A-z_0.9", "x" * 64, "..", "1"])
def test_an_id(id: str) -> None:
    assert check({"id": id}, Fields).complaints == []


@pytest.mark.parametrize("id", ["", "x" * 65, "a b", "a/b", "é", "a\n", "\na", "$SERVICE_ID", "a\x00"])
def test_no_id(id: str) -> None:
    assert [c.path for c in check({"id": id}, Fields).complaints] == [("id",)]


@pytest.mark.parametrize("host", ["example.com", "*.example.com", "127.0.0.1", "[::1]", "h:80", "EXAMPLE_x"])
def test_a_host(host: str) -> None:
    assert check({"host": host}, Fields).complaints == []


@pytest.mark.parametrize("host", ["", "*", "a b", "a/b", "a.*.b", "h\n"])
def test_no_host(host: str) -> None:
    assert check({"host": host}, Fields).complaints != []


@pytest.mark.parametrize("uri", ["", "a", "*", "x" * 5000, "/" + "x" * 4096])
def test_no_uri(uri: str) -> None:
    assert check({"uri": uri}, Fields).complaints != []


def test_a_shell_variable_that_was_not_expanded_is_seen_and_the_quoting_that_works_is_shown() -> None:
    hint = shell_variable_hint("service_id", "$SERVICE_ID")
    assert hint is not None
    assert '"service_id": "\'"$SERVICE_ID"\'"' in hint
    assert shell_variable_hint("service_id", "${SERVICE_ID}") is not None


@pytest.mark.parametrize("value", ["service", "$", "a$B", "$A-B", "$env://X", "${A", ""])
def test_anything_else_gets_no_hint(value: str) -> None:
    assert shell_variable_hint("service_id", value) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.0/8", "10.1.2.3/8", "::1", "fe80::/10", "0.0.0.0/0"])
def test_an_address(address: str) -> None:
    check_address("remote_addr", address)


@pytest.mark.parametrize("address", ["", "localhost", "1.2.3", "1.2.3.4/33", "::1/129", "1.2.3.4 ", "01.2.3.4"])
def test_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"^remote_addr: expected an IP address or CIDR, got "):
        check_address("remote_addr", address)
