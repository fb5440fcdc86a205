"""Days and months as people type them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click


class TypedDate(click.DateTime):
    """A day or a month, told in the letters that a person types."""

    def __init__(self, form: str, shown: str) -> None:
        super().__init__(formats=[form])
        self._shown = shown

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"“{value}” is none; write it as {self._shown}.", param, ctx)


DAY = TypedDate("%Y-%m-%d", "2027-03-31")
MONTH = TypedDate("%Y-%m", "2027-03")
