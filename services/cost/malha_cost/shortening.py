"""The largest output of a model call that still fits under every limit."""

from __future__ import annotations

from malha_cost.accounts import accounts
from malha_cost.budget import Rules, left
from malha_cost.ledger import Entry, rates_of


def most_output(asked: Entry, rules: Rules) -> int:
    """Output tokens, at most as many as are asked for; zero where none fit or where it is no model call."""
    mine = set(accounts(asked))
    room = min(
        [rules.request_microusd, *(left(limit.status) for limit in rules.limits if limit.account in mine)]
    )
    most = rates_of(asked).output_within(room, asked.input_tokens, asked.output_tokens)
    if rules.quota is not None:
        quota = rules.quota
        tokens = quota.limit_tokens - quota.used_tokens - quota.reserved_tokens
        most = min(most, tokens - asked.input_tokens)
    return max(0, most)
