"""The services that speak OpenAI's protocol, a row each.

A new service is one row of at most eight lines: its type, its name, its address, the variable of its key, and what it
offers where that is not everything. What its protocol forces is one named step with a reason beside it. Use a row only
for a service whose requests and answers are OpenAI's apart from such steps; another protocol is a provider module.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from stack_core.errors import ConfigError
from stack_core.providers.inference import _access as access
from stack_core.providers.inference import _listing as listing
from stack_core.providers.inference import _quirks as quirks
from stack_core.providers.inference import _rerank as rerank
from stack_core.providers.inference import _sizes as sizes
from stack_core.providers.inference._row import ALL, Fields, Row, declare

__all__ = ["ROWS", "Row", "declare"]

CHAT = ("chat",)
THINK, REASONING = ("<think>", "</think>"), ("<reasoning>", "</reasoning>")
TRUST = Annotated[bool | str, Field(union_mode="left_to_right")]
"""Whether certificates are checked, or the file of authorities; `false` from the environment is no file name."""
AWS: Fields = {
    "aws_access_key_id": (SecretStr | None, None, ""),
    "aws_secret_access_key": (SecretStr | None, None, ""),
    "aws_session_token": (SecretStr | None, None, ""),
    "region_name": (str | None, None, "AWS_DEFAULT_REGION"),
    "profile_name": (str | None, None, ""),
    "total_max_attempts": (int | None, None, ""),
    "retry_mode": (str | None, None, ""),
    "connect_timeout": (float | None, 60.0, ""),
    "read_timeout": (float | None, 60.0, ""),
    "session_ttl": (int | None, 3600, ""),
}


def _forwardable(headers: dict[str, str]) -> dict[str, str]:
    for name, header in headers.items():
        if name.startswith("__") or header.lower() in access.NEVER_FORWARDED:
            raise ConfigError(f"forward_headers cannot pass {name!r} on as {header!r}", "remove that line")
    return headers


_short_limit = quirks.rename("max_completion_tokens", "max_tokens")
_no_format = quirks.only("embeddings", quirks.drop("encoding_format"))  # vectors are coded here instead

# fmt: off
# One row, at most eight lines.
_SAMBANOVA = Row(
    "remote::sambanova", "SambaNova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY",
    steps=(quirks.joined_text, _no_format),  # neither lists of text parts nor encoding_format are taken
    think=THINK, inline_images=True, data={"sambanova_api_key": "api_key"},
)

ROWS = [
    Row(
        "remote::ollama", "Ollama", "http://localhost:11434", url_env="OLLAMA_URL",
        embeddings=sizes.OLLAMA,
        steps=(_short_limit,), inline_images=True, tagged=True,  # it fetches no image URLs
        health="{root}/api/version", start="ollama serve",
    ),
    Row(
        "remote::vllm", "vLLM", "", "VLLM_API_TOKEN", url_env="VLLM_URL", key_field="api_token", key_for="none",
        fields={"max_tokens": (int, 4096, "VLLM_MAX_TOKENS"), "tls_verify": (TRUST, True, "VLLM_TLS_VERIFY")},
        steps=(quirks.vllm_request,), think=THINK, rerank=rerank.documents("/rerank", at_root=True),
        health="{root}/health", start="vllm serve MODEL",
    ),
    Row(
        "remote::tgi", "Text Generation Inference", url_env="TGI_URL", offers=("chat", "completions"), think=THINK,
        listing=listing.tgi, health="{root}/health",
    ),
    Row(
        "remote::llama-cpp-server", "llama.cpp server", "http://localhost:8080/v1", url_field="base_url",
        url_env="LLAMA_CPP_SERVER_URL", rerank=rerank.documents("/rerank"), health="{root}/health",
        start="llama-server -m MODEL.gguf",
    ),
    Row(
        "remote::openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", url_field="base_url",
        url_env="OPENAI_BASE_URL", embeddings=sizes.OPENAI, steps=(quirks.newer_token_limit,),
    ),
    Row(
        "remote::together", "Together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", asks_usage=False,
        embeddings=sizes.TOGETHER,
        steps=(quirks.no_empty_calls, *quirks.for_embeddings(quirks.drop("user"), quirks.refuse("dimensions"))),
        rerank=rerank.documents("/rerank"),
    ),
    Row(
        "remote::fireworks", "Fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY",
        embeddings=sizes.FIREWORKS,
        steps=(quirks.fireworks_model,), asks_usage=False,  # only full resource names; usage comes unasked
    ),
    Row(
        "remote::groq", "Groq", "https://api.groq.com", "GROQ_API_KEY", CHAT, "/openai/v1",
        steps=(quirks.refuse("logprobs", "top_logprobs", "logit_bias", "n"), quirks.no_message_names),  # 400 from Groq
    ),
    Row(
        "remote::cerebras", "Cerebras", "https://api.cerebras.ai", "CEREBRAS_API_KEY", ("chat", "completions"),
        url_field="base_url", url_env="CEREBRAS_BASE_URL", asks_usage=False,
        steps=(quirks.refuse("frequency_penalty", "presence_penalty", "logit_bias", "parallel_tool_calls",
                             "service_tier"),),  # 400 from Cerebras
    ),
    _SAMBANOVA,
    replace(_SAMBANOVA, type="remote::sambanova-openai-compat", url_field="openai_compat_api_base"),
    Row(
        "remote::nvidia", "NVIDIA NIM", "https://integrate.api.nvidia.com", "NVIDIA_API_KEY", url_env="NVIDIA_BASE_URL",
        key_for="hosted", embeddings=sizes.NVIDIA, listing=listing.nvidia, rerank=rerank.nvidia,
        fields={"timeout": (float, 60, ""), "append_api_version": (bool, True, "NVIDIA_APPEND_API_VERSION"),
                "rerank_model_to_url": (dict[str, str], {}, "")},
        steps=(_short_limit, quirks.only("embeddings", quirks.query_input)),  # asymmetric models demand input_type
    ),
    Row(
        "remote::databricks", "Databricks", "", "DATABRICKS_TOKEN", ("chat", "embeddings"), "/serving-endpoints",
        url_env="DATABRICKS_HOST", key_field="api_token", listing=listing.databricks, asks_usage=False,
        embeddings=sizes.DATABRICKS,
        steps=(_short_limit,),
    ),
    Row(
        "remote::runpod", "RunPod", "", "RUNPOD_API_TOKEN", ("chat", "completions"), "/openai/v1", url_env="RUNPOD_URL",
        key_field="api_token",
    ),
    Row(
        "remote::azure", "Azure OpenAI", "", "AZURE_API_KEY", ALL, "/openai/v1", "api_base", "AZURE_API_BASE",
        fields={"api_version": (str | None, None, "AZURE_API_VERSION"),
                "api_type": (str | None, "azure", "AZURE_API_TYPE")},
        data={f"azure_{name}": name for name in ("api_key", "api_base", "api_version", "api_type")},
        access=access.Azure, embeddings=sizes.OPENAI,  # classic paths take the key and a version in their own way
    ),
    Row(
        "remote::gemini", "Gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY",
        ("chat", "embeddings"), "/v1beta/openai", access=access.Gemini,  # an OAuth token names its project
        fields={"access_token": (SecretStr | None, None, "GEMINI_ACCESS_TOKEN"),
                "project": (str | None, None, "GEMINI_AI_PROJECT")},
        embeddings=sizes.GEMINI,
    ),
    Row(
        "remote::llama-openai-compat", "Llama API", "https://api.llama.com/compat/v1/", "LLAMA_API_KEY", CHAT,
        url_field="openai_compat_api_base", data={"llama_api_key": "api_key"},
    ),
    Row(
        "remote::hf::serverless", "Hugging Face Inference Providers", "https://router.huggingface.co/v1",
        "HF_API_TOKEN", CHAT, key_field="api_token", think=THINK, listing=listing.hub,
        fields={"huggingface_repo": (str | None, None, "INFERENCE_MODEL")}, data={"hf_api_token": "api_token"},
    ),
    Row(
        "remote::hf::endpoint", "Hugging Face endpoint", "", "HF_API_TOKEN", key_field="api_token", think=THINK,
        fields={"endpoint_name": (str | None, None, "INFERENCE_ENDPOINT_NAME")}, data={"hf_api_token": "api_token"},
        listing=listing.tgi, locate=quirks.endpoint_address,  # the address is looked up by name
    ),
    Row(
        "remote::passthrough", "passthrough", "", "PASSTHROUGH_API_KEY", url_env="PASSTHROUGH_URL", key_for="none",
        data={"passthrough_url": "url", "passthrough_api_key": "api_key"}, access=access.Forwarding,
        fields={"forward_headers": (Annotated[dict[str, str], AfterValidator(_forwardable)], {}, ""),
                "extra_blocked_headers": (list[str], [], "")},
    ),
    Row(
        "remote::deepseek", "DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", CHAT, url_field="base_url",
        url_env="DEEPSEEK_BASE_URL", steps=(_short_limit, quirks.no_json_schema),  # json_object alone is known
    ),
    Row(
        "remote::mistral", "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", ("chat", "embeddings"),
        url_field="base_url", url_env="MISTRAL_BASE_URL", asks_usage=False, embeddings=sizes.MISTRAL,
        steps=(_short_limit, quirks.rename("seed", "random_seed"), quirks.rename("dimensions", "output_dimension"),
               quirks.drop("user"), quirks.no_message_names, quirks.mistral_messages, _no_format),  # else 422
    ),
    Row(
        "remote::watsonx", "watsonx", "https://us-south.ml.cloud.ibm.com", "WATSONX_API_KEY", ("chat", "embeddings"),
        "/ml/v1", url_env="WATSONX_BASE_URL", listing=listing.watsonx, rerank=rerank.watsonx,
        fields={"project_id": (str | None, None, "WATSONX_PROJECT_ID"), "timeout": (float, 60, "")},
        data={"watsonx_api_key": "api_key", "watsonx_project_id": "project_id"}, access=access.Iam,
        steps=(quirks.project, quirks.drop("parallel_tool_calls")),  # keys are exchanged for tokens
        health="{base}/foundation_model_specs?limit=1",
    ),
    Row(
        "remote::bedrock", "Amazon Bedrock", "", "AWS_BEARER_TOKEN_BEDROCK", CHAT, "/openai/v1", key_for="none",
        data={"aws_bearer_token_bedrock": "api_key"}, fields=AWS, think=REASONING, listing=listing.if_there,
        health=None, locate=quirks.bedrock_address,
        access=access.Aws,  # signed requests where there is no Bedrock API key
    ),
    Row(
        "remote::vertexai", "Vertex AI", "", "VERTEX_AI_ACCESS_TOKEN", CHAT, "/endpoints/openapi",
        key_field="access_token", fields={"project": (str | None, None, "VERTEX_AI_PROJECT"),
                "location": (str, "us-central1", "VERTEX_AI_LOCATION")},
        data={f"vertex_{name}": name for name in ("project", "location", "access_token")}, key_for="none", health=None,
        listing=listing.fixed("google/gemini-2.0-flash", "google/gemini-2.5-flash", "google/gemini-2.5-pro"),
        locate=quirks.vertex_address, access=access.GoogleDefault,  # Google's tokens live for an hour
    ),
    Row(
        "remote::anthropic", "Anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", CHAT,
        listing=listing.anthropic,  # the model list is the native one
        steps=(quirks.refuse("n", "logprobs", "top_logprobs"), quirks.whole_tool_schemas),  # it would ignore them
    ),
]
# fmt: on

for _row in ROWS:
    declare(_row)
