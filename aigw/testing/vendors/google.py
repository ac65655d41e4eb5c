"""Google: Gemini's OpenAI endpoint; Vertex AI's, with its ``:predict``, and with tokens for signed assertions.

https://ai.google.dev/gemini-api/docs/openai, https://cloud.google.com/vertex-ai/generative-ai/docs/start/openai,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api,
https://developers.google.com/identity/protocols/oauth2/service-account#httprest; errors of these OpenAI endpoints stand
in a list (https://cloud.google.com/apis/design/errors tells the rest)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from msgspec import Meta

from aigw.testing.requests import Received
from aigw.testing.vendors.chat_format import ChatFormat
from aigw.testing.vendors.chat_request import ChatRequest
from aigw.testing.vendors.checking import Complaint, Strict, checked
from aigw.testing.vendors.openai import OpenAI, body_of, retry_after
from aigw.testing.vendors.scenario import Heard, Tokens
from aigw.testing.vendors.service_account import ServiceAccount, TokenIssuer
from aigw.testing.vendors.vendor import Answer, Refused, Vendor, event, whole

STATUSES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
UNAUTHENTICATED = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
DIMENSIONS = 4


class GoogleChat(ChatRequest):
    """What OpenAI takes, and what is Google's own."""

    extra_body: dict[str, Any] | None = None
    google: dict[str, Any] | None = None


def usage(tokens: Tokens) -> dict[str, Any]:
    """Without details; the total holds the thinking, the completion does not."""
    said = tokens.completion - tokens.reasoning
    return {"prompt_tokens": tokens.prompt, "completion_tokens": said, "total_tokens": tokens.total}


def failure(refused: Refused) -> dict[str, Any]:
    """Google's error object."""
    status = 503 if refused.status == 529 else refused.status
    message, more = refused.message, {}
    if isinstance(refused, Complaint) and refused.problem == "unknown":
        message = f'Invalid JSON payload received. Unknown name "{refused.steps[-1]}": Cannot find field.'
        violations = [{"description": message}]
        more = {"details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]}
    return {"error": {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN"), **more}}


OVERLOADED = event([failure(Refused(503, "The model is overloaded. Please try again later."))])
CHAT = ChatFormat(
    request=GoogleChat,
    usage=usage,
    usage_with="every",
    usage_always=True,
    whole_calls=True,
    id="gemini-fake",
    broken=OVERLOADED,
)


class Gemini(OpenAI):
    """A call comes in one piece, and the usage in every chunk, each time that of all so far."""

    provider = "gemini"
    chat = CHAT
    routes = (
        ("POST", "/v1beta/openai/chat/completions", "complete"),
        ("POST", "/v1beta/openai/embeddings", "embed"),
        ("GET", "/v1beta/openai/models", "list_models"),
    )

    def authenticate(self, request: Received) -> None:
        """A key as a bearer token.

        :raises Refused: if it is not the right one.
        """
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refused(400, "API key not valid. Please pass a valid API key.")

    def refusal(self, refused: Refused) -> Answer:
        """In a list."""
        error = failure(refused)
        return whole([error], error["error"]["code"], retry_after(refused))


class EmbeddingInstance(Strict):
    """A text to embed."""

    content: Annotated[str, Meta(min_length=1)]
    task_type: str | None = None
    title: str | None = None


class EmbeddingParameters(Strict):
    """How to embed."""

    autoTruncate: bool | None = None
    outputDimensionality: Annotated[int, Meta(ge=1)] | None = None


class PredictRequest(Strict):
    """The body of ``:predict`` for embeddings."""

    instances: Annotated[list[EmbeddingInstance], Meta(min_length=1, max_length=250)]
    parameters: EmbeddingParameters | None = None


class VertexAI(Vendor):
    """``account``: whose assertions are exchanged, at ``/token``; ``tokens``: what was issued, which may be expired.

    ``project``, ``region``: those in the paths; there are no others.
    """

    provider = "vertex-ai"
    chat = CHAT
    routes = (
        ("POST", "/token", "exchange"),
        ("POST", "/v1/(?P<place>projects/[^/]+/locations/[^/]+)/endpoints/openapi/chat/completions", "complete"),
        ("POST", "/v1/(?P<place>projects/[^/]+/locations/[^/]+)/publishers/google/models/[^/:]+:predict", "predict"),
    )

    def __init__(
        self,
        account: ServiceAccount | None = None,
        *,
        project: str = "fake-project",
        region: str = "us-central1",
        now: Callable[[], float] = time.time,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.account = account or ServiceAccount(project=project)
        self.tokens = TokenIssuer(self.account, now)
        self._conf = {"project_id": project, "region": region}
        self._place = f"projects/{project}/locations/{region}"

    def as_model(self, url: str, **fields: Any) -> dict[str, Any]:
        """With the document of the account, whose assertions are exchanged here too."""
        auth = {"gcp": {"service_account_json": json.dumps(self.account.document(f"{url}/token"))}}
        return super().as_model(url, **{"auth": auth, "provider_conf": self._conf, **fields})

    def authenticate(self, request: Received) -> None:
        """A token that was issued and has not expired.

        :raises Refused: if it is none.
        """
        if request.target != "/token" and not self.tokens.takes(request.headers.get("authorization", "")):
            raise Refused(401, UNAUTHENTICATED)

    def exchange(self, request: Received) -> Answer:
        """A token for an assertion."""
        return self.tokens.exchange(request)

    def complete(self, request: Received, place: str) -> Answer:
        """Chat; the model's name tells whose it is."""
        self._check(place)
        document = body_of(request)
        model = document.get("model") if isinstance(document, dict) else None
        if isinstance(model, str) and "/" not in model:
            raise Refused(400, f"Malformed publisher model: {model}; expected PUBLISHER/MODEL.")
        return self.chat.answer(self, document)

    def predict(self, request: Received, place: str) -> Answer:
        """A vector for each text: how long it is, and its place among them, over and over."""
        self._check(place)
        asked, _ = checked(PredictRequest, body_of(request))
        self.perform(Heard(model=""))
        size = (asked.parameters and asked.parameters.outputDimensionality) or DIMENSIONS
        predictions = []
        for index, instance in enumerate(asked.instances):
            statistics = {"truncated": False, "token_count": len(instance.content.split())}
            values = ([float(len(instance.content)), float(index)] * size)[:size]
            predictions.append({"embeddings": {"statistics": statistics, "values": values}})
        characters = sum(len(instance.content) for instance in asked.instances)
        return whole({"predictions": predictions, "metadata": {"billableCharacterCount": characters}})

    def refusal(self, refused: Refused) -> Answer:
        """In a list, but for ``:predict``."""
        error = failure(refused)
        listed = self.received[-1].target.endswith("/chat/completions")
        return whole([error] if listed else error, error["error"]["code"], retry_after(refused))

    def _check(self, place: str) -> None:
        if place != self._place:
            raise Refused(403, f"Permission 'aiplatform.endpoints.predict' denied on resource '//{place}'.")
