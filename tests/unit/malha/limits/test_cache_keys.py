"""No two things of two tenants share a cache key, whatever their parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from malha.limits.cache import tenant_key

_tenants = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
_parts = st.lists(st.text(max_size=8), max_size=4)


@given(_tenants, _tenants, _parts, _parts)
def test_keys_meet_only_where_tenant_and_parts_do(a: str, b: str, xs: list[str], ys: list[str]) -> None:
    same = (a, xs) == (b, ys)
    assert (tenant_key(a, "t", *xs) == tenant_key(b, "t", *ys)) == same
