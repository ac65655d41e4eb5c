"""How an operator describes a model endpoint; the field names and defaults are APISIX's where it has them
(https://apisix.apache.org/docs/apisix/plugins/ai-proxy/), the rest is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import attrs
from msgspec import Meta

from aigw.model.schema import Invalid, Secret, decode
from aigw.providers import PROVIDERS
from aigw.providers.auth.gcp import BadServiceAccount, parse_service_account

if TYPE_CHECKING:
    ProviderName = str
else:
    ProviderName = Literal[tuple(PROVIDERS)]

Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
Name = Annotated[str, Meta(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$", max_length=256)]
"""A header field name (RFC 9110 section 5.1), or that of a query parameter."""

_NOT_SHOWN = ("$", "****")
"""How references begin, and what the admin API shows in place of secrets: that can be looked at later only."""

DEFAULT_TIMEOUT = 30_000
DEFAULT_KEEPALIVE_TIMEOUT = 60_000
DEFAULT_KEEPALIVE_POOL = 30
DEFAULT_MAX_REQUEST_BODY = 64 * 1024 * 1024


@attrs.frozen(kw_only=True)
class GcpAuth:
    """A Google Cloud service account, whose key is exchanged for access tokens."""

    service_account_json: (
        Annotated[Secret, Meta(description="default: the environment variable GCP_SERVICE_ACCOUNT")] | None
    ) = attrs.field(default=None, repr=False)
    max_ttl: Annotated[int, Meta(ge=1, description="seconds that a token is used at most")] | None = None
    expire_early_secs: Annotated[int, Meta(ge=0, description="seconds before its end a token is not used any more")] = (
        60
    )

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: for what is no service account; the message does not show it."""
        written = self.service_account_json
        if written is not None and not written.startswith(_NOT_SHOWN):
            try:
                parse_service_account(written)
            except BadServiceAccount as e:
                raise ValueError(f"service_account_json: {e}") from None


@attrs.frozen(kw_only=True)
class AwsAuth:
    """An AWS access key, with which each request is signed."""

    access_key_id: Secret = attrs.field(repr=False)
    secret_access_key: Secret = attrs.field(repr=False)
    session_token: Secret | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Auth:
    """Credentials for the upstream; ``{}`` = the client's own are forwarded (bring your own key)."""

    header: dict[Name, Secret] = attrs.field(factory=dict, repr=False)
    query: dict[Name, Secret] = attrs.field(factory=dict, repr=False)
    gcp: GcpAuth | None = None
    aws: AwsAuth | None = None

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: for a value that could not stand in a header."""
        for name, value in self.header.items():
            if any(ord(c) < 32 or ord(c) == 127 for c in value) or value != value.strip():
                raise ValueError(f"header.{name}: control characters, or spaces around the value, are not allowed")


@attrs.frozen(kw_only=True)
class LLMOptions:
    """Options that mean the same for every provider, whatever each calls them."""

    max_tokens: Annotated[int, Meta(ge=1)] | None = None


@attrs.frozen(kw_only=True)
class Override:
    """What differs from the provider's defaults.

    ``endpoint``: with a path it is used as it is; scheme and host only: the provider's path is appended.
    ``request_body``: per dialect (``openai-chat`` ...), merged into the body that goes out.
    """

    endpoint: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    llm_options: LLMOptions = attrs.field(factory=LLMOptions)
    request_body: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    request_body_force_override: Annotated[
        bool, Meta(description="false: the client's own fields win over llm_options and request_body")
    ] = False

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: for an endpoint that is no http(s) URL."""
        if self.endpoint is not None:
            complaint = _complaint_about_url(self.endpoint)
            if complaint:
                raise ValueError(f"endpoint: {complaint}")


@attrs.frozen(kw_only=True)
class DeadlineConfig:
    """How long each phase of a call may take, in ms (see docs: deadlines)."""

    connect_ms: Milliseconds | None = None
    first_byte_ms: Milliseconds | None = None
    first_token_ms: Milliseconds | None = None
    hold_ms: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None
    idle_ms: Milliseconds | None = None
    attempt_ms: Milliseconds | None = None
    total_ms: Milliseconds | None = None


