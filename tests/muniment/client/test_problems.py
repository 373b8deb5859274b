"""Every problem that the API may answer with becomes an exception of both kinds."""

from collections.abc import Iterator

import httpx
import pytest

from muniment import errors
from muniment.client.problems import ApiProblem, problem_of


def kinds(kind: type[errors.MunimentError]) -> Iterator[type[errors.MunimentError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__name__ in errors.__all__:
            yield from kinds(child)


@pytest.mark.parametrize("kind", [*kinds(errors.MunimentError)], ids=lambda kind: kind.__name__)
def test_a_problem_is_raised_as_what_it_names(kind: type[errors.MunimentError]) -> None:
    document = {
        "type": f"urn:muniment:problem:{kind.problem}",
        "title": kind.title,
        "status": kind.status,
        "detail": "what happened",
        "remedy": "what to do",
        "request_id": "one",
    }
    problem = problem_of(httpx.Response(kind.status, json=document))
    assert isinstance(problem, ApiProblem)
    assert isinstance(problem, kind)
    assert (problem.detail, problem.remedy) == ("what happened", "what to do")
    assert problem.status_code == kind.status
