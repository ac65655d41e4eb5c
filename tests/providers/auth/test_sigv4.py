"""The published test vectors (the AWS Signature Version 4 test suite), and what Bedrock needs beyond them."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from aigw.providers.auth.sigv4 import ADDED, Credentials, sign, to_sign

AT = 1440938160  # 2015-08-30 12:36:00 UTC
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET)
SHORT_TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
LONG_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx"
    "7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q"
    "6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
LETTERS = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VANILLA = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
POSTED = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
FORM = "application/x-www-form-urlencoded"
FORM_HASH = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"


class Vector(NamedTuple):
    name: str
    target: str
    signature: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    method: str = "GET"
    token: str | None = None


MINE = "My-Header1"
VECTORS = [
    Vector("get-vanilla", "/", VANILLA),
    Vector("get-vanilla-query", "/", VANILLA),
    Vector(
        "get-vanilla-empty-query-key",
        "/?Param1=value1",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    Vector(
        "get-vanilla-query-order-key",
        "/?Param1=value2&Param1=Value1",
        "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
    ),
    Vector(
        "get-vanilla-query-order-key-case",
        "/?Param2=value2&Param1=value1",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    Vector(
        "get-vanilla-query-order-value",
        "/?Param1=value2&Param1=value1",
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    Vector(
        "get-vanilla-query-order-encoded",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    Vector(
        "get-vanilla-query-unreserved",
        f"/?{LETTERS}={LETTERS}",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    Vector("get-vanilla-utf8-query", "/?ሴ=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    Vector("get-unreserved", f"/{LETTERS}", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    Vector("get-utf8", "/ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    Vector("get-relative", "/example/..", VANILLA),
    Vector("get-relative-relative", "/example1/example2/../..", VANILLA),
    Vector("get-slash", "//", VANILLA),
    Vector("get-slash-dot-slash", "/./", VANILLA),
    Vector("get-slash-pointless-dot", "/./example", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
    Vector("get-slashes", "//example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    Vector("get-space", "/example space/", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    Vector(
        "get-header-key-duplicate",
        "/",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ((MINE, "value2"), (MINE, "value2"), (MINE, "value1")),
    ),
    Vector(
        "get-header-value-multiline",  # each line of the folded field as a value
        "/",
        "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790",
        ((MINE, "value1"), (MINE, "  value2"), (MINE, "     value3")),
    ),
    Vector(
        "get-header-value-order",
        "/",
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ((MINE, "value4"), (MINE, "value1"), (MINE, "value3"), (MINE, "value2")),
    ),
    Vector(
        "get-header-value-trim",
        "/",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ((MINE, " value1"), ("My-Header2", ' "a   b   c"')),
    ),
    Vector(
        "get-vanilla-with-session-token",
        "/",
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
        token=SHORT_TOKEN,
    ),
    Vector("post-vanilla", "/", POSTED, method="POST"),
    Vector("post-header-key-case", "/", POSTED, method="POST"),
    Vector(
        "post-header-key-sort",
        "/",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ((MINE, "value1"),),
        method="POST",
    ),
    Vector(
        "post-header-value-case",
        "/",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ((MINE, "VALUE1"),),
        method="POST",
    ),
    Vector(
        "post-vanilla-query",
        "/?Param1=value1",
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        method="POST",
    ),
    Vector(
        "post-x-www-form-urlencoded",
        "/",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        (("Content-Type", FORM),),
        b"Param1=value1",
        "POST",
    ),
    Vector(
        "post-x-www-form-urlencoded-parameters",
        "/",
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
        (("Content-Type", FORM + "; charset=utf8"),),
        b"Param1=value1",
        "POST",
    ),
    Vector(
        "post-x-www-form-urlencoded, signed body",  # these two as the suite has them in aws-c-auth
        "/",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        (("Content-Type", FORM), ("Content-Length", "13"), ("x-amz-content-sha256", FORM_HASH)),
        b"Param1=value1",
        "POST",
    ),
    Vector(
        "post-x-www-form-urlencoded-parameters, signed body",
        "/",
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
        (("Content-Type", FORM + "; charset=utf-8"), ("Content-Length", "13"), ("x-amz-content-sha256", FORM_HASH)),
        b"Param1=value1",
        "POST",
    ),
    Vector(
        "post-sts-header-before",
        "/",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        method="POST",
        token=LONG_TOKEN,
    ),
]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_published_vectors(vector: Vector) -> None:
    keys = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET, session_token=vector.token)
    headers = [(name.encode(), value.encode()) for name, value in vector.headers]
    url = f"https://example.amazonaws.com{vector.target}".encode()
    added = dict(sign(vector.method, url, headers, vector.body, keys, region="us-east-1", service="service", now=AT))
    signed = {name.lower() for name, _ in vector.headers} | {"host", "x-amz-date"}
    token = set() if vector.token is None else {(b"X-Amz-Security-Token", vector.token.encode())}
    names = ";".join(sorted(signed | {name.decode().lower() for name, _ in token}))
    authorization = added.pop(b"Authorization").decode()
    assert authorization == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={vector.signature}"
    )
    assert set(added.items()) == {(b"X-Amz-Date", b"20150830T123600Z")} | token


def bedrock(url: bytes) -> str:
    headers = [(b"Content-Type", b"application/json")]
    added = sign("POST", url, headers, b'{"messages":[]}', KEYS, region="us-east-1", service="bedrock", now=AT)
    return dict(added)[b"Authorization"].decode().rpartition("=")[2]


ARN = b"arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc"


@pytest.mark.parametrize(
    ("url", "signature"),
    [  # as botocore 1.44.5 signs the same requests
        (
            b"https://bedrock-runtime.us-east-1.amazonaws.com/model/" + ARN + b"/converse",
            "0ec5111e5f5ebb1d35ca77e2b6a7fc5da1949caaf8b851d81118b0eb4a76ee48",
        ),
        (
            b"http://127.0.0.1:8080/model/us.amazon.nova-lite-v1%3A0/converse-stream",
            "a1904c2de915f1b2f340403288b925e4f2c68b535e5eab487f9cfc6c12a93334",
        ),
    ],
)
def test_a_percent_encoded_path_is_encoded_once_more(url: bytes, signature: str) -> None:
    assert bedrock(url) == signature


def test_the_host_is_signed_as_it_is_sent() -> None:
    assert bedrock(b"https://host:443/x") == bedrock(b"https://host/x") == bedrock(b"HTTPS://host:443/x")
    assert len({bedrock(b"https://host:80/x"), bedrock(b"https://host/x"), bedrock(b"http://host:443/x")}) == 3


def test_what_is_signed_of_a_request() -> None:
    fields = [(b"Accept", b"a"), (b"content-TYPE", b"b"), (b"X-Amz-Meta", b"c"), (b"X-Amzn-Trace-Id", b"d")]
    assert to_sign(fields) == [(b"content-TYPE", b"b"), (b"X-Amz-Meta", b"c")]
    keys = Credentials(access_key_id="a", secret_access_key="b", session_token="c")
    added = sign("GET", b"https://h/", [], b"", keys, region="r", service="s", now=0)
    assert {name.lower() for name, _ in added} == ADDED


def test_credentials_hide_themselves() -> None:
    shown = repr(Credentials(access_key_id="AKID", secret_access_key="hush", session_token="quiet"))
    assert shown == "Credentials()"


def test_other_urls_are_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="only requests to http") as caught:
        bedrock(b"ftp://secret@host/")
    assert "secret" not in str(caught.value)
