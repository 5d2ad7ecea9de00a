"""Code in a text, and what is wrong with it by CWE: bandit reads the Python, patterns the rest.

The patterns see one line each: they find the well-known dangerous calls and no flow of data.
"""

from __future__ import annotations

import ast
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple

Severity = Literal["low", "medium", "high"]
SEVERITIES: Sequence[Severity] = ("low", "medium", "high")
_FENCE = re.compile(
    r"^[ \t]{0,3}(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]{0,3}\1|\Z)", re.DOTALL | re.MULTILINE
)
_PYTHON = frozenset({"python", "py", "python3", "py3", "ipython", "pycon"})
_FAMILIES = {
    "javascript": "js", "js": "js", "jsx": "js", "typescript": "js", "ts": "js", "tsx": "js", "node": "js",
    "bash": "sh", "sh": "sh", "shell": "sh", "zsh": "sh", "console": "sh",
    "c": "c", "cpp": "c", "c++": "c", "cc": "c", "h": "c", "hpp": "c",
    "php": "php", "java": "java", "kotlin": "java", "scala": "java", "ruby": "rb", "rb": "rb", "go": "go",
    "golang": "go", "csharp": "cs", "c#": "cs", "cs": "cs", "rust": "rs", "rs": "rs", "sql": "sql",
}  # fmt: skip


class Pattern(NamedTuple):
    """A dangerous way to write, in the languages of some families (`_FAMILIES`)."""

    rule: str
    families: str
    cwe: int
    severity: Severity
    regex: re.Pattern[str]
    what: str


_AS_CODE, _SHELL, _PAGE = "text is run as code", "a command goes through the shell", "text becomes part of a page"
_TEXT, _DATA = "is put together from text", "data may carry code"
_PATTERNS = (
    Pattern("eval", "js php rb py", 95, "high", re.compile(r"(?<![\w.])eval\s?\("), _AS_CODE),
    Pattern("new-function", "js", 95, "high", re.compile(r"new Function\s?\("), _AS_CODE),
    Pattern("exec", "py", 95, "medium", re.compile(r"(?<![\w.])exec\s?\("), _AS_CODE),
    Pattern("shell", "py", 78, "high", re.compile(r"\bos\.(?:system|popen)\s?\(|shell\s?=\s?True"), _SHELL),
    Pattern(
        "child-process", "js", 78, "high",
        re.compile(r"\b(?:child_process|execSync|exec)\b.{0,80}(?:\$\{|\+)"), f"a command {_TEXT}",
    ),
    Pattern("system", "c php rb", 78, "high", re.compile(r"(?<![\w.>])(?:system|popen|shell_exec)\s?\("), _SHELL),
    Pattern("runtime-exec", "java", 78, "high", re.compile(r"getRuntime\(\)\s?\.exec\s?\("), "a command is run"),
    Pattern("go-shell", "go", 78, "high", re.compile(r'exec\.Command\(\s?"(?:ba|z)?sh"'), _SHELL),
    Pattern(
        "inner-html", "js", 79, "medium",
        re.compile(r"\.(?:innerHTML|outerHTML)\s?\+?=|document\.write\s?\(|dangerouslySetInnerHTML"), _PAGE,
    ),
    Pattern(
        "unescaped-echo", "php", 79, "high", re.compile(r"echo\b[^;]{0,80}\$_(?:GET|POST|REQUEST|COOKIE)"), _PAGE
    ),
    Pattern(
        "unbounded-copy", "c", 120, "high", re.compile(r"(?<!\w)(?:gets|strcpy|strcat|v?sprintf)\s?\("),
        "nothing limits what is copied",
    ),
    Pattern(
        "format-string", "c", 134, "medium", re.compile(r"(?<!\w)printf\s?\(\s?[A-Za-z_]\w*\s?\)"),
        "text is taken for a format",
    ),
    Pattern(
        "sql", "py js java php rb go cs", 89, "medium",
        re.compile(
            r"(?i)[\"'`](?:select\b.{1,80}\bfrom|insert into|update\b.{1,80}\bset|delete from)\b.{0,200}"
            r"(?:[\"'`]\s?(?:\+|\.\s?\$|%)|\$\{|\{\w+\})"
        ),
        f"a query {_TEXT}",
    ),
    Pattern(
        "pickle", "py", 502, "medium",
        re.compile(r"\b(?:pickle|marshal|shelve|dill)\.loads?\s?\(|yaml\.load\s?\((?!.{0,200}SafeLoader)"), _DATA,
    ),
    Pattern(
        "unserialize", "php rb java", 502, "high",
        re.compile(r"(?<!\w)unserialize\s?\(|Marshal\.load\b|\.readObject\s?\("), _DATA,
    ),
    Pattern(
        "weak-hash", "py js java php rb go cs", 327, "medium",
        re.compile(
            r"(?i)createHash\(\s?[\"'](?:md5|sha1)|MessageDigest\.getInstance\(\s?\"(?:MD5|SHA-?1)"
            r"|\b(?:md5|sha1)\.(?:New|Sum)|hashlib\.(?:md5|sha1)\(|MD5\.Create\("
        ),
        "the hash is broken",
    ),
    Pattern(
        "no-certificate", "py js go php", 295, "high",
        re.compile(
            r"(?i)verify\s?=\s?False|rejectUnauthorized\s?:\s?false|InsecureSkipVerify\s?:\s?true"
            r"|CURLOPT_SSL_VERIFYPEER\s?,\s?(?:0|false)"
        ),
        "the other side is not checked",
    ),
    Pattern(
        "curl-pipe", "sh", 494, "high", re.compile(r"\b(?:curl|wget)\b[^|\n]{0,300}\|\s?(?:sudo\s)?(?:ba|z|da)?sh\b"),
        "what is downloaded is run unseen",
    ),
    Pattern(
        "world-writable", "sh py c", 732, "medium", re.compile(r"chmod\b[^\n]{0,60}\b0?o?777\b"),
        "everybody may write it",
    ),
    Pattern(
        "remove-all", "sh", 73, "high",
        re.compile(r"\brm\s{1,3}-(?:[a-z]{0,6}r[a-z]{0,6}f|[a-z]{0,6}f[a-z]{0,6}r)\w{0,6}\s{1,3}(?:/(?:\s|\*|$)|~|\$\w)"),
        "everything below is removed",
    ),
    Pattern(
        "password", "py js java php rb go cs c sh rs", 798, "medium",
        re.compile(
            r"(?i)\b(?:password|passwd|secret|api_?key|token)\b\s{0,3}(?::=|=|:)\s{0,3}[\"'][^\"'\s$<{]{8,80}[\"']"
        ),
        "a secret stands in the code",
    ),
)  # fmt: skip
_LONGEST_LINE = 2000
_BANDIT = Lock()
"""One at a time: bandit keeps its plugins and its settings in its modules."""


