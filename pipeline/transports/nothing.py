"""NoTransport: stands in where mail cannot leave because a setting of it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.errors import Down
from pipeline.model.letters import Batch, Envelope, Fate, Recall, Receipt


class NoTransport:
    """Moves nothing and knows nothing; for commands that send no mail."""

    name = "nothing"
    batch_size = 1

    def open_batch(self) -> Batch | None:
        raise _none()

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        raise _none()

    def fates(
        self, delivery_public_ids: Sequence[str], batch: Batch | None = None
    ) -> Mapping[str, Fate]:
        raise _none()

    def can_call_back(self, batch: Batch) -> bool:
        return False

    def call_back(self, batch: Batch) -> Recall:
        raise _none()

    def finish(self) -> None:
        """Nothing is open."""

    def probe(self) -> str:
        raise _none()


def _none() -> Down:
    return Down(
        "No mail can leave: a setting is wrong.", "`asterism check` names it; mend it first."
    )
