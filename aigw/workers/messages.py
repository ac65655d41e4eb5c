"""What the parent and its workers say to each other, as MessagePack in frames of `aigw.workers.channel`.

Both run the same version (`Hello` says which), so nothing here has to stay as it is. Secrets travel in here and nowhere
else; no message shows what is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from aigw.balancing.tiers import PriorityOrder
from aigw.model.resource import PluginConfigs, decode_resource
from aigw.model.snapshot import Key, Resource
from aigw.observe.adding import Growth

MAX_FRAME = 16 * 1024 * 1024
"""Bytes. The longest message is a change of one resource, which is 3 MiB at most."""

CHANGE_BYTES = 256 * 1024
"""About how much of a Snapshot goes into one message: a bit of work for both sides, and not much memory."""

Level = Literal["debug", "info", "warn", "error", "critical"]


class Message(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """Something said."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Listener(msgspec.Struct, array_like=True, frozen=True):
    """``endpoint``: as the operator wrote it. ``fd``: where the worker finds the socket that is bound for it."""

    endpoint: str
    fd: int


class Document(msgspec.Struct, array_like=True, frozen=True):
    """A resource. ``json``: what the operator wrote; not MessagePack, which lacks integers over 64 bits."""

    kind: str
    id: str
    json: bytes
    created_index: int
    modified_index: int
    expires_at: float | None

    def __repr__(self) -> str:
        return f"<Document {self.kind}/{self.id}>"

    def resource(self, plugins: PluginConfigs) -> Resource:
        """The resource.

        :raises Invalid: if it is none, for this version.
        """
        return decode_resource(
            self.kind,
            self.id,
            msgspec.json.decode(self.json),
            plugins,
            created_index=self.created_index,
            modified_index=self.modified_index,
            expires_at=self.expires_at,
        )


class Hello(Message, frozen=True):
    """The parent's first word. ``key``: of `aigw.balancing.sharing.keyed_digest`. ``drain``: seconds, for a worker that
    is asked to leave by a signal. ``shares``: descriptor of the memory of `aigw.net.shares`, with so many ``places``.
    """

    version: str
    group: str
    priority_order: PriorityOrder
    access_log: bool
    drain: float
    key: bytes
    place: int
    places: int
    shares: int
    listeners: Sequence[Listener]


class Change(Message, frozen=True):
    """Put and delete these; ``revision``: the Snapshot's, after that.

    A change that is too long comes in several messages: it is made when the ``last`` is there, and `Applied` then. The
    first change is the whole Snapshot.
    """

    number: int
    revision: int
    put: Sequence[Document]
    delete: Sequence[Key]
    last: bool


class Listen(Message, frozen=True):
    """Begin to serve."""


class Sync(Message, frozen=True):
    """Tell what has grown, then `Applied`."""

    number: int


class Leave(Message, frozen=True):
    """Accept nothing more, then `Leaving` and `Applied`; end when what is in flight is over, or after ``seconds``."""

    number: int
    seconds: float


class Hurry(Message, frozen=True):
    """End now."""


class Shared(Message, frozen=True):
    """Something about a topic that all workers share (`aigw.workers.topics`); both ways."""

    topic: str
    body: bytes


class Applied(Message, frozen=True):
    """What had this number is done, and all before it."""

    number: int


class Listening(Message, frozen=True):
    """The worker serves."""


class Leaving(Message, frozen=True):
    """The worker accepts nothing more: it was told to leave, or got a SIGTERM."""


class Grown(Message, frozen=True):
    """Its metrics. ``in_flight``: requests without a complete reply."""

    growths: Sequence[Growth]
    in_flight: int


class Lines(Message, frozen=True):
    """Whole lines for the access log."""

    data: bytes


class Said(Message, frozen=True):
    """An event for the log, as text."""

    level: Level
    text: str


ToWorker = Hello | Change | Listen | Sync | Leave | Hurry | Shared
ToParent = Applied | Listening | Leaving | Grown | Lines | Said | Shared

encode = msgspec.msgpack.Encoder().encode


def change_frames(
    number: int, revision: int, put: Iterable[Resource], delete: Sequence[Key] = (), size: int = CHANGE_BYTES
) -> Iterator[bytes]:
    """A change as encoded messages of about ``size`` bytes, made one after another as they are asked for."""
    held: list[Document] = []
    held_bytes = 0
    for resource in put:
        document = _document(resource)
        if held and held_bytes + len(document.json) > size:
            yield encode(Change(number, revision, held, (), last=False))
            held, held_bytes = [], 0
        held.append(document)
        held_bytes += len(document.json)
    yield encode(Change(number, revision, held, delete, last=True))


def _document(resource: Resource) -> Document:
    return Document(
        kind=resource.kind,
        id=resource.id,
        json=msgspec.json.encode(resource.document),
        created_index=resource.created_index,
        modified_index=resource.modified_index,
        expires_at=resource.expires_at,
    )
