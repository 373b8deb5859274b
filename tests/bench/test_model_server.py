"""The benchmark's server of models says what it was told to say, as late as it was told to."""

import time

import httpx

from bench.doors import model_server
from retrieval.language_models.completion import Message, Usage, completion
from retrieval.language_models.model import Model

PROMPT = '<passage-abc number="1">\nCranes were paid for.\n</passage-abc>'
FIRST_MS, BETWEEN_MS, PIECES = 200, 20, 4


async def test_words_come_with_known_delays_and_are_cited() -> None:
    with model_server(FIRST_MS, BETWEEN_MS, PIECES) as url:
        model = Model(
            name="known",
            model="known",
            url=url,
            is_local=True,
            context_tokens=8_192,
            first_token_seconds=5.0,
            total_seconds=10.0,
        )
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(2):
                began = time.monotonic()
                said = completion(client, model, [Message(role="user", content=PROMPT)], 100)
                came = [(time.monotonic() - began, piece) async for piece in said]
                words = [piece for _, piece in came if isinstance(piece, str) and piece]
                assert words == ["Cranes ", "were ", "paid ", "[1]. "]
                assert came[0][0] >= FIRST_MS / 1000
                assert came[-1][0] >= (FIRST_MS + (PIECES - 1) * BETWEEN_MS) / 1000
                assert any(isinstance(piece, Usage) for _, piece in came)
