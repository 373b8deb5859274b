"""The remote codec for Temporal's Web UI and command line."""

import base64

import httpx

from tests.api.conftest import ApiProcess

UI = "http://temporal.test:8233"
PLAIN = {
    "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
    "data": base64.b64encode(b'{"job_id": "1"}').decode(),
}


async def test_what_is_encoded_is_unreadable_and_decodes_to_itself(
    client: httpx.AsyncClient,
) -> None:
    encoded = await client.post("/v1/temporal/codec/encode", json={"payloads": [PLAIN]})
    assert encoded.status_code == 200, encoded.text
    assert "job_id" not in base64.b64decode(encoded.json()["payloads"][0]["data"]).decode("latin-1")
    decoded = await client.post("/v1/temporal/codec/decode", json=encoded.json())
    assert decoded.json() == {"payloads": [PLAIN]}
    assert (await client.post("/v1/temporal/codec/decode", json=[1])).status_code == 400


async def test_only_the_web_ui_may_ask_from_a_browser(api: ApiProcess) -> None:
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-namespace",
    }
    path = "/v1/temporal/codec/decode"
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as browser:
        allowed = await browser.options(path, headers={**preflight, "Origin": UI})
        assert allowed.headers["Access-Control-Allow-Origin"] == UI
        other = await browser.options(path, headers={**preflight, "Origin": "http://evil.test"})
        assert "Access-Control-Allow-Origin" not in other.headers
        elsewhere = await browser.get("/healthz", headers={"Origin": UI})
        assert "Access-Control-Allow-Origin" not in elsewhere.headers
