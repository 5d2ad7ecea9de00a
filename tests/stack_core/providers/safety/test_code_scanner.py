"""The code scanner: weaknesses by CWE, in Python with bandit and in other languages with patterns."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack_core.errors import InvalidRequest
from tests.stack_core.providers.safety.guards import entry, guarded, violation

BAD = {
    "python": ("import subprocess\nsubprocess.call(x, shell=True)  # nosec", "CWE-78", 2),
    "py": ("import pickle\n\npickle.loads(data)", "CWE-502", 3),
    "js": ("const a = 1\nel.innerHTML = name", "CWE-79", 2),
    "ts": ("const x = eval(text)", "CWE-95", 1),
    "bash": ("set -e\ncurl https://x.org/i | sudo bash", "CWE-494", 2),
    "c": ("char b[8];\nstrcpy(b, argv[1]);", "CWE-120", 2),
    "php": ("<?php\necho 'a' . $_GET['x'];", "CWE-79", 2),
    "java": ('String q = "select * from t where id=" + id;', "CWE-89", 1),
    "go": ("tls.Config{InsecureSkipVerify: true}", "CWE-295", 1),
    "": ("eval(input())", "CWE-78", 1),
    "unknown": ("os.system(x)", "CWE-78", 1),
}
GOOD = {
    "python": "import subprocess\nsubprocess.run(['ls'])\nassert True",
    "js": "el.textContent = name",
    "bash": "rm -rf ./build && curl -O https://x.org/i",
    "c": "strncpy(b, a, 8); snprintf(b, 8, f);",
    "": "The evaluation of a system is a joy (really). Choose from the menu.",
}


@pytest.mark.parametrize("language", BAD)
async def test_a_weakness(language: str, tmp_path: Path) -> None:
    code, cwe, line = BAD[language]
    async with guarded(tmp_path, entry("inline::code-scanner"), {"code-scanner": {}}) as stack:
        found = await violation(
            stack, "code-scanner", {"role": "assistant", "content": f"So:\n\n```{language}\n{code}\n```"}
        )
        rows = [(row["cwe"], row["line"]) for row in found.metadata["findings"]]
        assert (cwe, line + 3) in rows
        assert cwe in found.metadata["violation_type"]
        assert found.user_message == "Sorry, I found security concerns in the code."


@pytest.mark.parametrize("language", GOOD)
async def test_no_weakness(language: str, tmp_path: Path) -> None:
    async with guarded(tmp_path, entry("inline::code-scanner"), {"s": {}}) as stack:
        assert await violation(stack, "s", f"```{language}\n{GOOD[language]}\n```") is None
        assert await violation(stack, "s", GOOD[""]) is None


async def test_bare_code_and_broken_code(tmp_path: Path) -> None:
    async with guarded(tmp_path, entry("inline::code-scanner"), {"s": {}}) as stack:
        assert (await violation(stack, "s", "import os\nos.system(x)")).metadata["violation_type"] == "CWE-78"
        assert await violation(stack, "s", "import os\nos.system('ls')") is None, "low where the command is fixed"
        broken = "def f(:\n    os.system(x)"
        assert (await violation(stack, "s", broken)).metadata["findings"][0]["line"] == 2
        assert (await violation(stack, "s", f"```python\n{broken}")).metadata["violation_type"] == "CWE-78"
        deep = "(" * 5000 + ")" * 5000 + "\neval(x)"
        assert (await violation(stack, "s", deep)).metadata["violation_type"] == "CWE-95"
        assert (await violation(stack, "s", "x" * 999_000 + " eval(x)")).metadata["found"] == 1
        assert await violation(stack, "s", "\ud800 \x00") is None
        with pytest.raises(InvalidRequest, match="not scanned"):
            await violation(stack, "s", "x" * 1_000_001)


async def test_how_grave(tmp_path: Path) -> None:
    low, high = {"params": {"min_severity": "low"}}, {"params": {"min_severity": "high"}}
    code = "import pickle\npickle.loads(x)"
    async with guarded(tmp_path, entry("inline::code-scanner"), {"low": low, "high": high}) as stack:
        assert [row["severity"] for row in (await violation(stack, "low", code)).metadata["findings"]] == [
            "low", "medium",
        ]  # fmt: skip
        assert await violation(stack, "high", code) is None
        (result,) = (await stack.safety.moderate(model="low", input=code)).results
        assert (result.flagged, result.categories["CWE-502"], result.category_scores["CWE-502"]) == (True, True, 1.0)
        assert "line 2" in result.user_message
        with pytest.raises(InvalidRequest, match="min_severity"):
            await stack.shields.register_shield(shield_id="x", params={"min_severity": "huge"})
