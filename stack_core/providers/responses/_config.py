"""The config of `inline::builtin`: fields and defaults of OGX 0.8.0's, those that are served.

What is not here is refused by its name when the run file is read: how files are cut and embedded belongs to the
vector stores, and nothing compacts a conversation without being asked.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from stack_core.storage.references import KVReference, SqlReference


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Persistence(_Settings):
    """Where responses are kept. `agent_state` stands beside it in run files of Llama Stack: it is the store of agents,
    and responses keep nothing there."""

    agent_state: KVReference | None = None
    responses: SqlReference | None = None


class FileSearchParams(_Settings):
    """What stands before and after the passages that a search found; `{num_chunks}` is their number."""

    header_template: str = "file_search tool found {num_chunks} chunks:\nBEGIN of file_search tool results.\n"
    footer_template: str = "END of file_search tool results.\n"


class ContextPromptParams(_Settings):
    """How passages are told to the model: one passage where citations are off, and what follows all of them."""

    chunk_annotation_template: str = "Result {index}\nContent: {chunk.content}\nMetadata: {metadata}\n"
    context_template: str = (
        'The above results were retrieved to help answer the user\'s query: "{query}". Use them as supporting '
        "information only in answering this query. {annotation_instruction}\n"
    )


class AnnotationPromptParams(_Settings):
    """How the model is asked to cite."""

    enable_annotations: bool = True
    annotation_instruction_template: str = (
        "Cite sources immediately at the end of sentences before punctuation, using `<|file-id|>` format like 'This is "
        "a fact <|file-Cn3MSNn72ENTiiq11Qda4A|>.'. Do not add extra punctuation. Use only the file IDs provided, do "
        "not invent new ones."
    )
    chunk_annotation_template: str = "[{index}] {metadata_text} cite as <|{file_id}|>\n{chunk_text}\n"


class VectorStoresConfig(_Settings):
    """How file search talks to the model."""

    file_search_params: FileSearchParams = Field(default_factory=FileSearchParams)
    context_prompt_params: ContextPromptParams = Field(default_factory=ContextPromptParams)
    annotation_prompt_params: AnnotationPromptParams = Field(default_factory=AnnotationPromptParams)


class CompactionConfig(_Settings):
    """How a long conversation is pressed together; `summarization_model` takes the place of the request's model."""

    summarization_prompt: str = (
        "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary for another LLM that will resume "
        "the task.\n\nInclude:\n- Current progress and key decisions made\n- Important context, constraints, or user "
        "preferences\n- What remains to be done (clear next steps)\n- Any critical data, examples, or references "
        "needed to continue\n\nBe concise, structured, and focused on helping the next LLM "
        "seamlessly continue the work."
    )
    summary_prefix: str = (
        "Another language model started to solve this problem and produced a summary of its thinking process. You also "
        "have access to the state of the tools that were used by that language model. Use this to build on the work "
        "that has already been done and avoid duplicating work. Here is the summary produced by the other language "
        "model, use the information in this summary to assist with your own analysis:"
    )
    summarization_model: str | None = None


class ResponsesConfig(_Settings):
    """Where responses are kept, and the texts that file search and compaction give the model."""

    persistence: Persistence = Field(default_factory=Persistence)
    vector_stores_config: VectorStoresConfig | None = None
    compaction_config: CompactionConfig = Field(default_factory=CompactionConfig)
