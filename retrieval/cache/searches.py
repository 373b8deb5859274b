"""A search, told again where it was made before."""

from time import perf_counter

from db.session import Access
from retrieval.cache.kept import KeptSearch, is_search_kept, with_look_up
from retrieval.cache.responses import ResponseCache
from retrieval.request import SearchRequest
from retrieval.response import SearchResponse
from retrieval.search import Searcher


async def cached_search(
    cache: ResponseCache, searcher: Searcher, access: Access, request: SearchRequest
) -> SearchResponse:
    """Raises what Searcher.search raises."""
    began = perf_counter()
    looked = await cache.find_search(access, request)
    milliseconds = (perf_counter() - began) * 1000
    if looked.kept is not None:
        timings = with_look_up({"total": 0.0}, milliseconds)
        return looked.kept.response.model_copy(update={"cached": True, "timings_ms": timings})
    found = await searcher.search(access, request)
    if looked.place is None:
        return found
    if is_search_kept(found):
        cache.keep(access, looked.place, KeptSearch(response=found))
    timings = with_look_up(found.timings_ms, milliseconds)
    return found.model_copy(update={"timings_ms": timings})
