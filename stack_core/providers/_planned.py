"""Provider types of Llama Stack 0.3.5 and OGX 0.8 that this version does not have yet.

A run file that names one still loads: the provider is listed as unavailable. A type that stands neither here nor in the
registry is a spelling mistake.
"""

from __future__ import annotations

PLANNED: frozenset[str] = frozenset(
    {
        "datasetio/remote::nvidia",
        "eval/inline::builtin",
        "eval/inline::meta-reference",
        "eval/remote::nvidia",
        "inference/inline::meta-reference",
        "inference/inline::sentence-transformers",
        "inference/inline::transformers",
        "inference/remote::oci",
        "interactions/inline::builtin",
        "messages/inline::builtin",
        "post_training/inline::huggingface",
        "post_training/inline::huggingface-cpu",
        "post_training/inline::huggingface-gpu",
        "post_training/inline::torchtune",
        "post_training/inline::torchtune-cpu",
        "post_training/inline::torchtune-gpu",
        "post_training/remote::nvidia",
        "scoring/inline::basic",
        "scoring/inline::braintrust",
        "scoring/inline::llm-as-judge",
        "telemetry/inline::meta-reference",
        "tool_runtime/inline::file-search",
        "vector_io/remote::elasticsearch",
        "vector_io/remote::infinispan",
        "vector_io/remote::oci",
        "vector_io/remote::qdrant",
        "vector_io/remote::weaviate",
    }
)
