"""Keys, tokens and passwords, by the forms their issuers gave them.

Each pattern names the letters without which it cannot match; a plain substring search for those
decides whether the pattern is run at all, which keeps ordinary text almost free. What has no issuer's
form is found where it is assigned to a telling name and looks random.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from malha_guard.finding import Finding
from malha_guard.reading import Reading


class _Form(NamedTuple):
    rule: str
    needs: tuple[str, ...]
    pattern: re.Pattern[str]


_B = r"(?<![A-Za-z0-9])"
_FORMS = (
    _Form("secret.aws", ("AKIA", "ASIA"), re.compile(_B + r"A[KS]IA[A-Z0-9]{16}(?![A-Z0-9])")),
    _Form("secret.google", ("AIza",), re.compile(_B + r"AIza[\w-]{35,}", re.ASCII)),
    _Form("secret.google", ("GOCSPX-", "ya29."), re.compile(_B + r"(?:GOCSPX-|ya29\.)[\w-]{20,}", re.ASCII)),
    # OpenAI, and those who took over its prefix (Anthropic, OpenRouter, DeepSeek)
    _Form("secret.openai", ("sk-",), re.compile(_B + r"sk-[\w-]{20,}", re.ASCII)),
    # Hugging Face, Groq, xAI, NVIDIA, Replicate, Perplexity
    _Form(
        "secret.model",
        ("hf_", "gsk_", "xai-", "nvapi-", "r8_", "pplx-"),
        re.compile(_B + r"(?:hf_|gsk_|xai-|nvapi-|r8_|pplx-)[\w-]{30,}", re.ASCII),
    ),
    _Form("secret.stripe", ("k_live_", "k_test_"), re.compile(_B + r"[sr]k_(?:live|test)_\w{16,}", re.ASCII)),
    _Form(
        "secret.github",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        re.compile(_B + r"(?:gh[pousr]_\w{36,}|github_pat_\w{22,})", re.ASCII),
    ),
    _Form("secret.malha", ("mk_",), re.compile(_B + r"mk_[a-z0-9]{1,32}_[\w-]{20,}", re.ASCII)),
    _Form("secret.gitlab", ("glpat-",), re.compile(_B + r"glpat-[\w-]{20,}", re.ASCII)),
    _Form("secret.slack", ("xox",), re.compile(_B + r"xox[abeoprs]-[\w-]{10,}", re.ASCII)),
    _Form(
        "secret.slack",
        ("hooks.slack.com/services/",),
        re.compile(r"hooks\.slack\.com/services/[\w/]{20,}", re.ASCII),
    ),
    _Form(
        "secret.private_key",
        ("PRIVATE KEY-----",),
        # up to the end line, or to the end of the text where the block was cut; no possessive repetition
        # of a group: Python before 3.11.4 gets those wrong
        re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}-----|\Z)", re.DOTALL),
    ),
    _Form(
        "secret.jwt", ("eyJ",), re.compile(r"(?<![\w.-])eyJ[\w-]{8,}+\.eyJ[\w-]{8,}+\.[\w-]{8,}+", re.ASCII)
    ),
    _Form("secret.bearer", ("earer ",), re.compile(_B + r"[Bb]earer +(?P<value>[\w.~+/-]{20,}=*)", re.ASCII)),
    _Form("secret.url", ("://",), re.compile(r"://[^\s:/@\[]{1,64}:(?P<value>[^\s:/@\[]{3,128})@")),
)

CREDENTIAL_RULES = frozenset({*(form.rule for form in _FORMS), "secret.assigned"})

_PASSWORDS = ("password", "passwd", "passphrase", "pwd", "senha", "contrasena")
_TELLING = ("key", "token", "secret", "credential", "chave", *_PASSWORDS)
# a quotation mark may be escaped: JSON that stands in JSON
_ASSIGNED = re.compile(
    r"\w{0,3}(?:\\?[\"'`])?[ \t]{0,3}(?:(?: is| e| es)?[ \t]{0,3}(?:[:=]>?|->)| is | e | es )[ \t]{0,3}"
    r"(?:\\?[\"'`])?(?P<value>(?:[^\s\\\"'`,;<>\[\]{}()]|\\(?![\"'`])){6,256})",
    re.ASCII,
)


_DIGITS = frozenset("0123456789")


def find_credentials(reading: Reading) -> Iterator[Finding]:
    """Every secret (``secret.<issuer>``, ``secret.assigned``); the span covers the secret alone."""
    plain = reading.plain
    for rule, needs, pattern in _FORMS:
        if any(need in plain for need in needs):
            for match in pattern.finditer(plain):
                part = "value" if "value" in pattern.groupindex else 0
                yield Finding(rule, *reading.span(*match.span(part)))
    lower = reading.lower
    for name in _TELLING:
        at = lower.find(name)
        while at >= 0:
            assigned = _ASSIGNED.match(plain, at + len(name))
            if assigned and _is_secret(name, assigned["value"].rstrip(".!?")):
                yield Finding("secret.assigned", *reading.span(*assigned.span("value")))
            at = lower.find(name, at + len(name))


def _is_secret(name: str, value: str) -> bool:
    """Words and placeholders are no secrets; a password needs less randomness than a key."""
    has_digit = not _DIGITS.isdisjoint(value)
    if name in _PASSWORDS:
        return has_digit or (not value.isalpha() and entropy(value) > 2.5)
    return len(value) >= 16 and has_digit and entropy(value) > 3.2


def entropy(text: str) -> float:
    """Shannon's entropy in bits a character: about 4 for 20 random base64 characters, 3 for words."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