class Issue(NamedTuple):
    """A weakness: its number in the CWE list, where it was found (line from 1), and what it is."""

    rule: str
    cwe: int
    severity: Severity
    line: int
    language: str
    text: str


def issues_in(text: str) -> list[Issue]:
    """The weaknesses of the code in a text: of its fenced blocks, and where there are none, of the whole of it."""
    found: list[Issue] = []
    blocks = list(_FENCE.finditer(text))
    for block in blocks:
        first = text.count("\n", 0, block.start(3))
        found += [issue._replace(line=issue.line + first) for issue in _of_block(block[3], block[2].lower())]
    return found if blocks else _of_block(text, "")


def _of_block(code: str, language: str) -> list[Issue]:
    if language in _PYTHON or language == "":
        issues = python_issues(code)
        if issues is not None:
            return issues
    family = "py" if language in _PYTHON else _FAMILIES.get(language, "")
    return list(pattern_issues(code, family, language))


def pattern_issues(code: str, family: str, language: str) -> Iterator[Issue]:
    """What the patterns of a family of languages find, those of all where it is not known."""
    for number, line in enumerate(code.splitlines(), 1):
        for one in _PATTERNS:
            if (not family or family in one.families.split()) and any(
                one.regex.search(line, start, start + 2 * _LONGEST_LINE)
                for start in range(0, max(1, len(line)), _LONGEST_LINE)
            ):
                yield Issue(one.rule, one.cwe, one.severity, number, language or "unknown", one.what)


def python_issues(code: str) -> list[Issue] | None:
    """What bandit finds in Python; None where the text is no Python or bandit cannot go through it."""
    with _BANDIT, warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the parser's, about code that nobody here wrote
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        from bandit.core.config import BanditConfig  # type: ignore[import-untyped]  # bandit has no types
        from bandit.core.manager import BanditManager  # type: ignore[import-untyped]  # bandit has no types

        path = Path(folder) / "code.py"
        path.write_text(code, "utf-8")
        manager = BanditManager(BanditConfig(), "file", quiet=True, ignore_nosec=True)
        manager.discover_files([str(path)])
        manager.run_tests()
        if manager.skipped:
            return None
        return [_issue(found) for found in manager.get_issue_list("LOW", "LOW")]


def _issue(found: Any) -> Issue:
    """One of bandit's findings as ours."""
    rule, severity = f"{found.test_id}:{found.test}", _severity(found.severity)
    return Issue(rule, found.cwe.id, severity, found.lineno, "python", found.text)


def _severity(name: str) -> Severity:
    return next((known for known in SEVERITIES if known == name.lower()), "low")
