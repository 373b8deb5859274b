"""Sessions, as pages see them."""

from pydantic import BaseModel, ConfigDict

from api.sign_ins.schemas import NameAndPassword


class SessionRequest(NameAndPassword):
    """Signing in with name and password, for a cookie."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"username": "ada@example.org", "password": "correct horse battery"}]
        },
    )


class Session(BaseModel):
    """The secret itself is in the cookie, which no script reads. `csrf_token` is sent back in
    `X-CSRF-Token` with whatever changes something; `scope` joins the scopes by blanks."""

    csrf_token: str
    scope: str
