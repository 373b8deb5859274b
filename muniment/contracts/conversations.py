"""Conversations: whose turn a message is, how far an answer came, what is thought of it."""

from enum import StrEnum

from muniment.contracts.base import Contract


class MessageRole(StrEnum):
    QUESTION = "question"
    ANSWER = "answer"


class MessageState(StrEnum):
    """`interrupted`: nobody waited for it any more, or its process ended. `forgotten`: a file was erased that
    it may have quoted."""

    GENERATING = "generating"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FORGOTTEN = "forgotten"


class Verdict(StrEnum):
    UP = "up"
    DOWN = "down"


class SaidWords(Contract):
    """A title, a question, or what somebody says of an answer."""

    text: str
