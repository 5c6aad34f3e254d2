"""Secrets are masked by their issuer's form, or where they are assigned; words are not."""

from __future__ import annotations

import pytest

from malha_guard.credentials import find_credentials
from malha_guard.reading import Reading

# put together at run time, so that no scanner takes this file for a leak
SECRETS = {
    "secret.aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "secret.google": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "secret.openai": "sk-" + "proj-abcdefghij0123456789ABCDEFGHIJ",
    "secret.model": "hf_" + "abcdefghijABCDEFGHIJabcdefghijABCD",
    "secret.github": "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "secret.slack": "xoxb-" + "123456789012-abcdefghijklmnop",
    "secret.stripe": "sk_live_" + "abcdefghijklmnop0123",
    "secret.jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLW9mLWl0",
    "secret.private_key": "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEow\nAbC=\n-----END RSA PRIVATE KEY-----",
}


def found(text: str) -> list[tuple[str, str]]:
    return [(f.rule, text[f.start : f.end]) for f in find_credentials(Reading(text))]


@pytest.mark.parametrize(("rule", "secret"), SECRETS.items())
def test_a_secret_is_found_whole_by_its_issuer(rule: str, secret: str) -> None:
    assert (rule, secret) in found(f"use {secret} here")


def test_a_private_key_that_was_cut_off_is_still_one() -> None:
    cut = SECRETS["secret.private_key"].split("-----END", maxsplit=1)[0].rstrip()
    assert found(cut) == [("secret.private_key", cut)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("password=hunter2", "hunter2"),
        ('"api_key": "9f8e7d6c5b4a39281706f5e4"', "9f8e7d6c5b4a39281706f5e4"),
        ("a senha é Trov4o!2026", "Trov4o!2026"),
        ("client_secret: Zx81-qwer-7721-pplm", "Zx81-qwer-7721-pplm"),
        ("a senha é: Trov4o!2026", "Trov4o!2026"),
        ("la contraseña es Trov4o!2026", "Trov4o!2026"),
        ("passphrase -> Trov4o!2026", "Trov4o!2026"),
        (r'{"body": "{\"password\": \"hunter2\"}"}', "hunter2"),
        (r"password=dom\hunter2", r"dom\hunter2"),
        ("postgres://app:s3cr3tpw@db.internal/x", "s3cr3tpw"),
    ],
)
def test_what_is_assigned_to_a_telling_name_is_a_secret(text: str, value: str) -> None:
    assert value in [v for _, v in found(text)]


@pytest.mark.parametrize(
    "text",
    [
        "password: required",
        "the key is important",
        "token = request.headers",
        "max_tokens=4096",
        "senha: obrigatória",
        "keyboard: mechanical",
        "the task-risk-assessment-of-the-year",
        "https://example.com:8080/path@2",
        "password=[SECRET]",
    ],
)
def test_ordinary_sentences_about_secrets_stay(text: str) -> None:
    assert found(text) == []
