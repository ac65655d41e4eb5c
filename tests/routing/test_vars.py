"""``vars`` expressions: APISIX's operators, and complaints that name the place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigw.routing.conditions import compile_networks, method_conditions, network_conditions
from aigw.routing.expression import compile_vars, vars_conditions
from aigw.routing.facts import Facts, parse_address

_FACTS = Facts(
    path="/v1/chat",
    host="gw.example.org",
    method="POST",
    remote_addr="::ffff:192.168.3.4",
    header={"x-model": "gpt-4o", "x-real-ip": "10.0.0.7", "x-long": "a" * 8193}.get,
    target=b"/v1/chat?name=json&age=20&neg=-1.5&exp=1e2&big=1" + b"0" * 30 + b"&word=ten&empty=&list=a,b",
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (["arg_name", "==", "json"], True),
        (["arg_name", "==", "JSON"], False),
        (["arg_name", "json"], True),
        (["arg_name", "xml"], False),
        (["arg_age", "==", 20], True),
        (["arg_age", "==", 20.0], True),
        (["arg_age", "==", "20.0"], False),
        (["arg_word", "==", 10], False),
        (["arg_none", "==", 0], False),
        (["arg_none", "==", None], True),
        (["arg_name", "==", None], False),
        (["arg_name", "~=", None], True),
        (["arg_none", "==", ""], False),
        (["arg_empty", "==", ""], True),
        (["arg_name", "~=", "xml"], True),
        (["arg_name", "~=", "json"], False),
        (["arg_none", "~=", "json"], True),
        (["arg_age", "~=", 20], False),
        (["arg_word", "~=", 20], True),
        (["arg_age", ">", 18], True),
        (["arg_age", ">", "18"], True),
        (["arg_age", ">", 20], False),
        (["arg_age", ">=", 20], True),
        (["arg_age", "<", 20], False),
        (["arg_age", "<=", 20], True),
        (["arg_neg", "<", -1], True),
        (["arg_exp", "==", 100], True),
        (["arg_big", ">", 10**29], True),
        (["arg_word", ">", 0], False),
        (["arg_none", "<", 1], False),
        (["arg_name", "~~", "^js"], True),
        (["arg_name", "~~", "^JS"], False),
        (["arg_name", "~*", "^JS"], True),
        (["arg_name", "~~", "so"], True),
        (["arg_none", "~~", ".*"], False),
        (["http_x_long", "~~", "a"], False),
        (["arg_name", "in", ["xml", "json"]], True),
        (["arg_name", "IN", ["json"]], True),
        (["arg_name", "in", []], False),
        (["arg_age", "in", [19, 20]], True),
        (["arg_age", "in", ["20"]], True),
        (["arg_none", "in", ["json"]], False),
        (["arg_list", "has", "a"], False),
        (["remote_addr", "ipmatch", "192.168.0.0/16"], True),
        (["remote_addr", "ipmatch", ["10.0.0.0/8", "192.168.3.4"]], True),
        (["remote_addr", "ipmatch", ["10.0.0.0/8"]], False),
        (["http_x_real_ip", "ipmatch", ["10.0.0.0/8", "::1"]], True),
        (["arg_name", "ipmatch", "0.0.0.0/0"], False),
        (["arg_none", "ipmatch", "0.0.0.0/0"], False),
        (["arg_name", "!", "==", "json"], False),
        (["arg_none", "!", "==", "json"], True),
        (["arg_name", "!", "~~", "^x"], True),
        (["arg_name", "!", "in", ["xml"]], True),
        (["request_method", "==", "POST"], True),
        (["unknown_thing", "==", None], True),
        (["OR", ["arg_name", "==", "xml"], ["arg_age", ">", 18]], True),
        (["or", ["arg_name", "==", "xml"], ["arg_age", ">", 20]], False),
        (["AND", ["arg_name", "==", "json"], ["arg_age", ">", 18]], True),
        (["AND", ["arg_name", "==", "json"], ["arg_age", ">", 20]], False),
        (["!AND", ["arg_name", "==", "json"], ["arg_age", ">", 20]], True),
        (["!OR", ["arg_name", "==", "xml"], ["arg_age", ">", 20]], True),
        (["!OR", ["arg_name", "==", "json"], ["arg_age", ">", 20]], False),
        (["!AND", ["arg_name", "==", "json"], ["OR", ["arg_age", ">", 30], ["arg_neg", "!", ">", 0]]], False),
        ([["arg_name", "==", "json"], ["arg_age", ">", 20]], False),
    ],
)
def test_operators(condition: list[Any], expected: bool) -> None:
    assert compile_vars([condition])(_FACTS) is expected


def test_all_must_hold() -> None:
    assert compile_vars([["arg_name", "==", "json"], ["arg_age", ">", 18]])(_FACTS)
    assert not compile_vars([["arg_name", "==", "json"], ["arg_age", ">", 28]])(_FACTS)


def test_logic_at_the_top() -> None:
    assert compile_vars(["OR", ["arg_name", "==", "xml"], ["arg_age", "==", 20]])(_FACTS)


def test_an_empty_expression_holds() -> None:
    assert compile_vars([])(_FACTS)
    assert vars_conditions([]) == ()


def _nested(depth: int) -> list[Any]:
    node: list[Any] = ["uri", "==", "/"]
    for _ in range(depth):
        node = [node]
    return node


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("arg_x == 1", 'vars: expected an array, got "arg_x == 1"'),
        ({"a": 1}, "vars: expected an array, got an object"),
        (["arg_k", "==", "v"], "vars: expected an array of conditions"),
        ([[]], "vars[0]: expected [variable, operator, value], got []"),
        ([["arg_k"]], "vars[0]: expected [variable, operator, value] or"),
        ([["arg_k", "=="]], "vars[0]: expected [variable, operator, value] or"),
        ([["arg_k", "==", "v", 1]], "vars[0]: expected [variable, operator, value] or"),
        ([["!", "arg_k", "==", "v"]], "vars[0]: expected [variable, operator, value] or"),
        ([["arg_k", "=", "v"]], 'vars[0][1]: expected one of == ~= > >= < <= ~~ ~* in has ipmatch, got "="'),
        ([["arg_k", 1, "v"]], "vars[0][1]: expected one of"),
        ([["arg_k", "!", "=", "v"]], "vars[0][2]: expected one of"),
        ([["arg_k", "==", True]], "vars[0][2]: expected a number, got true"),
        ([["arg_k", "==", ["v"]]], "vars[0][2]: expected a number, got an array"),
        ([["arg_k", ">", "v"]], 'vars[0][2]: expected a number, got "v"'),
        ([["arg_k", ">", 10**400]], "vars[0][2]: expected a number, got 1000"),
        ([["arg_k", "!", "<", None]], "vars[0][3]: expected a number, got null"),
        ([["uri", "==", "/"], ["arg_k", "~~", "("]], "vars[1][2]: not a regular expression: missing )"),
        ([["arg_k", "~~", 1]], "vars[0][2]: expected a regular expression"),
        ([["arg_k", "~~", "a" * 2049]], "vars[0][2]: expected a regular expression of at most 2048"),
        ([["arg_k", "~*", "a{99999999999}"]], "vars[0][2]: not a regular expression"),
        ([["arg_k", "~*", "(" * 1000 + ")" * 1000]], "vars[0][2]: not a regular expression"),
        ([["arg_k", "~~", "(?u)a"]], "vars[0][2]: not a regular expression"),
        ([["arg_k", "~~", "[[:alpha:]]+"]], "vars[0][2]: classes like"),
        ([["arg_k", "in", "v"]], 'vars[0][2]: expected an array, got "v"'),
        ([["arg_k", "in", ["v", None]]], "vars[0][2][1]: expected a number, got null"),
        ([["remote_addr", "ipmatch", "x"]], 'vars[0][2][0]: expected an IP address or CIDR, got "x"'),
        ([["remote_addr", "ipmatch", ["::1", ""]]], "vars[0][2][1]: expected an IP address or CIDR"),
        ([["remote_addr", "ipmatch", []]], "vars[0][2]: expected an IP address or CIDR"),
        ([["remote_addr", "ipmatch", [1]]], "vars[0][2]: expected an IP address or CIDR"),
        ([["OR", ["arg_k", "==", "v"]]], "vars[0]: OR needs two"),
        (["!AND"], "vars: !AND needs two"),
        ([["OR", ["arg_k", "==", "v"], "x"]], 'vars[0][2]: expected [variable, operator, value], got "x"'),
        ([["OR", ["arg_k", "==", "v"], ["AND", ["a", "b"], ["c", "?", 1]]]], "vars[0][2][2][1]: expected one of"),
        ([1], "vars[0]: expected [variable, operator, value], got 1"),
        (_nested(30), "nested more than 16 deep"),
    ],
)
def test_complaints_name_the_place(expression: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^vars") as caught:
        compile_vars(expression)
    assert complaint in str(caught.value)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["OR", "!", "==", "in"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=20,
)


@settings(deadline=None)
@given(_json)
def test_anything_is_compiled_or_refused(expression: Any) -> None:
    try:
        holds = compile_vars(expression)
    except ValueError:
        return
    assert holds(_FACTS) in (True, False)


@pytest.mark.parametrize(
    ("networks", "address", "inside"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.1.2.3/8"], "10.9.9.9", True),
        (["10.1.2.3"], "::ffff:10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "10.4.4.4", True),
        (["::ffff:10.1.2.3"], "10.1.2.3", True),
        (["::/0"], "10.1.2.3", False),
        (["0.0.0.0/0"], "::1", False),
        (["2001:db8::/32", "::1"], "2001:db8:1::", True),
        (["2001:db8::/32", "::1"], "::1", True),
        (["2001:db8::/32", "::1"], "::2", False),
        (["0.0.0.0/0"], "", False),
    ],
)
def test_networks(networks: list[str], address: str, inside: bool) -> None:
    assert compile_networks(networks, "remote_addrs")(parse_address(address)) is inside


def test_a_bad_network_is_named() -> None:
    with pytest.raises(ValueError, match=r'^remote_addrs\[1\]: expected an IP address or CIDR, got "x"'):
        network_conditions(["::1", "x"])


def test_no_methods_and_no_networks_are_no_conditions() -> None:
    assert method_conditions(frozenset()) == network_conditions(()) == ()
