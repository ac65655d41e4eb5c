"""OpenAI's endpoints that take or give what is not JSON: audio, images, files, and the batches made of them.

https://platform.openai.com/docs/api-reference/audio/createTranscription, .../images/createEdit, .../files, .../batch;
the uploads are multipart/form-data (RFC 7578).
"""

from __future__ import annotations

import base64
from email.message import Message
from email.parser import BytesParser
from typing import Any, Literal

import attrs

from aigw.testing.requests import Received
from aigw.testing.vendors.checking import Complaint, Strict, checked, decoded
from aigw.testing.vendors.scenario import Heard
from aigw.testing.vendors.vendor import CREATED, Answer, Refused, Vendor, whole

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""


@attrs.frozen(kw_only=True)
class Field:
    """One of a form. ``filename``: "" = it is no file."""

    name: str
    filename: str
    media_type: str
    content: bytes


class BatchRequest(Strict):
    """The body that makes a batch."""

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: dict[str, str] | None = None


class FilesAPI(Vendor):
    """``files``: id -> the form field that it came in."""

    file_routes = (
        ("POST", "/v1/audio/transcriptions", "transcribe"),
        ("POST", "/v1/audio/speech", "speak"),
        ("POST", "/v1/images/edits", "edit_image"),
        ("POST", "/v1/files", "upload"),
        ("GET", "/v1/files/(?P<id>[^/]+)", "describe_file"),
        ("GET", "/v1/files/(?P<id>[^/]+)/content", "download"),
        ("DELETE", "/v1/files/(?P<id>[^/]+)", "delete_file"),
        ("POST", "/v1/batches", "create_batch"),
        ("GET", "/v1/batches/(?P<id>[^/]+)", "describe_batch"),
    )

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.files: dict[str, Field] = {}
        self._batches: dict[str, dict[str, Any]] = {}

    def transcribe(self, request: Received) -> Answer:
        """Says how much it heard."""
        form = form_of(request)
        sound = needed(form, "file")
        self.perform(Heard(model=_text(form, "model")))
        usage = {"type": "duration", "seconds": 1}
        return whole({"text": f"{sound.filename}: {len(sound.content)} bytes", "usage": usage})

    def speak(self, request: Received) -> Answer:
        """The bytes of some sound, in no hurry."""
        document = decoded(request.body)
        turn = self.perform(Heard(model=document["model"], text=document["input"]))
        return Answer(media_type="audio/mpeg", pieces=[b"\xff\xfb\x00", turn.text.encode(), b"\x00\xff"], streams=True)

    def edit_image(self, request: Received) -> Answer:
        """One pixel."""
        form = form_of(request)
        images = [field for field in form if field.name in ("image", "image[]")]
        if not images:
            raise Complaint("image", "missing")
        tokens = self.perform(Heard(model=_text(form, "model"), text=_text(form, "prompt"))).tokens
        details = {"text_tokens": tokens.prompt - len(images), "image_tokens": len(images)}
        usage = {"input_tokens": tokens.prompt, "output_tokens": tokens.completion, "total_tokens": tokens.total}
        data = [{"b64_json": base64.b64encode(PIXEL).decode()}]
        return whole({"created": CREATED, "data": data, "usage": {**usage, "input_tokens_details": details}})

    def upload(self, request: Received) -> Answer:
        """Keep a file."""
        form = form_of(request)
        file, purpose = needed(form, "file"), _text(form, "purpose")
        id = f"file-fake{len(self.files) + 1}"
        self.files[id] = file
        return whole(_about(id, file) | {"purpose": purpose})

    def describe_file(self, request: Received, id: str) -> Answer:
        """What a file is."""
        return whole(_about(id, self._file(id)))

    def download(self, request: Received, id: str) -> Answer:
        """A file's bytes."""
        file = self._file(id)
        named = {"content-disposition": f'attachment; filename="{file.filename}"'}
        return Answer(media_type="application/octet-stream", headers=named, pieces=[file.content])

    def delete_file(self, request: Received, id: str) -> Answer:
        """Forget a file."""
        self._file(id)
        del self.files[id]
        return whole({"id": id, "object": "file", "deleted": True})

    def create_batch(self, request: Received) -> Answer:
        """Begin a batch, which is done as soon as it is looked at."""
        asked, _ = checked(BatchRequest, decoded(request.body))
        self._file(asked.input_file_id)
        id = f"batch_fake{len(self._batches) + 1}"
        what = {"endpoint": asked.endpoint, "input_file_id": asked.input_file_id, "completion_window": "24h"}
        counts = {"total": 0, "completed": 0, "failed": 0}
        self._batches[id] = {"id": id, "object": "batch", **what, "created_at": CREATED, "request_counts": counts}
        return whole(self._batches[id] | {"status": "validating"})

    def describe_batch(self, request: Received, id: str) -> Answer:
        """How a batch is getting on."""
        if id not in self._batches:
            raise Refused(404, f"No batch found with id '{id}'.")
        return whole(self._batches[id] | {"status": "completed", "output_file_id": self._batches[id]["input_file_id"]})

    def _file(self, id: str) -> Field:
        if id not in self.files:
            raise Refused(404, f"No such File object: {id}", param="id")
        return self.files[id]


def form_of(request: Received) -> list[Field]:
    """The fields of a form.

    :raises Refused: if the body is none.
    """
    media_type = request.headers.get("content-type", "")
    parsed = BytesParser().parsebytes(b"content-type: " + media_type.encode("latin-1") + b"\r\n\r\n" + request.body)
    if parsed.get_content_type() != "multipart/form-data" or not parsed.is_multipart() or parsed.defects:
        raise Refused(400, "Could not parse multipart form.")
    return [_field(part) for part in parsed.walk() if part is not parsed]


def needed(form: list[Field], name: str) -> Field:
    """A field that has to be there.

    :raises Complaint: if it is not.
    """
    for field in form:
        if field.name == name:
            return field
    raise Complaint(name, "missing")


def _text(form: list[Field], name: str) -> str:
    return needed(form, name).content.decode()


def _field(part: Message) -> Field:
    name = part.get_param("name", "", header="content-disposition")
    content = part.get_payload(decode=True)
    return Field(
        name=str(name),
        filename=part.get_filename() or "",
        media_type=part.get_content_type(),
        content=content if isinstance(content, bytes) else b"",
    )


def _about(id: str, file: Field) -> dict[str, Any]:
    what = {"bytes": len(file.content), "filename": file.filename, "purpose": "batch"}
    return {"id": id, "object": "file", "created_at": CREATED, "status": "processed", **what}
