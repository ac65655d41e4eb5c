"""The stages of one reply, in a row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aigw.exchange import Stage


class Stages:
    """What one stage lets out, the next one is fed; true if there is any."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = tuple(stages)
        self._only = stages[0].feed if len(stages) == 1 else None
        self.passes: Callable[[bytes], bool] = getattr(stages[0], "passes", _never) if len(stages) == 1 else _never
        """Would `feed` return ``data`` as it is, and nothing change in any stage? False = it may be so."""

    def __bool__(self) -> bool:
        return bool(self._stages)

    def feed(self, data: bytes) -> bytes:
        """What ``data`` has become.

        :raises Exception: whatever a stage raises.
        """
        if self._only is not None and data:
            pieces = self._only(data)
        else:
            pieces = [data]
            for stage in self._stages:
                pieces = stage.feed(pieces[0]) if len(pieces) == 1 and pieces[0] else _fed(stage, pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> bytes:
        """What the stages were holding back; that of one still passes those behind it."""
        pieces: list[bytes] = []
        for stage in self._stages:
            pieces = [*_fed(stage, pieces), *stage.close()]
        return b"".join(pieces)

    def pass_whole(self, body: bytes) -> bytes:
        """What a complete body becomes."""
        return self.feed(body) + self.close()


def _never(data: bytes) -> bool:
    return False


NO_STAGES = Stages(())


def _fed(stage: Stage, pieces: Iterable[bytes]) -> list[bytes]:
    return [out for piece in pieces if piece for out in stage.feed(piece)]
