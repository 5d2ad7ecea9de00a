"""The benchmarks that are registered: a data set with scoring functions."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._resources import PageLimit, Resource, ResourceId
from stack_core.apis._shapes import Listing, Strict


class Benchmark(Resource):
    """A benchmark. Shape: Llama Stack 0.3.5."""

    type: Literal["benchmark"] = "benchmark"
    dataset_id: str
    scoring_functions: list[str]
    metadata: dict[str, Any] = Field(default_factory=dict)


class BenchmarkList(Listing[Benchmark]):
    """Registered benchmarks by id."""


class RegisterBenchmarkRequest(Strict):
    """Arguments of `register_benchmark`."""

    benchmark_id: ResourceId
    dataset_id: str = Field(min_length=1)
    scoring_functions: list[str]
    provider_benchmark_id: str | None = Field(None, description="The benchmark's id where left out.")
    provider_id: str | None = Field(None, description="May be left out where only one provider serves eval.")
    metadata: dict[str, Any] | None = None


class Benchmarks(Protocol):
    """The benchmarks that are registered: a data set with scoring functions."""

    @route("GET", "/eval/benchmarks", level="v1alpha", sdk="benchmarks.list alpha.benchmarks.list")
    async def list_benchmarks(self, after: str | None = None, limit: PageLimit | None = None) -> BenchmarkList:
        """Registered benchmarks by id."""
        ...

    @route(
        "GET",
        "/eval/benchmarks/{benchmark_id:path}",
        level="v1alpha",
        sdk="benchmarks.retrieve alpha.benchmarks.retrieve",
    )
    async def get_benchmark(self, benchmark_id: str) -> Benchmark:
        """One benchmark."""
        ...

    @route("POST", "/eval/benchmarks", level="v1alpha", sdk="benchmarks.register alpha.benchmarks.register")
    async def register_benchmark(self, request: RegisterBenchmarkRequest) -> None:
        """Put a data set and scoring functions together under an id."""
        ...

    @route(
        "DELETE",
        "/eval/benchmarks/{benchmark_id:path}",
        level="v1alpha",
        sdk="benchmarks.unregister alpha.benchmarks.unregister",
    )
    async def unregister_benchmark(self, benchmark_id: str) -> None:
        """Forget a benchmark."""
        ...
