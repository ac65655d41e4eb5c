"""What a model thinks, in chat completions: OpenAI's own have no place for it, the vendors of open models do.

In answers it is ``reasoning_content`` (DeepSeek, SGLang, llama.cpp, vLLM as it was) or ``reasoning`` (OpenRouter, Groq,
vLLM as it is: https://docs.vllm.ai/en/latest/features/reasoning_outputs), or a part of the content (Mistral:
https://docs.mistral.ai/capabilities/reasoning). What of it may, or has to, come back differs by vendor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

FIELDS = ("reasoning_content", "reasoning")
"""The names it has in answers, the first that is there counts."""


@attrs.frozen(kw_only=True)
class Reasoning:
    """How a vendor's chat completions deal with it; by default like OpenAI's, which refuse fields they don't know.

    ``fields``: in which of the assistant's messages it may come back, the best first. ``switch``: the model thinks
    unless ``thinking`` is ``{"type": "disabled"}``, and while it does, what it thought before calls of tools has to
    come back (https://api-docs.deepseek.com/guides/thinking_mode).
    """

    fields: tuple[str, ...] = ()
    switch: bool = False

    def field(self, came_in: str = "") -> str | None:
        """The field for what came in this one; None if the vendor takes none back."""
        if came_in in self.fields:
            return came_in
        return self.fields[0] if self.fields else None

    def asked(self, messages: Iterable[Mapping[str, Any]], effort: str | None, wanted: bool | None) -> dict[str, Any]:
        """What asks for it in a request. ``effort``: as OpenAI has it; ``wanted``: None = the client did not say.

        Switched off, too, if what was thought before a call is not there: another model thought it, or nobody did.
        """
        members: dict[str, Any] = {} if effort is None else {"reasoning_effort": effort}
        if not self.switch:
            return members
        if wanted is False or effort == "none" or any(self._is_lost(message) for message in messages):
            return {"thinking": {"type": "disabled"}}
        return {**members, "thinking": {"type": "enabled"}} if wanted else members

    def _is_lost(self, message: Mapping[str, Any]) -> bool:
        return bool(message.get("tool_calls")) and not any(message.get(field) for field in self.fields)


NONE = Reasoning()


def reasoning_in(part: Mapping[str, Any]) -> tuple[str, str]:
    """The reasoning in a message or delta, behind the name of its field; two empty strings if there is none."""
    for field in FIELDS:
        if isinstance(text := part.get(field), str) and text:
            return field, text
    thought = "".join(texts_in(part.get("content"), "thinking"))
    return (FIELDS[0], thought) if thought else ("", "")


def texts_in(parts: Any, kind: str) -> Iterator[str]:
    """The texts of the parts of a kind; those of thinking hold parts again."""
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("type") == kind:
            inner = part.get(kind)
            yield inner if isinstance(inner, str) else "".join(texts_in(inner, "text"))
