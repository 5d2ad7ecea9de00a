"""Evaluations: models and agents answer the rows of a benchmark, scoring functions score the answers.

Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._agent_config import AgentConfig
from stack_core.apis._declare import route
from stack_core.apis._jobs import JobStatus
from stack_core.apis._messages import SystemInput
from stack_core.apis._sampling import SamplingParams
from stack_core.apis._scoring import ScoringFnParams, ScoringResult
from stack_core.apis._shapes import Open, Strict


class ModelCandidate(Strict):
    """A model is evaluated."""

    type: Literal["model"] = "model"
    model: str
    sampling_params: SamplingParams = Field(default_factory=SamplingParams)
    system_message: SystemInput | None = None


class AgentCandidate(Strict):
    """An agent is evaluated."""

    type: Literal["agent"] = "agent"
    config: AgentConfig


Candidate = Annotated[ModelCandidate | AgentCandidate, Field(discriminator="type")]


class BenchmarkConfig(Strict):
    """Who is evaluated, and how."""

    eval_candidate: Candidate
    scoring_params: dict[str, ScoringFnParams] = Field(
        default_factory=dict, description="Id of a scoring function → parameters in place of those it has."
    )
    num_examples: int | None = Field(None, ge=1, description="Only the first rows; null: all.")


class RunEvalRequest(Strict):
    """Arguments of `run_eval`, besides the benchmark."""

    benchmark_config: BenchmarkConfig


class EvaluateRowsRequest(Strict):
    """Arguments of `evaluate_rows`, besides the benchmark."""

    input_rows: list[dict[str, Any]]
    scoring_functions: list[str]
    benchmark_config: BenchmarkConfig


class Evaluation(Open):
    """What was answered, and the scores by scoring function. Shape: Llama Stack's `EvaluateResponse`."""

    generations: list[dict[str, Any]]
    scores: dict[str, ScoringResult]


class Job(Open):
    """An evaluation that runs by itself."""

    job_id: str
    status: JobStatus


class Eval(Protocol):
    """Evaluate models and agents."""

    @route(
        "POST",
        "/eval/benchmarks/{benchmark_id}/jobs",
        level="v1alpha",
        key="benchmark_id",
        sdk="alpha.eval.run_eval alpha.eval.run_eval_alpha",
    )
    async def run_eval(self, benchmark_id: str, request: RunEvalRequest) -> Job:
        """Begin to evaluate on the rows of a benchmark."""
        ...

    @route(
        "POST",
        "/eval/benchmarks/{benchmark_id}/evaluations",
        level="v1alpha",
        key="benchmark_id",
        sdk="alpha.eval.evaluate_rows alpha.eval.evaluate_rows_alpha",
    )
    async def evaluate_rows(self, benchmark_id: str, request: EvaluateRowsRequest) -> Evaluation:
        """Evaluate on rows that are given, and wait for the scores."""
        ...

    @route(
        "GET",
        "/eval/benchmarks/{benchmark_id}/jobs/{job_id}",
        level="v1alpha",
        key="benchmark_id",
        sdk="alpha.eval.jobs.status",
    )
    async def job_status(self, benchmark_id: str, job_id: str) -> Job:
        """How far a job is."""
        ...

    @route(
        "DELETE",
        "/eval/benchmarks/{benchmark_id}/jobs/{job_id}",
        level="v1alpha",
        key="benchmark_id",
        sdk="alpha.eval.jobs.cancel",
    )
    async def job_cancel(self, benchmark_id: str, job_id: str) -> None:
        """Stop a job."""
        ...

    @route(
        "GET",
        "/eval/benchmarks/{benchmark_id}/jobs/{job_id}/result",
        level="v1alpha",
        key="benchmark_id",
        sdk="alpha.eval.jobs.retrieve",
    )
    async def job_result(self, benchmark_id: str, job_id: str) -> Evaluation:
        """The scores of a job that is done."""
        ...
