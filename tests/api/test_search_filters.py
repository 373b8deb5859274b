"""A filter that cannot be used is refused with the field and what is wrong with it."""

import httpx


async def test_a_refused_filter_names_the_field_and_says_why(client: httpx.AsyncClient) -> None:
    query = {"query": "x", "mode": "lexical", "filter": {"created": {"since": "2024-01-01"}}}
    refused = await client.post("/v1/search", json=query)
    assert refused.status_code == 400, refused.text
    (error,) = refused.json()["errors"]
    assert error["field"] == "filter.created"
    assert "gte" in error["detail"]
    assert error["detail"] in refused.json()["detail"]
