"""What finds, hands out and erases what there is of a person."""

from collections.abc import Callable, Sequence

from activities.subjects.activity import SubjectRequests
from db.session import Database
from muniment.objects import SealedTexts
from muniment.stores import Stores


def subject_activities(
    database: Database, stores: Stores, texts: SealedTexts
) -> Sequence[Callable[..., object]]:
    """Of the queue of workflows."""
    subjects = SubjectRequests(database, stores.blobs, texts, stores.keys)
    return [
        subjects.find_subject,
        subjects.attend_subject_request,
        subjects.export_subject,
        subjects.erase_subject,
        subjects.end_subject_request,
    ]
