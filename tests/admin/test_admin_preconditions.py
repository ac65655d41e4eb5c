"""If-Match and If-None-Match keep administrators from undoing each other's work."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.http_headers import Headers

from aigw.admin.answers import Refusal
from aigw.admin.preconditions import Preconditions


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "revision", "holds"),
    [
        (None, None, 3, True),
        (None, None, None, True),
        (['"3"'], None, 3, True),
        (['"2", "3"'], None, 3, True),
        (['"2"', '"3"'], None, 3, True),
        (["*"], None, 3, True),
        (["*"], None, None, False),
        (['"2"'], None, 3, False),
        (['W/"3"'], None, 3, False),
        (["3"], None, 3, False),
        ([""], None, 3, False),
        (['"33"'], None, 3, False),
        (['"3"'], None, None, False),
        (None, ["*"], None, True),
        (None, ["*"], 3, False),
        (None, ['"3"'], 3, False),
        (None, ['W/"3"'], 3, False),
        (None, ['"2"'], 3, True),
        (['"3"'], ['"3"'], 3, False),
    ],
)
def test_table(if_match: Any, if_none_match: Any, revision: int | None, holds: bool) -> None:
    given = {b"If-Match": if_match, b"If-None-Match": if_none_match}
    preconditions = Preconditions.of(Headers({name: values for name, values in given.items() if values is not None}))
    if holds:
        preconditions.check(revision)
    else:
        with pytest.raises(Refusal) as caught:
            preconditions.check(revision)
        assert caught.value.answer.status == 412


@pytest.mark.parametrize(("method", "body"), [("PUT", {}), ("PATCH", {"desc": "d"}), ("DELETE", None)])
def test_a_lost_update_is_refused(face: Any, method: str, body: Any) -> None:
    seen = face.ask("PUT", "/services/s", {}).headers["etag"]
    face.ask("PUT", "/services/s", {"desc": "by somebody else"})
    refused = face.ask(method, "/services/s", body, headers={"If-Match": seen})
    assert (refused.status, refused.error) == (412, 'If-Match does not hold: the object is at revision "2"')
    assert face.ask(method, "/services/s", body, headers={"If-Match": '"2"'}).status == 200


def test_create_only(face: Any) -> None:
    only = {"If-None-Match": "*"}
    assert face.ask("PUT", "/services/s", {}, headers=only).status == 201
    assert face.ask("PUT", "/services/s", {}, headers=only).status == 412
    assert face.ask("PUT", "/services", {"id": "s"}, headers=only).status == 412


def test_replace_only(face: Any) -> None:
    only = {"If-Match": "*"}
    assert face.ask("PUT", "/services/s", {}, headers=only).error == "If-Match does not hold: there is no such object"
    assert face.ask("DELETE", "/services/s", headers=only).status == 404
    face.ask("PUT", "/services/s", {})
    assert face.ask("PUT", "/services/s", {}, headers=only).status == 200


def test_not_modified(face: Any) -> None:
    tag = face.ask("PUT", "/services/s", {}).headers["etag"]
    got = face.ask("GET", "/services/s", headers={"If-None-Match": tag})
    assert (got.status, got.content, got.headers["etag"]) == (304, b"", tag)
    face.ask("PUT", "/services/s", {})
    assert face.ask("GET", "/services/s", headers={"If-None-Match": tag}).status == 200
