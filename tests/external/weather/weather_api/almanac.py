"""The provider: temperatures that its config holds."""

from pydantic import BaseModel

from stack_core.apis.inference import Inference
from stack_core.errors import NotFound
from stack_core.providers import provider
from weather_api.api import Forecast, Weather


@provider("inline::almanac")
class Almanac(Weather):
    """Looks into a table of twelve numbers a city."""

    class Config(BaseModel):
        """The table."""

        cities: dict[str, list[float]]

    def __init__(self, config: Config, inference: Inference | None) -> None:
        self._cities, self.inference = config.cities, inference

    async def forecast(self, city: str, month: int) -> Forecast:
        """Look it up."""
        if city not in self._cities:
            raise NotFound("city", city, self._cities)
        return Forecast(city=city, month=month, celsius=self._cities[city][month - 1])
