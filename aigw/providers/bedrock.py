"""Amazon Bedrock (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html).

Endpoints by region: https://docs.aws.amazon.com/general/latest/gr/bedrock.html. The model's id, or the ARN of an
inference profile, is one segment of the path. Requests are signed, or carry an API key in ``auth.header``
(https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html).
"""

from __future__ import annotations

from typing import Annotated

import attrs
from msgspec import Meta

from aigw.providers.provider import Provider

SERVICE = "bedrock"
"""What the service is called in signatures, whatever its host."""


@attrs.frozen(kw_only=True)
class BedrockConf:
    """``provider_conf``. ``region``: the host's, and what requests are signed for."""

    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]+$", max_length=40, description="AWS region, like us-east-1")]


PROVIDER = Provider(
    name="bedrock",
    base="https://bedrock-runtime.{conf.region}.amazonaws.com",
    paths={"bedrock-converse": "/model/{model}/converse"},
    stream_paths={"bedrock-converse": "/model/{model}/converse-stream"},
    max_tokens={"bedrock-converse": "inferenceConfig.maxTokens"},
    drops=frozenset({"model", "stream"}),
    options={
        "max_tokens": "inferenceConfig.maxTokens",
        "temperature": "inferenceConfig.temperature",
        "top_p": "inferenceConfig.topP",
        "stop": "inferenceConfig.stopSequences",
    },
    conf=BedrockConf,
    conf_always=True,
    signs="aws",
)
