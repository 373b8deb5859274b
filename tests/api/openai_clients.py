"""The `openai` package as its users have it, with nothing changed but the address and the key."""

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI

from tests.api.conftest import ApiProcess


def openai_client(api: ApiProcess, key: str) -> OpenAI:
    """The blocking client; what the environment says of proxies is left aside."""
    return OpenAI(
        base_url=f"{api.url}/openai/v1",
        api_key=key,
        max_retries=0,
        http_client=DefaultHttpxClient(trust_env=False),
    )


def async_openai_client(api: ApiProcess, key: str) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=f"{api.url}/openai/v1",
        api_key=key,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    )
