"""What is believed to come from Stripe, and what is read out of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.errors import ErrorReason, MalhaError
from malha.testing import stripe_webhooks as sent
from malha.testing.stripe_webhooks import SECRET, signature
from malha_gateway.stripe import read, verify
from malha_gateway.subscriptions import Standing

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
AT = NOW.timestamp()
BODY = sent.subscription("updated", AT)


def refused(body: bytes, header: str, now: datetime = NOW) -> str:
    with pytest.raises(MalhaError) as refusal:
        verify(body, header, [SECRET], now)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID
    [(field, why)] = refusal.value.violations
    assert field == "stripe-signature"
    return why


def test_what_stripe_signed_is_believed_for_five_minutes() -> None:
    for seconds in (0, 299, -299):
        verify(BODY, signature(BODY, AT), [SECRET], NOW + timedelta(seconds=seconds))
    for seconds in (301, -301):
        assert "5 minutes" in refused(BODY, signature(BODY, AT), NOW + timedelta(seconds=seconds))


def test_while_a_secret_is_replaced_either_is_believed() -> None:
    verify(BODY, signature(BODY, AT, "whsec_new", SECRET), [SECRET], NOW)
    verify(BODY, signature(BODY, AT), ["whsec_new", SECRET], NOW)


@given(at=st.integers(0, len(BODY) - 1), other=st.integers(1, 255))
def test_a_body_of_which_one_byte_is_another_is_not_believed(at: int, other: int) -> None:
    changed = bytearray(BODY)
    changed[at] ^= other
    assert refused(bytes(changed), signature(BODY, AT)) == "does not fit the body"


def test_the_same_json_in_other_bytes_is_not_believed() -> None:
    assert refused(json.dumps(json.loads(BODY)).encode(), signature(BODY, AT)) == "does not fit the body"


@pytest.mark.parametrize(
    "header",
    ["", "v1=0", "t=,v1=0", "t=²,v1=0", "t=1", f"t={int(AT)},v0=0", f"t={int(AT)},v1=", f"t={int(AT)},v1=é"],
)
def test_a_signature_that_is_none_is_refused(header: str) -> None:
    refused(BODY, header)


def test_another_secret_or_another_time_fits_nothing() -> None:
    refused(BODY, signature(BODY, AT, "whsec_another"))
    refused(BODY, signature(BODY, AT - 400).replace(str(int(AT - 400)), str(int(AT))))


@given(st.binary(max_size=60), st.text(max_size=60))
def test_whatever_comes_is_refused_and_never_a_fault_of_ours(body: bytes, header: str) -> None:
    refused(body, header)


@pytest.mark.parametrize(
    ("body", "standing"),
    [
        (sent.subscription("created", AT, "incomplete"), Standing.STOPPED),
        (sent.subscription("created", AT, "trialing"), Standing.PAID),
        (sent.subscription("updated", AT, "active"), Standing.PAID),
        (sent.subscription("updated", AT, "past_due"), Standing.FAILING),
        (sent.subscription("updated", AT, "unpaid"), Standing.STOPPED),
        (sent.subscription("updated", AT, "a status of next year"), Standing.STOPPED),
        (sent.subscription("updated", AT, "canceled"), Standing.ENDED),
        (sent.subscription("deleted", AT, "active"), Standing.ENDED),
        (sent.invoice("paid", AT), Standing.PAID),
        (sent.invoice("payment_failed", AT), Standing.FAILING),
        (sent.checkout(AT, "ana"), Standing.NAMED),
    ],
)
def test_each_kind_of_event_says_how_the_subscription_stands(body: bytes, standing: Standing) -> None:
    event = read(body)
    assert event is not None
    assert (event.customer, event.subscription, event.created) == ("cus_Ana", "sub_Ana", int(AT))
    assert event.standing == standing


def test_prices_are_known_by_id_and_lookup_key() -> None:
    event = read(sent.subscription("created", AT, price="price_1", lookup_key="team"))
    assert event is not None
    assert event.prices == ("price_1", "team")


def test_an_invoice_of_the_older_form_is_read_and_one_of_no_subscription_is_none() -> None:
    older = json.loads(sent.invoice("paid", AT))
    older["data"]["object"] |= {"subscription": "sub_Old", "parent": None}
    event = read(json.dumps(older).encode())
    assert event is not None
    assert event.subscription == "sub_Old"
    older["data"]["object"]["subscription"] = None
    assert read(json.dumps(older).encode()) is None


def test_a_tenant_is_named_by_our_own_side_alone() -> None:
    def named(body: bytes) -> str:
        event = read(body)
        assert event is not None
        return event.tenant

    assert named(sent.subscription("created", AT, tenant="ana")) == "ana"
    assert named(sent.checkout(AT, "ana")) == "ana"
    assert named(sent.checkout(AT, "", reference="ana")) == "", "whoever pays can write it"
    assert named(sent.checkout(AT, "Ana/../x")) == ""


@pytest.mark.parametrize(
    "body", [sent.event("customer.created", AT, {}), sent.event("payment_intent.succeeded", AT, {"id": "pi"})]
)
def test_other_events_say_nothing_here(body: bytes) -> None:
    assert read(body) is None


def test_what_an_account_that_is_only_connected_tells_is_not_about_our_customers() -> None:
    said = json.loads(sent.subscription("created", AT, tenant="ana")) | {"account": "acct_Eve"}
    assert read(json.dumps(said).encode()) is None


@pytest.mark.parametrize("nobody", [None, "", {"id": "cus_Ana"}])
def test_whoever_is_no_customer_of_stripes_pays_for_nobody(nobody: object) -> None:
    for body in (sent.subscription("created", AT), sent.invoice("paid", AT), sent.checkout(AT, "ana")):
        said = json.loads(body)
        said["data"]["object"]["customer"] = nobody
        with pytest.raises(ValueError, match="not a webhook of Stripe"):
            read(json.dumps(said).encode())


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b"{}", b"null", b"\xff", sent.event("invoice.paid", AT, {"subscription": "s"})],
)
def test_what_has_not_its_shape_is_said_to(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a webhook of Stripe"):
        read(body)
