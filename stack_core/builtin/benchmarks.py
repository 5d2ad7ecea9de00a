"""The registry of benchmarks."""

from __future__ import annotations

from typing import Any

from stack_core.apis._call import Call
from stack_core.apis.benchmarks import Benchmark, BenchmarkList, Benchmarks, RegisterBenchmarkRequest
from stack_core.builtin._ground import Ground
from stack_core.builtin._registry import Kind, Registry


def _make(request: RegisterBenchmarkRequest, provider_id: str) -> Benchmark:
    return Benchmark(
        identifier=request.benchmark_id,
        provider_id=provider_id,
        provider_resource_id=request.provider_benchmark_id or request.benchmark_id,
        dataset_id=request.dataset_id,
        scoring_functions=request.scoring_functions,
        metadata=request.metadata or {},
    )


_KIND = Kind("benchmark", Benchmark, RegisterBenchmarkRequest, _make, "eval", "benchmarks", "benchmark_id")


class BenchmarkRegistry(Benchmarks):
    """Registered benchmarks; as a lookup the provider that evaluates on them."""

    def __init__(self, ground: Ground) -> None:
        self._registry = Registry(ground, _KIND)

    async def __call__(self, call: Call) -> Any:
        """The provider of an evaluation that names a benchmark."""
        return await self._registry.lookup(call)

    async def list_benchmarks(self, after: str | None = None, limit: int | None = None) -> BenchmarkList:
        """Registered benchmarks by id."""
        return BenchmarkList(**await self._registry.page(after, limit))

    async def get_benchmark(self, benchmark_id: str) -> Benchmark:
        """One benchmark."""
        return await self._registry.get(benchmark_id)

    async def register_benchmark(self, request: RegisterBenchmarkRequest) -> None:
        """Put a data set and scoring functions together under an id."""
        await self._registry.register(request)

    async def unregister_benchmark(self, benchmark_id: str) -> None:
        """Forget a benchmark."""
        await self._registry.unregister(benchmark_id)
