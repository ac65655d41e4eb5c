"""The parts of a message: texts, images, files and sounds, as a chat has them.

https://platform.openai.com/docs/api-reference/responses/create (input content) and .../chat/create. Dropped: the
annotations and log probabilities of earlier answers, which models never see, and ``prompt_cache_breakpoint``, which
changes no answer. Refused: ids of uploaded files, which only OpenAI has, and files by URL, which chats don't have.
"""

from __future__ import annotations

from typing import Any

from aigw.dialects.converters.reading import Object, filled, objects, of_type, optional, uncarried

_TEXTS = {"input_text": "text", "output_text": "text", "refusal": "refusal", "text": "text", "reasoning_text": "text"}
"""Kind of part -> the member that holds its text."""


def parts_of(content: Any, path: str) -> list[Object]:
    """The parts of a message's content, which is a string or an array.

    :raises Unconvertible: for those that a chat can't carry. :raises BadRequest: for what is no content.
    """
    if isinstance(content, str):
        return [text_part(content)]
    return [_part(part, place) for place, part in objects(of_type(list, content, path), path)]


def text_part(text: str) -> Object:
    """A part of text."""
    return {"type": "text", "text": text}


def texts_of(parts: list[Object]) -> list[str]:
    """What the parts say, without pictures and the like."""
    return [part["text"] for part in parts if part["type"] == "text"]


def content_of(parts: list[Object]) -> str | list[Object]:
    """Parts as the content of a message: one text alone as a string, which every server understands."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _part(part: Object, path: str) -> Object:
    kind = of_type(str, part.get("type"), f"{path}.type")
    if kind in _TEXTS:
        return text_part(of_type(str, part.get(_TEXTS[kind]), f"{path}.{_TEXTS[kind]}"))
    if kind == "input_image":
        return _image(part, path)
    if kind == "input_file":
        return _file(part, path)
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": of_type(dict, part.get("input_audio"), f"{path}.input_audio")}
    raise uncarried(f"{path}.type", "a chat can't carry this kind of content")


def _image(part: Object, path: str) -> Object:
    _refuse_id(part, path)
    image: Object = {"url": filled(part.get("image_url"), f"{path}.image_url")}
    detail = optional(str, part.get("detail"), f"{path}.detail")
    if detail not in (None, "auto"):
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _file(part: Object, path: str) -> Object:
    _refuse_id(part, path)
    if part.get("file_url") is not None:
        raise uncarried(f"{path}.file_url", "a chat has files as file_data only")
    file: Object = {"file_data": filled(part.get("file_data"), f"{path}.file_data")}
    name = optional(str, part.get("filename"), f"{path}.filename")
    return {"type": "file", "file": file if name is None else {"filename": name, **file}}


def _refuse_id(part: Object, path: str) -> None:
    if part.get("file_id") is not None:
        raise uncarried(f"{path}.file_id", "a file that was uploaded to OpenAI is not there for this provider")
