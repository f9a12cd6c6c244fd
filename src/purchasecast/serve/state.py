"""What the routes share: the model, the settings, the counts, and whether the server is about to stop."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from purchasecast.errors import PurchasecastError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from purchasecast.serve.auth import Guard
    from purchasecast.serve.heavy_work import HeavyWork
    from purchasecast.serve.metrics import Measures
    from purchasecast.serve.model_holder import ModelHolder, Served
    from purchasecast.serve.settings import ServeSettings

__all__ = ["State", "state_of"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class State:
    """What one application has."""

    holder: ModelHolder
    settings: ServeSettings
    guard: Guard
    measures: Measures
    heavy: HeavyWork
    is_stopping: bool = False

    def reload(self) -> tuple[Served, bool]:
        """Put the model that lies in the bundle's place now to use, and count it.

        Raises
        ------
        PurchasecastError
            If the new one does not verify; the old one stays in use.
        """
        try:
            served, changed = self.holder.reload()
        except PurchasecastError as error:
            self.measures.reload(worked=False)
            kept = self.holder.served.id
            logger.error("the new model does not verify (%s); %s stays in use", type(error).__name__, kept)  # noqa: TRY400
            raise
        self.measures.reload(worked=True)
        self.measures.model(served.id)
        return served, changed

    def reload_quietly(self) -> None:
        """Reload where nobody waits for an answer; the log has the outcome."""
        try:
            self.reload()
        except PurchasecastError:
            return


def state_of(connection: HTTPConnection) -> State:
    """Return the state of the application that a request is for."""
    return cast("State", connection.app.state.shared)
