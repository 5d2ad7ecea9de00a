"""APIs without a provider: each method is there, and says which provider is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import llama_stack_client
import pytest

from stack_core.transport import in_process_transport
from tests.stack_core.running import HI, Running, running_stack

pytestmark = pytest.mark.slow

Ask = Callable[[Any], Any]
CANDIDATE = {"type": "model", "model": "up/tiny", "sampling_params": {"strategy": {"type": "greedy"}}}
BENCHMARK = {"eval_candidate": CANDIDATE, "scoring_params": {}}
TRAINING = {"gradient_accumulation_steps": 1, "max_steps_per_epoch": 1, "n_epochs": 1}
TUNE: dict[str, Any] = {
    "hyperparam_search_config": {}, "job_uuid": "j", "logger_config": {}, "training_config": TRAINING
}  # fmt: skip
DPO = {"beta": 0.1, "loss_type": "sigmoid"}
AGENT = {"model": "up/tiny", "instructions": "be brief"}

BOTH: dict[str, Ask] = {
    "moderations.create": lambda c: c.moderations.create(input="x", model="guard"),
    "eval.run_eval": lambda c: c.alpha.eval.run_eval("b", benchmark_config=BENCHMARK),
    "eval.evaluate_rows": lambda c: c.alpha.eval.evaluate_rows(
        "b", benchmark_config=BENCHMARK, input_rows=[{}], scoring_functions=["basic::equality"]
    ),
    "eval.jobs.status": lambda c: c.alpha.eval.jobs.status("j", benchmark_id="b"),
    "eval.jobs.retrieve": lambda c: c.alpha.eval.jobs.retrieve("j", benchmark_id="b"),
    "eval.jobs.cancel": lambda c: c.alpha.eval.jobs.cancel("j", benchmark_id="b"),
    "scoring.score": lambda c: c.scoring.score(input_rows=[{"a": 1}], scoring_functions={"basic::equality": None}),
    "scoring.score_batch": lambda c: c.scoring.score_batch(
        dataset_id="d", save_results_dataset=False, scoring_functions={"basic::equality": None}
    ),
}
OLD: dict[str, Ask] = {
    "agents.create": lambda c: c.alpha.agents.create(agent_config=AGENT),
    "agents.list": lambda c: c.alpha.agents.list(limit=2, start_index=0),
    "agents.retrieve": lambda c: c.alpha.agents.retrieve("a"),
    "agents.delete": lambda c: c.alpha.agents.delete("a"),
    "agents.session.create": lambda c: c.alpha.agents.session.create("a", session_name="s"),
    "agents.session.retrieve": lambda c: c.alpha.agents.session.retrieve("s", agent_id="a", turn_ids=["t"]),
    "agents.session.list": lambda c: c.alpha.agents.session.list("a", limit=1),
    "agents.session.delete": lambda c: c.alpha.agents.session.delete("s", agent_id="a"),
    "agents.turn.create": lambda c: c.alpha.agents.turn.create("s", agent_id="a", messages=HI),
    "agents.turn.create, streamed": lambda c: list(
        c.alpha.agents.turn.create("s", agent_id="a", messages=HI, stream=True)
    ),
    "agents.turn.resume": lambda c: c.alpha.agents.turn.resume(
        "t", agent_id="a", session_id="s", tool_responses=[{"call_id": "c", "tool_name": "x", "content": "y"}]
    ),
    "agents.turn.retrieve": lambda c: c.alpha.agents.turn.retrieve("t", agent_id="a", session_id="s"),
    "agents.steps.retrieve": lambda c: c.alpha.agents.steps.retrieve("p", agent_id="a", session_id="s", turn_id="t"),
    "post_training.supervised_fine_tune": lambda c: c.alpha.post_training.supervised_fine_tune(**TUNE),
    "post_training.preference_optimize": lambda c: c.alpha.post_training.preference_optimize(
        **TUNE, finetuned_model="m", algorithm_config=DPO
    ),
    "post_training.job.list": lambda c: c.alpha.post_training.job.list(),
    "post_training.job.status": lambda c: c.alpha.post_training.job.status(job_uuid="j"),
    "post_training.job.artifacts": lambda c: c.alpha.post_training.job.artifacts(job_uuid="j"),
    "post_training.job.cancel": lambda c: c.alpha.post_training.job.cancel(job_uuid="j"),
    "synthetic_data_generation.generate": lambda c: c.synthetic_data_generation.generate(
        dialogs=HI, filtering_function="none"
    ),
    "tool_runtime.invoke_tool": lambda c: c.tool_runtime.invoke_tool(tool_name="t", kwargs={}),
    "tool_runtime.list_tools": lambda c: c.tool_runtime.list_tools(tool_group_id="g"),
    "tool_runtime.rag_tool.insert": lambda c: c.tool_runtime.rag_tool.insert(
        chunk_size_in_tokens=100, documents=[{"document_id": "d", "content": "x", "metadata": {}}], vector_db_id="v"
    ),
    "tool_runtime.rag_tool.query": lambda c: c.tool_runtime.rag_tool.query(content="x", vector_db_ids=["v"]),
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A stack with a service of models and nothing else."""
    with running_stack(tmp_path_factory.mktemp("bare")) as found:
        yield found


@pytest.fixture(params=["http", "in process"])
def client(request: pytest.FixtureRequest, bare: Running) -> Iterator[Any]:
    transport = in_process_transport(bare.stack, httpx) if request.param == "in process" else None
    with httpx.Client(transport=transport) as http:
        yield llama_stack_client.LlamaStackClient(base_url=bare.url, max_retries=0, http_client=http)


def test_501_says_what_is_missing(client: Any, new: bool) -> None:
    wrong = {}
    for name, ask in (BOTH if new else BOTH | OLD).items():
        try:
            ask(client)
        except llama_stack_client.InternalServerError as error:
            if error.status_code == 501 and "no provider of" in str(error):
                continue
            wrong[name] = f"{error.status_code} {error}"
        except Exception as error:
            wrong[name] = f"{type(error).__name__} {error}"
        else:
            wrong[name] = "no error"
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())