@attrs.frozen(kw_only=True)
class Logging:
    """What APISIX's loggers would add; the access log has the summaries anyway."""

    summaries: bool = False
    payloads: bool = False


@attrs.frozen(kw_only=True, slots=False)
class Transport:
    """How calls are carried; on an instance of ai-proxy-multi each field overrides the plugin's own.

    (Not slotted, like all that several configurations inherit: Python can't combine two slotted bases.)
    """

    timeout: Annotated[int, Meta(ge=1, le=600_000, description="ms; default 30000")] | None = None
    deadlines: DeadlineConfig = attrs.field(factory=DeadlineConfig)
    max_stream_duration_ms: Annotated[int, Meta(ge=1)] | None = None
    max_response_bytes: Annotated[int, Meta(ge=1)] | None = None
    keepalive: Annotated[bool, Meta(description="default true")] | None = None
    keepalive_timeout: Annotated[int, Meta(ge=1000, description="ms; default 60000")] | None = None
    keepalive_pool: Annotated[int, Meta(ge=1, description="idle connections kept; default 30")] | None = None
    ssl_verify: Annotated[bool, Meta(description="default true")] | None = None
    streaming_flush_interval_ms: (
        Annotated[int, Meta(ge=0, description="accepted; no byte is ever held back")] | None
    ) = None


@attrs.frozen(kw_only=True, slots=False)
class Model(Transport):
    """One model endpoint: whose it is, where, with which credentials and options."""

    provider: ProviderName
    provider_conf: dict[str, Any] = attrs.field(factory=dict)
    auth: Auth
    options: dict[str, Any] = attrs.field(factory=dict)
    override: Override = attrs.field(factory=Override)

    def __attrs_post_init__(self) -> None:
        """:raises ValueError: for what spans fields."""
        provider, endpoint = PROVIDERS[self.provider], self.override.endpoint
        for signing in ("gcp", "aws"):
            if getattr(self.auth, signing) is not None and provider.signs != signing:
                raise ValueError(f"auth.{signing}: means nothing to provider {self.provider}")
        complete = endpoint is not None and urlsplit(endpoint).path not in ("", "/")
        if provider.conf is not None and (provider.conf_always or not complete or self.provider_conf):
            try:
                conf = conf_of(self)
            except Invalid as e:
                raise ValueError(str(e.under("provider_conf"))) from None
        else:
            conf = None
        if endpoint is None and provider.base_of(conf) is None:
            raise ValueError(f"override.endpoint: required for provider {self.provider}")
        if not complete and all(provider.path_of(dialect, conf=conf) is None for dialect in provider.paths):
            raise ValueError("override.endpoint: has no path, and provider_conf does not tell what to make one of")
        if not isinstance(self.options.get("model", ""), str):
            raise ValueError("options.model: expected a string")


def conf_of(model: Model) -> Any:
    """What a vendor of its own needs to know (`Provider.conf`), read from ``provider_conf``.

    :raises Invalid: if it is not there, or not as it should be.
    """
    conf = PROVIDERS[model.provider].conf
    return None if conf is None else decode(model.provider_conf, conf)


@attrs.frozen(kw_only=True, slots=False)
class PluginFields:
    """What the plugin says once, for all its instances."""

    max_req_body_size: Annotated[int, Meta(ge=1, description="bytes; more is a 413")] = DEFAULT_MAX_REQUEST_BODY
    logging: Logging = attrs.field(factory=Logging)


def _complaint_about_url(url: str) -> str | None:
    """What is wrong with an endpoint; it never shows the URL's userinfo."""
    if not url.isascii() or any(c <= " " or c == "\x7f" or c in '<>"{}|\\^`' for c in url):
        return "expected a URL, percent-encoded, without spaces"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "expected a URL with a valid host and port"
    if parts.scheme not in ("http", "https"):
        return (
            f'expected a URL that begins with http:// or https://, got "{url}"'
            if "@" not in url
            else ("expected a URL that begins with http:// or https://")
        )
    if parts.username is not None or parts.password is not None:
        return "credentials do not belong into the URL; put them into auth.header or auth.query"
    if not parts.hostname or port == 0:
        return "expected a URL with a valid host and port"
    return "a fragment (#...) means nothing here" if parts.fragment else None
