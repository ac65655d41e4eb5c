"""The content of a message: a string or parts, as Anthropic's content blocks.

OpenAI: https://platform.openai.com/docs/api-reference/chat/create (content parts). Anthropic:
https://platform.claude.com/docs/en/build-with-claude/vision and .../pdf-support. ``detail`` of an image is left out, as
Anthropic's layer for OpenAI's SDKs documents; a part's ``cache_control``, which is Anthropic's own
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching), goes with it. Text without a visible character
is left out: the Messages API refuses such blocks, and it says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aigw.dialects.converters.reading import (
    Object,
    filled,
    objects,
    of_type,
    optional,
    uncarried,
)

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"

Reader = Callable[[Object, str], Object]
Readers = Mapping[str, Reader]


def blocks_of(content: Any, path: str, readers: Readers) -> list[Object]:
    """The blocks of a message's content; ``readers``: what parts such a message may have.

    :raises Unconvertible: if it has others. :raises BadRequest: if it is no content at all.
    """
    if content is None or type(content) is str:
        return [text_block(content)] if content and content.strip() else []
    blocks = []
    for place, part in objects(content, path):
        kind = of_type(str, part.get("type"), f"{place}.type")
        if kind not in readers:
            raise uncarried(f"{place}.type", "Anthropic's messages can't carry this kind of content here")
        block = readers[kind](part, place)
        if block["type"] != "text" or block["text"].strip():
            blocks.append(with_cache_control(block, part, place))
    return blocks


def text_block(text: str) -> Object:
    """A block of text."""
    return {"type": "text", "text": text}


def with_cache_control(block: Object, part: Object, path: str) -> Object:
    """The block, marked as the end of a prefix to be cached if the client marked the part."""
    mark = optional(dict, part.get("cache_control"), f"{path}.cache_control")
    return block if mark is None else {**block, "cache_control": mark}


def _text(part: Object, path: str) -> Object:
    return text_block(of_type(str, part.get("text"), f"{path}.text"))


def _refusal(part: Object, path: str) -> Object:
    return text_block(of_type(str, part.get("refusal"), f"{path}.refusal"))


def _image(part: Object, path: str) -> Object:
    path = f"{path}.image_url"
    url = filled(of_type(dict, part.get("image_url"), path).get("url"), f"{path}.url")
    if url[:8].lower().startswith(("http://", "https://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    media_type, data = _base64_of(url, f"{path}.url")
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in IMAGE_TYPES:
        raise uncarried(f"{path}.url", "Anthropic takes JPEG, PNG, GIF and WebP images")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _file(part: Object, path: str) -> Object:
    """A PDF. OpenAI's ids of uploaded files mean nothing to Anthropic."""
    path = f"{path}.file"
    file = of_type(dict, part.get("file"), path)
    if file.get("file_id") is not None:
        raise uncarried(f"{path}.file_id", "a file that was uploaded to OpenAI is not there for Anthropic")
    media_type, data = _base64_of(filled(file.get("file_data"), f"{path}.file_data"), f"{path}.file_data")
    if media_type != _PDF:
        raise uncarried(f"{path}.file_data", "Anthropic takes files of type application/pdf")
    document: Object = {"type": "document", "source": {"type": "base64", "media_type": _PDF, "data": data}}
    name = optional(str, file.get("filename"), f"{path}.filename")
    return {**document, "title": name} if name else document


def _base64_of(url: str, path: str) -> tuple[str, str]:
    """Media type and data of a ``data:`` URL (RFC 2397) in base64."""
    head, comma, data = url.partition(",")
    media_type, *parameters = head[5:].lower().split(";")
    if head[:5].lower() != "data:" or not comma or "base64" not in parameters:
        raise uncarried(path, "expected a data: URL in base64 (or https: for an image)")
    return media_type, data


SYSTEM: Readers = {"text": _text}
USER: Readers = {"text": _text, "image_url": _image, "file": _file}
ASSISTANT: Readers = {"text": _text, "refusal": _refusal}
TOOL: Readers = USER
"""OpenAI has text only in the results of tools; images and files are carried for those who send them."""
