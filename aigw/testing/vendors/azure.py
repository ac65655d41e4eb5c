"""Azure OpenAI: OpenAI's formats below a deployment, with a version in the query and the results of content filters.

https://learn.microsoft.com/azure/ai-services/openai/reference and .../concepts/content-filter
"""

from __future__ import annotations

import re
from typing import Any

from aigw.testing.requests import Received
from aigw.testing.vendors.chat_format import ChatFormat
from aigw.testing.vendors.openai import OpenAI, body_of
from aigw.testing.vendors.vendor import Answer, Refused, event, query_of, whole

SAFE = {kind: {"filtered": False, "severity": "safe"} for kind in ("hate", "self_harm", "sexual", "violence")}
PROMPT_RESULTS = [{"prompt_index": 0, "content_filter_results": SAFE}]
FIRST = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": PROMPT_RESULTS}
"""What its streams begin with: no choice, and nothing of what other chunks tell."""
VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")
ACCESS_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)
NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
    "please wait a moment and try again."
)
POLICY = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify "
    "your prompt and retry."
)


class AzureOpenAI(OpenAI):
    """``deployments``: those that there are. A model in the body is ignored, as the deployment decides.

    A scenario of status 400 is a prompt that the content filter stops.
    """

    provider = "azure-openai"
    chat = ChatFormat(
        refusals=True,
        extra={"system_fingerprint": "fp_fake"},
        opening=[event(FIRST)],
        dress=lambda choice: {**choice, "content_filter_results": SAFE if choice["finish_reason"] else {}},
    )
    routes = (
        ("POST", "/openai/deployments/(?P<deployment>[^/]+)/chat/completions", "complete_deployed"),
        ("POST", "/openai/deployments/(?P<deployment>[^/]+)/embeddings", "embed_deployed"),
        ("POST", "/openai/v1/chat/completions", "complete"),
        ("POST", "/openai/v1/responses", "respond"),
        ("POST", "/openai/v1/embeddings", "embed"),
    )

    def __init__(self, *, deployments: tuple[str, ...] = ("gpt-fake",), **fields: Any) -> None:
        super().__init__(**fields)
        self.deployments = deployments

    def as_model(self, url: str, **fields: Any) -> dict[str, Any]:
        """With the first deployment in the endpoint."""
        endpoint = f"{url}/openai/deployments/{self.deployments[0]}/chat/completions?api-version=2024-10-21"
        return super().as_model(endpoint, **{"auth": {"header": {"api-key": self.key}}, **fields})

    def authenticate(self, request: Received) -> None:
        """A key in ``api-key``, as the header or (in front of API Management) in the query; or a bearer token.

        :raises Refused: if it is not the right one, or the version is missing.
        """
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        query = query_of(request)
        given = request.headers.get("api-key") or query.get("api-key") or bearer
        if given != self.key:
            raise Refused(401, ACCESS_DENIED, code="401")
        if request.target.startswith("/openai/v1/"):
            return
        if VERSION.fullmatch(query.get("api-version", "")) is None:
            raise Refused(404, "Resource not found", code="404")

    def complete_deployed(self, request: Received, deployment: str) -> Answer:
        """Chat."""
        return self.chat.answer(self, self._deployed(request, deployment))

    def embed_deployed(self, request: Received, deployment: str) -> Answer:
        """Embeddings."""
        return self.embedded(self._deployed(request, deployment))

    def refusal(self, refused: Refused) -> Answer:
        """Its own errors have a code and a message; the model's look as OpenAI's do."""
        if refused.code in ("401", "404", "DeploymentNotFound"):
            return whole({"error": {"code": refused.code, "message": refused.message}}, refused.status)
        if refused.scripted and refused.status == 429:
            message = "Requests to the ChatCompletions_Create Operation have exceeded the token rate limit."
            wait = {} if refused.retry_after is None else {"retry-after": str(refused.retry_after)}
            return whole({"error": {"code": "429", "message": message}}, 429, wait)
        return _filtered() if refused.scripted and refused.status == 400 else super().refusal(refused)

    def _deployed(self, request: Received, deployment: str) -> Any:
        if deployment not in self.deployments:
            raise Refused(404, NO_DEPLOYMENT, code="DeploymentNotFound")
        document = body_of(request)
        return {**document, "model": deployment} if isinstance(document, dict) else document


def _filtered() -> Answer:
    """What comes for a prompt that the filter stops."""
    results = {**SAFE, "violence": {"filtered": True, "severity": "medium"}}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": results}
    error = {"message": POLICY, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
    return whole({"error": {**error, "innererror": inner}}, 400)
