"""The content of a message: a string or parts, as blocks of the Converse API.

OpenAI: https://platform.openai.com/docs/api-reference/chat/create (content parts). Bedrock:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html; bytes are base64 in JSON there,
too. Text without a visible character is left out: Bedrock refuses such blocks, and it says nothing. So is an image's
``detail``, a hint about how OpenAI's models cut it into tokens. ``cache_control``, which clients of Anthropic's models
put on parts, becomes a ``cachePoint`` behind them (https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from aigw.dialects.converters.reading import Object, filled, objects, of_type, optional, uncarried

Reader = Callable[[Object, str], Object]
Readers = Mapping[str, Reader]

_IMAGES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_AUDIO = ("wav", "mp3")

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_LONGEST_NAME = 200


def blocks_of(content: Any, path: str, readers: Readers) -> list[Object]:
    """The blocks of a message's content; ``readers``: what parts such a message may have.

    :raises Unconvertible: if it has others. :raises BadRequest: if it is no content at all.
    """
    if content is None or type(content) is str:
        return text_blocks(content)
    blocks: list[Object] = []
    for place, part in objects(content, path):
        kind = of_type(str, part.get("type"), f"{place}.type")
        if kind not in readers:
            raise uncarried(f"{place}.type", "Bedrock can't carry this kind of content here")
        block = readers[kind](part, place)
        if block.get("text", "x").strip():
            blocks += [block, *cache_points(part, place)]
    return blocks


def text_blocks(text: str | None) -> list[Object]:
    """A block of text, if it says anything."""
    return [{"text": text}] if text and text.strip() else []


def cache_points(marked: Object, path: str) -> list[Object]:
    """What ends the prefix to be cached, if the client marked this as its last part."""
    mark = optional(dict, marked.get("cache_control"), f"{path}.cache_control")
    if mark is None:
        return []
    ttl = optional(str, mark.get("ttl"), f"{path}.cache_control.ttl")
    return [{"cachePoint": {"type": "default", "ttl": ttl} if ttl else {"type": "default"}}]


def _text(part: Object, path: str) -> Object:
    return {"text": of_type(str, part.get("text"), f"{path}.text")}


def _refusal(part: Object, path: str) -> Object:
    return {"text": of_type(str, part.get("refusal"), f"{path}.refusal")}


def _image(part: Object, path: str) -> Object:
    path = f"{path}.image_url"
    path, url = f"{path}.url", filled(of_type(dict, part.get("image_url"), path).get("url"), f"{path}.url")
    media_type, data = _data_of(url, path, "Bedrock fetches no images, they have to be in the request")
    if media_type not in _IMAGES:
        raise uncarried(path, "Bedrock takes PNG, JPEG, GIF and WebP images")
    return {"image": {"format": _IMAGES[media_type], "source": {"bytes": data}}}


def _file(part: Object, path: str) -> Object:
    """A document. OpenAI's ids of uploaded files mean nothing to Bedrock."""
    path = f"{path}.file"
    file = of_type(dict, part.get("file"), path)
    if file.get("file_id") is not None:
        raise uncarried(f"{path}.file_id", "a file that was uploaded to OpenAI is not there for Bedrock")
    name = optional(str, file.get("filename"), f"{path}.filename") or ""
    path, url = f"{path}.file_data", filled(file.get("file_data"), f"{path}.file_data")
    media_type, data = _data_of(url, path, "Bedrock takes the contents of files only")
    extension = name.rpartition(".")[2].lower()
    form = _DOCUMENTS.get(media_type) or (extension if extension in _DOCUMENTS.values() else None)
    if form is None:
        raise uncarried(path, f"Bedrock takes documents of type {', '.join(_DOCUMENTS.values())}")
    return {"document": {"format": form, "name": _document_name(name), "source": {"bytes": data}}}


def _document_name(filename: str) -> str:
    """The name without its ending, in the characters that Bedrock allows."""
    stem = filename.rpartition(".")[0] or filename
    return _NOT_IN_A_NAME.sub(" ", stem).strip()[:_LONGEST_NAME].strip() or "document"


def _audio(part: Object, path: str) -> Object:
    path = f"{path}.input_audio"
    audio = of_type(dict, part.get("input_audio"), path)
    form, data = filled(audio.get("format"), f"{path}.format"), filled(audio.get("data"), f"{path}.data")
    if form not in _AUDIO:
        raise uncarried(f"{path}.format", "OpenAI's chats have wav and mp3 only")
    return {"audio": {"format": form, "source": {"bytes": data}}}


def _data_of(url: str, path: str, why: str) -> tuple[str, str]:
    """Media type and data of a ``data:`` URL (RFC 2397) in base64."""
    head, comma, data = url.partition(",")
    media_type, *parameters = head[5:].lower().split(";")
    if head[:5].lower() != "data:" or not comma or "base64" not in parameters:
        raise uncarried(path, f"{why}: expected a data: URL in base64")
    return media_type.strip(), data


SYSTEM: Readers = {"text": _text}
USER: Readers = {"text": _text, "image_url": _image, "file": _file, "input_audio": _audio}
ASSISTANT: Readers = {"text": _text, "refusal": _refusal}
TOOL: Readers = {"text": _text, "image_url": _image, "file": _file}
"""OpenAI has text only in the results of tools; images and files are carried for those who send them."""
