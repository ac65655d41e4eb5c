"""Azure OpenAI (https://learn.microsoft.com/azure/ai-services/openai/reference): the URL names the deployment.

Either ``override.endpoint`` is that URL, api-version included (as APISIX has it), or ``provider_conf`` says what to
make it of. The key is the ``api-key`` header (or an Entra ID token in ``Authorization``); gateways in front of it
(API Management) take it in the query, too. The Responses API is not here, because it has no deployment in its URL;
clients of it are converted. Azure's newer v1 API, where ``model`` is the deployment, is spoken by provider ``openai``
with ``override.endpoint`` ``https://RESOURCE.openai.azure.com/openai/v1/...``.
"""

from __future__ import annotations

from typing import Annotated

import attrs
from msgspec import Meta

from aigw.providers.provider import Provider

API_VERSION = "2024-10-21"
"""The last one of the dated versions that is generally available, not a preview
(https://learn.microsoft.com/azure/ai-services/openai/api-version-deprecation).
"""

_DEPLOYMENT = "/openai/deployments/{conf.deployment}/"
_VERSION = "?api-version={conf.api_version}"


@attrs.frozen(kw_only=True)
class AzureConf:
    """``resource``: the first label of the host name; without it ``override.endpoint`` has the host."""

    resource: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    deployment: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    api_version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,40}$")] = API_VERSION

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: for a resource without a deployment."""
        if self.resource is not None and self.deployment is None:
            raise ValueError("deployment: required beside resource")


PROVIDER = Provider(
    name="azure-openai",
    base="https://{conf.resource}.openai.azure.com",
    paths={
        "openai-chat": f"{_DEPLOYMENT}chat/completions{_VERSION}",
        "openai-embeddings": f"{_DEPLOYMENT}embeddings{_VERSION}",
    },
    drops=frozenset({"model"}),
    conf=AzureConf,
)
