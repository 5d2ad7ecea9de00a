"""Embedding models that services do not describe: (dimension, context length), both in what the model counts."""

from __future__ import annotations

Sizes = dict[str, tuple[int, int]]

OPENAI: Sizes = {
    "text-embedding-3-small": (1536, 8192),
    "text-embedding-3-large": (3072, 8192),
    "text-embedding-ada-002": (1536, 8192),
}
NVIDIA: Sizes = {
    "nvidia/llama-3.2-nv-embedqa-1b-v2": (2048, 8192),
    "nvidia/nv-embedqa-e5-v5": (1024, 512),
    "nvidia/nv-embedqa-mistral-7b-v2": (4096, 512),
    "snowflake/arctic-embed-l": (1024, 512),
    "baai/bge-m3": (1024, 8192),
}
OLLAMA: Sizes = {
    "all-minilm:l6-v2": (384, 512),
    "nomic-embed-text": (768, 8192),
    "nomic-embed-text:v1.5": (768, 8192),
    "nomic-embed-text:137m-v1.5-fp16": (768, 8192),
}
TOGETHER: Sizes = {
    "togethercomputer/m2-bert-80M-32k-retrieval": (768, 32768),
    "BAAI/bge-large-en-v1.5": (1024, 512),
    "BAAI/bge-base-en-v1.5": (768, 512),
    "Alibaba-NLP/gte-modernbert-base": (768, 8192),
    "intfloat/multilingual-e5-large-instruct": (1024, 512),
}
FIREWORKS: Sizes = {
    "nomic-ai/nomic-embed-text-v1.5": (768, 8192),
    "accounts/fireworks/models/qwen3-embedding-8b": (4096, 40960),
}
DATABRICKS: Sizes = {"databricks-gte-large-en": (1024, 8192), "databricks-bge-large-en": (1024, 512)}
GEMINI: Sizes = {"models/gemini-embedding-001": (3072, 2048), "models/text-embedding-004": (768, 2048)}
MISTRAL: Sizes = {"mistral-embed": (1024, 8192)}
