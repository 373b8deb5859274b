"""Webhooks as clients see them: never a secret, except in the answer that made it."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from api.storable_text import StorableText
from api.times import UtcTime
from muniment.contracts.deliver_webhook import DeliveryState, EventType, Outcome
from muniment.webhook_signing import SignatureScheme

MAX_DESCRIPTION_CHARACTERS = 500


def _distinct(events: list[EventType]) -> list[EventType]:
    return sorted(set(events))


Events = Annotated[
    list[EventType],
    Field(min_length=1, max_length=100, examples=[["file.ready", "job.failed"]]),
    AfterValidator(_distinct),
]
Url = Annotated[
    StorableText,
    Field(
        min_length=1,
        max_length=2048,
        description="`https://`, a host whose every address is public (or allowed by the operator),"
        " an allowed port; neither user's name nor fragment.",
        examples=["https://example.com/hooks/muniment"],
    ),
]
Description = Annotated[StorableText, Field(max_length=MAX_DESCRIPTION_CHARACTERS)]


class WebhookSecret(BaseModel):
    """A key that signs. `public_key`: of ed25519. `expires_at`: of one that was exchanged."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    scheme: SignatureScheme
    public_key: str | None
    created_at: UtcTime
    expires_at: UtcTime | None


class Webhook(BaseModel):
    """An endpoint. It is sent what the principal that made it may see. `disabled_reason`: why it was
    switched off by itself (`gone`: it answered 410); null where somebody did it."""

    id: UUID
    principal_id: UUID
    url: str
    description: str
    events: list[EventType]
    enabled: bool
    disabled_reason: Outcome | None
    secrets: list[WebhookSecret] = Field(description="Those that sign now, the newest first.")
    created_at: UtcTime
    updated_at: UtcTime


class WebhookWithSecret(Webhook):
    """`secret` (`whsec_…`) is shown this once, and null for ed25519, whose private key is never shown;
    a repetition with the same Idempotency-Key has null."""

    secret: str | None


class NewWebhook(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Url
    events: Events
    description: Description = ""
    scheme: Annotated[SignatureScheme, Field(description="How messages are signed.")] = (
        SignatureScheme.HMAC_SHA256
    )


class WebhookChange(BaseModel):
    """What is absent stays. Deliveries that are pending go to the new address."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"enabled": False}]})

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: bool | None = None


class SecretExchange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    scheme: Annotated[
        SignatureScheme | None, Field(description="That of the secret before, if it is not said.")
    ] = None
    expire_previous_at_once: Annotated[
        bool,
        Field(
            description="For a secret that somebody else has come to know: those before the new one"
            " sign no more, and receivers refuse what comes until they have the new one."
        ),
    ] = False


class WebhookEvent(BaseModel):
    """What happened: ids and states. `id` is the message's `webhook-id`, at every attempt."""

    id: UUID
    type: EventType | Literal["webhook.test"]
    timestamp: UtcTime
    data: dict[str, JsonValue]


class WebhookDelivery(BaseModel):
    """An event on its way to the endpoint. `failed`: nothing more is tried until it is replayed.
    `reason` is what the last attempt came to, `round` grows with every replay, `attempts` are those of
    the present round."""

    id: UUID
    webhook_id: UUID
    event: WebhookEvent
    state: DeliveryState
    reason: Outcome | None
    round: int
    attempts: int
    next_attempt_at: UtcTime | None
    created_at: UtcTime
    finished_at: UtcTime | None


class WebhookAttempt(BaseModel):
    """`status` is null where there was no answer. Nothing of an answer's body is kept."""

    round: int
    number: int
    at: UtcTime
    outcome: Outcome
    status: int | None
    duration_ms: int


class DeliveryWithAttempts(WebhookDelivery):
    log: list[WebhookAttempt] = Field(description="Attempts, newest first, the last hundred.")


class Replay(BaseModel):
    """Deliveries made from `from` on and before `to` are delivered once more."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"}]
        },
    )

    begin: Annotated[AwareDatetime, Field(alias="from")]
    end: Annotated[AwareDatetime, Field(alias="to")]
    only_failed: Annotated[
        bool, Field(description="If not, those that were delivered are sent again too.")
    ] = True
    cursor: Annotated[
        str | None, Field(max_length=4096, description="`next_cursor` of the answer before.")
    ] = None

    @model_validator(mode="after")
    def _is_a_range(self) -> "Replay":
        if self.begin >= self.end:
            raise ValueError("`from` lies before `to`")
        return self


class Replayed(BaseModel):
    """`next_cursor`: where more deliveries are in the range than are replayed at once."""

    replayed: int
    next_cursor: str | None
