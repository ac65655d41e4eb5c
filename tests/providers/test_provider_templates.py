"""A vendor's hosts and paths as templates."""

from __future__ import annotations

import attrs
import pytest

from aigw.providers.provider import Provider


@attrs.frozen(kw_only=True)
class Conf:
    region: str
    project: str | None = None


VENDOR = Provider(
    name="vendor",
    base="https://api.{conf.region}.vendor.test",
    paths={"chat": "/model/{model}/chat", "embeddings": "/{conf.project}/embed", "other": "/other"},
    stream_paths={"chat": "/model/{model}/chat-stream"},
    conf=Conf,
    signs="aws",
)
PLAIN = Provider(name="plain", base="https://plain.test", paths={"chat": "/chat"})
ARN = "arn:aws:bedrock:us-east-1:1:application-inference-profile/a b"


def test_the_host_is_filled_from_the_conf() -> None:
    assert VENDOR.base_of(Conf(region="eu")) == "https://api.eu.vendor.test"
    assert VENDOR.base_of() is None
    assert PLAIN.base_of() == PLAIN.base_of(Conf(region="eu")) == "https://plain.test"
    assert attrs.evolve(PLAIN, base=None).base_of() is None


def test_the_model_is_one_segment_percent_encoded_once() -> None:
    encoded = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fa%20b"
    assert VENDOR.path_of("chat", model=ARN) == f"/model/{encoded}/chat"
    assert VENDOR.path_of("chat", model=ARN, streams=True) == f"/model/{encoded}/chat-stream"
    assert VENDOR.path_of("chat", model="{conf.region}{0}%2F") == "/model/%7Bconf.region%7D%7B0%7D%252F/chat"


@pytest.mark.parametrize(
    ("dialect", "conf", "path"),
    [
        ("embeddings", Conf(region="eu", project="p"), "/p/embed"),
        ("embeddings", Conf(region="eu"), None),
        ("embeddings", None, None),
        ("other", None, "/other"),
        ("unknown", Conf(region="eu"), None),
    ],
)
def test_a_path_takes_what_it_names(dialect: str, conf: Conf | None, path: str | None) -> None:
    assert VENDOR.path_of(dialect, conf=conf) == VENDOR.path_of(dialect, conf=conf, streams=True) == path


def test_knows_where_the_model_is_in_the_path() -> None:
    assert [VENDOR.names_model(dialect) for dialect in ("chat", "other", "unknown")] == [True, False, False]
