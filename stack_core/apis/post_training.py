"""Training models further: fine-tuning, preferences, and the jobs that do it. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._jobs import JobStatus
from stack_core.apis._shapes import Listing, Open, Strict


class DataConfig(Strict):
    """What is trained on."""

    dataset_id: str
    batch_size: int = Field(ge=1)
    shuffle: bool
    data_format: Literal["instruct", "dialog"]
    validation_dataset_id: str | None = None
    packed: bool | None = Field(False, description="Put several rows into one sequence.")
    train_on_input: bool | None = Field(False, description="Learn the questions too, not only the answers.")


class OptimizerConfig(Strict):
    """How weights are changed."""

    optimizer_type: Literal["adam", "adamw", "sgd"]
    lr: float = Field(gt=0, description="Learning rate.")
    weight_decay: float = Field(ge=0)
    num_warmup_steps: int = Field(ge=0)


class EfficiencyConfig(Strict):
    """What saves memory at the cost of time."""

    enable_activation_checkpointing: bool | None = False
    enable_activation_offloading: bool | None = False
    memory_efficient_fsdp_wrap: bool | None = False
    fsdp_cpu_offload: bool | None = False


class TrainingConfig(Strict):
    """How long, on what, and in which number format."""

    n_epochs: int = Field(ge=1)
    max_steps_per_epoch: int = Field(1, ge=1)
    gradient_accumulation_steps: int = Field(1, ge=1)
    max_validation_steps: int | None = Field(1, ge=0)
    data_config: DataConfig | None = None
    optimizer_config: OptimizerConfig | None = None
    efficiency_config: EfficiencyConfig | None = None
    dtype: str | None = "bf16"


class LoraConfig(Strict):
    """Small matrices are trained beside the weights. Shape: Llama Stack's `LoraFinetuningConfig`."""

    type: Literal["LoRA"] = "LoRA"
    lora_attn_modules: list[str]
    apply_lora_to_mlp: bool
    apply_lora_to_output: bool
    rank: int = Field(ge=1)
    alpha: int
    use_dora: bool | None = False
    quantize_base: bool | None = False


class QATConfig(Strict):
    """Training that knows of the quantization to come. Shape: Llama Stack's `QATFinetuningConfig`."""

    type: Literal["QAT"] = "QAT"
    quantizer_name: str
    group_size: int = Field(ge=1)


class DPOConfig(Strict):
    """Direct preference optimization. Shape: Llama Stack's `DPOAlignmentConfig`."""

    beta: float = Field(gt=0)
    loss_type: Literal["sigmoid", "hinge", "ipo", "kto_pair"] = "sigmoid"


Algorithm = Annotated[LoraConfig | QATConfig, Field(discriminator="type")]


class FineTuneRequest(Strict):
    """Arguments of `supervised_fine_tune`."""

    job_uuid: str
    training_config: TrainingConfig
    hyperparam_search_config: dict[str, Any] = Field(default_factory=dict)
    logger_config: dict[str, Any] = Field(default_factory=dict)
    model: str | None = Field(None, description="The model to begin with.")
    checkpoint_dir: str | None = Field(None, description="Where checkpoints go.")
    algorithm_config: Algorithm | None = Field(None, description="Null: all weights are trained.")


class PreferenceRequest(Strict):
    """Arguments of `preference_optimize`."""

    job_uuid: str
    finetuned_model: str = Field(description="The model to begin with.")
    algorithm_config: DPOConfig
    training_config: TrainingConfig
    hyperparam_search_config: dict[str, Any] = Field(default_factory=dict)
    logger_config: dict[str, Any] = Field(default_factory=dict)


class TrainingMetric(Open):
    """How good the model was at the end of an epoch."""

    epoch: int
    train_loss: float
    validation_loss: float
    perplexity: float


class Checkpoint(Open):
    """Weights that a job wrote."""

    identifier: str
    created_at: datetime
    epoch: int
    post_training_job_id: str
    path: str
    training_metrics: TrainingMetric | None = None


class TrainingJob(Open):
    """A job by its id."""

    job_uuid: str


class TrainingJobList(Listing[TrainingJob]):
    """All jobs."""


class TrainingJobStatus(Open):
    """How far a job is."""

    job_uuid: str
    status: JobStatus
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    resources_allocated: dict[str, Any] | None = None
    checkpoints: list[Checkpoint] = []


class TrainingArtifacts(Open):
    """What a job made."""

    job_uuid: str
    checkpoints: list[Checkpoint] = []


class PostTraining(Protocol):
    """Train models further."""

    @route(
        "POST",
        "/post-training/supervised-fine-tune",
        level="v1alpha",
        sdk="alpha.post_training.supervised_fine_tune",
    )
    async def supervised_fine_tune(self, request: FineTuneRequest) -> TrainingJob:
        """Begin to train a model on questions with their answers."""
        ...

    @route("POST", "/post-training/preference-optimize", level="v1alpha", sdk="alpha.post_training.preference_optimize")
    async def preference_optimize(self, request: PreferenceRequest) -> TrainingJob:
        """Begin to train a model on answers that were liked better than others."""
        ...

    @route("GET", "/post-training/jobs", level="v1alpha", sdk="alpha.post_training.job.list")
    async def get_training_jobs(self) -> TrainingJobList:
        """All jobs."""
        ...

    @route("GET", "/post-training/job/status", level="v1alpha", sdk="alpha.post_training.job.status")
    async def get_training_job_status(self, job_uuid: str) -> TrainingJobStatus:
        """How far a job is."""
        ...

    @route("GET", "/post-training/job/artifacts", level="v1alpha", sdk="alpha.post_training.job.artifacts")
    async def get_training_job_artifacts(self, job_uuid: str) -> TrainingArtifacts:
        """The checkpoints of a job."""
        ...

    @route("POST", "/post-training/job/cancel", level="v1alpha", sdk="alpha.post_training.job.cancel")
    async def cancel_training_job(self, job_uuid: str) -> None:
        """Stop a job; its checkpoints stay."""
        ...
