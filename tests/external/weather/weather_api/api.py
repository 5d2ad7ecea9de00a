"""The API: what a caller may ask, and how it is answered."""

from typing import Protocol

from pydantic import BaseModel

from stack_core.apis import route


class Forecast(BaseModel):
    """The weather of a month in a city."""

    city: str
    month: int
    celsius: float


class Weather(Protocol):
    """The weather."""

    @route("GET", "/weather/{city}", level="v1alpha")
    async def forecast(self, city: str, month: int) -> Forecast:
        """The usual temperature of a month (1 to 12) in a city."""
        ...
