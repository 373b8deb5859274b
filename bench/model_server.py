"""A server that speaks OpenAI's chat completions with delays that are known.

`python bench/model_server.py PORT FIRST BETWEEN PIECES`: each answer is so many words of the first passage in
the prompt, cited: the first after FIRST milliseconds, each further one after BETWEEN. Of the standard
library's streams alone, so that it takes as little as may be of the cores that are measured.
"""

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from itertools import cycle, islice

_LOOPBACK = "127.0.0.1"
_PASSAGE = re.compile(r'<passage-(\w+) number="1">\n(.*?)\n</passage-\1>', re.DOTALL)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}


@dataclass(frozen=True)
class ModelServer:
    """Seconds before the first piece, and between two; how many pieces an answer has."""

    first: float
    between: float
    pieces: int

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until its client leaves."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                (length,) = re.findall(rb"(?i)content-length: (\d+)", head)
                body = json.loads(await reader.readexactly(int(length)))
                await self._answer(writer, body["messages"][-1]["content"])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, prompt: str) -> None:
        writer.write(_HEAD)
        passage = _PASSAGE.search(prompt)
        words = passage[2].split() if passage else ["nothing"]
        pause = self.first
        for word in [*islice(cycle(words), self.pieces - 1), "[1]."]:
            await asyncio.sleep(pause)
            pause = self.between
            _say(writer, {"choices": [{"index": 0, "delta": {"content": f"{word} "}}]})
            await writer.drain()
        _say(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        _say(writer, {"choices": [], "usage": _USAGE})
        _write(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def _say(writer: asyncio.StreamWriter, chunk: dict[str, object]) -> None:
    said = json.dumps({"object": "chat.completion.chunk", **chunk})
    _write(writer, f"data: {said}\n\n".encode())


def _write(writer: asyncio.StreamWriter, event: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(event), event))


async def main(port: int, first: float, between: float, pieces: int) -> None:
    server = await asyncio.start_server(
        ModelServer(first / 1000, between / 1000, pieces).serve, _LOOPBACK, port
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
