"""What the routes share: the model, the settings, the metrics, and whether the server is about to stop."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from purchasecast.errors import PurchasecastError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from purchasecast.serve.auth import Guard
    from purchasecast.serve.file_readers import FileReaders
    from purchasecast.serve.heavy_work import HeavyWork
    from purchasecast.serve.metrics import Metrics
    from purchasecast.serve.model_holder import ModelHolder, Served
    from purchasecast.serve.settings import ServeSettings

__all__ = ["State", "state_of"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class State:
    """The state of one application."""

    holder: ModelHolder
    settings: ServeSettings
    guard: Guard
    metrics: Metrics
    heavy: HeavyWork
    readers: FileReaders
    is_stopping: bool = False

    def reload(self) -> tuple[Served, bool]:
        """Load the bundle again and use it; return the model in use, and whether it is another one than before.

        Raises
        ------
        PurchasecastError
            If the new model does not pass its checks; the old one stays in use.
        """
        try:
            served, changed = self.holder.reload()
        except PurchasecastError as error:
            self.metrics.count_reload(worked=False)
            kept = self.holder.served.id
            # The error's own text may name a path, which no log line should.
            logger.error("new model refused (%s); model %s stays in use", type(error).__name__, kept)  # noqa: TRY400
            raise
        self.metrics.count_reload(worked=True)
        self.metrics.set_model(served.id)
        return served, changed

    def reload_quietly(self) -> None:
        """Reload after a signal, when nobody waits for an answer; the log has the outcome."""
        try:
            self.reload()
        except PurchasecastError:
            return


def state_of(connection: HTTPConnection) -> State:
    """Return the state of the application that a request is for."""
    return cast("State", connection.app.state.shared)
