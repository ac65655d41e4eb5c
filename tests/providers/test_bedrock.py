"""Where Bedrock is, and what an operator says of it."""

from __future__ import annotations

import msgspec
import pytest

from aigw.providers.bedrock import PROVIDER, BedrockConf

ARN = "arn:aws:bedrock:eu-west-3:123456789012:application-inference-profile/abc"
CONF = BedrockConf(region="eu-west-3")


def test_host_and_paths() -> None:
    assert PROVIDER.base_of(CONF) == "https://bedrock-runtime.eu-west-3.amazonaws.com"
    encoded = "arn%3Aaws%3Abedrock%3Aeu-west-3%3A123456789012%3Aapplication-inference-profile%2Fabc"
    for streams, path in ((False, "converse"), (True, "converse-stream")):
        assert PROVIDER.path_of("bedrock-converse", streams=streams, model=ARN, conf=CONF) == f"/model/{encoded}/{path}"
    assert PROVIDER.path_of("openai-chat", model=ARN, conf=CONF) is None
    assert PROVIDER.names_model("bedrock-converse")


def test_who_signs() -> None:
    assert (PROVIDER.signs, PROVIDER.conf, PROVIDER.conf_always) == ("aws", BedrockConf, True)


@pytest.mark.parametrize("region", ["", "us-east-1/", "us.east", "US-EAST-1", "x" * 41, None, 1])
def test_what_is_no_region(region: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"region": region}, BedrockConf)


def test_other_members_are_allowed() -> None:
    assert msgspec.convert({"region": "us-gov-west-1", "x": 1}, BedrockConf) == BedrockConf(region="us-gov-west-1")
