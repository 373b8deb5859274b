"""Every timeout, retry, heartbeat and cancellation type of the workflows, each with its reason.

Waiting in a queue counts towards schedule-to-close and towards nothing else: a backlog of days must
not fail a job, so that budget is wide, and what bounds the work itself is start-to-close.

Retries are not counted here. Whether one helps is decided where the error is known
(`activities/failures.py` marks what is final); what remains are services that do not answer, and
for those Temporal tries until the budget ends.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

from muniment.contracts import queues

BUDGET = timedelta(days=7)
"""A long weekend's outage or backlog must not fail a job; what takes longer needs a person."""

HEARTBEAT = timedelta(seconds=15)
"""Activities beat every second. A killed worker's work starts again after this; a machine under
full load, whose event loop stalls for seconds, must not be taken for dead."""

RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=1),
)
"""A restarting database or a killed engine is back within seconds; after a minute's back-off more
patience gains nothing."""

_WAIT = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
"""A cancelled job is only over once its engines are: else a page would be read on unseen, and the
cleanup would race with it."""


def _stage(queue: str, start_to_close: timedelta) -> ActivityConfig:
    return ActivityConfig(
        task_queue=queue,
        start_to_close_timeout=start_to_close,
        schedule_to_close_timeout=BUDGET,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RETRY,
        cancellation_type=_WAIT,
    )


SCAN = _stage(queues.SCAN, timedelta(minutes=20))
"""clamd reads 16–52 MB/s: its 2 GB take up to two minutes, several at once many more."""
INSPECT = _stage(queues.PARSE, timedelta(minutes=15))
"""Opens the whole file, which may be gigabytes; the engine itself is ended after a minute."""
READ_TEXT = _stage(queues.PARSE, timedelta(minutes=30))
"""Sixteen pages take seconds; a structured format is read whole. The sandbox ends engines at five
minutes, and pages set apart are read anew alone; docling's pipeline has what time is left."""
READ_OCR = _stage(queues.OCR_CPU, timedelta(hours=2))
"""Eight dense pages take a minute; at the engine's own limit of 90 s a page, with pages set apart
and waiting for a sandbox slot, an hour."""


def read_gpu(wait: timedelta) -> ActivityConfig:
    """A batch on the GPU queue, which the CPU queue reads when this fails: so patience is short.

    It is not taken within `wait`: no worker polls, or they are busier than the CPU. Three attempts
    outlive a replica that was killed, which is back within seconds; what still fails, fails for
    longer. Half an hour bounds a batch whose every page waits for a replica that has hung.
    """
    config = _stage(queues.OCR_GPU, timedelta(minutes=30))
    config["schedule_to_start_timeout"] = wait
    config["retry_policy"] = replace(RETRY, maximum_attempts=3)
    return config


ASSEMBLE = _stage(queues.PARSE, timedelta(minutes=20))
"""Grows with the pages; thousands take minutes."""
CLASSIFY = _stage(queues.PARSE, timedelta(minutes=15))
"""The engine bounds itself to a minute, but may wait for a sandbox slot."""
CHUNK = _stage(queues.PARSE, timedelta(minutes=20))
"""Grows with the text; tokenizing thousands of pages takes minutes."""
EMBED = _stage(queues.EMBED, timedelta(hours=2))
"""Some 40–70 chunks a second and core-pair: 10,000 pages take an hour."""
PUBLISH = _stage(queues.WORKFLOWS, timedelta(minutes=15))
"""One transaction; 20,000 chunks with postings and vectors take a minute."""

RECORD = ActivityConfig(
    task_queue=queues.WORKFLOWS,
    start_to_close_timeout=timedelta(seconds=20),
    schedule_to_close_timeout=BUDGET,
    retry_policy=RETRY,
    # Cleanup must happen even in a cancelled workflow; it takes milliseconds, so nothing waits.
    cancellation_type=ActivityCancellationType.ABANDON,
)
"""A row or two: longer than 20 s means that the worker died, and nobody waits for its heartbeat."""

DECISION = ActivityConfig(
    task_queue=queues.WORKFLOWS,
    start_to_close_timeout=timedelta(seconds=20),
    schedule_to_close_timeout=timedelta(minutes=2),
    retry_policy=RETRY,
)
"""A person waits for the answer: better an error that can be repeated than minutes of silence."""

ERASE = ActivityConfig(
    task_queue=queues.WORKFLOWS,
    start_to_close_timeout=timedelta(minutes=30),
    schedule_to_close_timeout=timedelta(days=30),
    heartbeat_timeout=HEARTBEAT,
    retry_policy=RETRY,
    cancellation_type=_WAIT,
)
"""An erasure that was ordered is owed: it is retried for as long as the law gives (a month)."""

HOLD_LOOK = timedelta(days=1)
"""Whoever releases a hold wakes what waits for that; this is for a word that was lost."""

ATTEND_HOLD = ActivityConfig(
    task_queue=queues.WORKFLOWS,
    start_to_close_timeout=timedelta(minutes=5),
    retry_policy=RETRY,
)
"""A matter is attended to for as long as it lasts, which may be years: nothing ends the attempts."""
HOLD_PRIORITY = 2
REMIND = ActivityConfig(
    task_queue=queues.WORKFLOWS,
    start_to_close_timeout=timedelta(minutes=5),
    schedule_to_close_timeout=timedelta(hours=1),
    retry_policy=RETRY,
)
"""At most a thousand tasks, some rows each; by the next hour the next round has begun."""
REMIND_PRIORITY = 2

RENDER = ActivityConfig(
    task_queue=queues.PARSE,
    start_to_close_timeout=timedelta(minutes=1),
    schedule_to_close_timeout=timedelta(minutes=2),
    heartbeat_timeout=HEARTBEAT,
    retry_policy=RETRY,
    cancellation_type=_WAIT,
)
"""Somebody is looking at an empty place: a page takes a second, and who has waited for two minutes
has asked again or gone. Requests must not pile up behind a queue that nobody serves."""

REDACT = ActivityConfig(
    task_queue=queues.PARSE,
    start_to_close_timeout=timedelta(minutes=5),
    schedule_to_close_timeout=timedelta(minutes=15),
    heartbeat_timeout=HEARTBEAT,
    retry_policy=RETRY,
    cancellation_type=_WAIT,
)
"""All pages of a document are drawn; who asked comes again for what takes longer than a request."""

PICTURES = ActivityConfig(
    task_queue=queues.PARSE,
    start_to_close_timeout=timedelta(minutes=3),
    schedule_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=HEARTBEAT,
    retry_policy=RETRY,
    cancellation_type=_WAIT,
)
"""Fifty pages, a fraction of a second each; a job does not wait long for what it can do without."""

ANCHOR = ActivityConfig(
    task_queue=queues.PARSE,
    start_to_close_timeout=timedelta(minutes=20),
    schedule_to_close_timeout=timedelta(days=1),
    heartbeat_timeout=HEARTBEAT,
    retry_policy=replace(RETRY, maximum_attempts=10),
    cancellation_type=_WAIT,
)
"""The job is completed and nobody waits: a backlog may pass. The engine is ended after four minutes for
each version that was annotated; ten attempts outlive a database that is restarted."""

ADMIT = ActivityConfig(
    task_queue=queues.WORKFLOWS,
    start_to_close_timeout=timedelta(minutes=1),
    schedule_to_close_timeout=BUDGET,
    retry_policy=RETRY,
)
"""A window's rows in one transaction: milliseconds each."""
LIST_OBJECTS = _stage(queues.WORKFLOWS, timedelta(hours=2))
"""A hundred thousand objects are two hundred pages, seconds each on a slow store; another attempt
goes on where this one ended."""
TAKE_IN = _stage(queues.WORKFLOWS, timedelta(hours=4))
"""Picks no further object after some seconds, but one of 16 GB at 2 MB/s takes more than two hours."""
WATCH = ActivityConfig(
    task_queue=queues.WORKFLOWS,
    start_to_close_timeout=timedelta(minutes=5),
    schedule_to_close_timeout=BUDGET,
    heartbeat_timeout=HEARTBEAT,
    retry_policy=RETRY,
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)
"""Looks at the rows of what is at work, and ends of itself after a minute; nothing is lost with it,
so that nobody waits for its cancellation."""

INGESTION_END = timedelta(minutes=10)
"""How long an erasure waits for ingestions that it stopped. Their activities end within seconds of
a beat; afterwards they find the file in erasure and keep nothing."""

TEXT_BATCH_PAGES = 16
"""119 events for 500 pages, against 1,778 with an activity per page; a batch takes seconds, so
that little is lost with a worker."""
OCR_BATCH_PAGES = 8
"""A dense page takes 2–5 s: a batch takes under a minute, and pages are kept one by one."""
OCR_SPREAD = 4
"""A short scan is cut in so many batches at least, so that it does not wait on a single core."""
GPU_RECOVERY = timedelta(minutes=1)
"""A document that the GPU queue let down leaves it alone for so long: each further batch would wait
in vain before the CPU queue has it."""
WINDOW = 8
"""Batches of one document in flight: enough for a worker's slots, few enough that one document
does not fill the queue, and that a pause takes hold soon."""
BATCH_WINDOW = 32
"""Files of one batch at work: enough for the slots of several machines, and few enough that another
batch, or a file of more haste, waits behind no long queue of workflow tasks."""
CHILD_PAGES = 500
"""Pages per child workflow: 500 pages are at most 63 OCR batches, some 400 events, which a worker
that takes the workflow over replays at once; 10,000 pages are twenty children."""
FORMER_CHILD_PAGES = 2_000
"""What it was for documents whose reading began before 2026-11-21."""
HISTORY_EVENTS = 3_000
"""A page range continues as new above it: pauses add events without end, and at 4,096 Temporal
itself suggests to."""

UNPACK = _stage(queues.PARSE, timedelta(minutes=45))
"""Two gigabytes out of an archive, member by member into the sealed store; the engine itself is
ended after 25 minutes."""
MEMBER_WINDOW = 8
"""Members of one container in flight: enough for a worker's slots, few enough that an archive of
thousands does not fill the queues."""
MEMBERS_PER_RUN = 150
"""Some 20 events a member: 3,000 events, below the 4,096 at which Temporal suggests to continue as
new."""

MIN_PRIORITY, MAX_PRIORITY = 1, 5


def priority(level: int, tenant: str) -> Priority:
    """1 is served first; within a level tenants take turns."""
    return Priority(priority_key=level, fairness_key=tenant)


@dataclass(frozen=True)
class Pace:
    """How eagerly work is done: so many batches of pages in flight, and attempts at each activity
    (0: until the policy's budget ends)."""

    window: int
    attempts: int

    def of(self, policy: ActivityConfig) -> ActivityConfig:
        """The policy at this pace."""
        if not self.attempts:
            return policy
        config = policy.copy()
        config["retry_policy"] = replace(RETRY, maximum_attempts=self.attempts)
        return config


WHOLE_HEARTED = Pace(WINDOW, attempts=0)
ASIDE = Pace(window=1, attempts=3)
"""A comparison of readings: it takes one slot at most, so that whatever comes waits for one batch
and no longer, and gives up where an ingestion would go on trying."""

COMPARE = _stage(queues.PARSE, timedelta(minutes=15))
"""The engine itself is ended after eight minutes, and may wait for a sandbox slot."""
VERIFY = _stage(queues.VERIFY, BUDGET)
"""A batch is 256 MiB, or one blob: at a set pace of 20 MB/s one of 300 GB takes four hours, at the least
that may be set three days. That it is still read its heartbeat says. Without the store for a week the
run fails, and the next one begins with the same blob."""
VERIFY_BATCHES = 300
"""Three events a batch and more where workers die: some 1,000, before the run continues as new."""
VERIFY_PRIORITY = MAX_PRIORITY
"""Whatever somebody waits for goes first."""
MOVE = _stage(queues.VERIFY, BUDGET)
"""As many blobs as one listing holds, each read twice and written once at a set pace: one of 300 GB at
20 MB/s takes a working day. What waits behind it waits for no person."""
MOVE_BATCHES = 300
"""Three events a batch and more where workers die, as with VERIFY_BATCHES."""
MOVE_PRIORITY = MAX_PRIORITY
ROTATE = _stage(queues.WORKFLOWS, timedelta(minutes=5))
"""Some requests to the key management; one that is away is waited for."""
REWRAP = _stage(queues.WORKFLOWS, timedelta(hours=1))
"""Takes no further shard after some seconds. A shard of a tenant with 25 million blobs holds a hundred
thousand keys: minutes of requests to a key management elsewhere."""
REWRAP_BATCHES = 300
"""Three events a batch: some 1,000, before the rotation continues as new."""
SWEEP_RETENTION = _stage(queues.WORKFLOWS, timedelta(minutes=10))
"""A page of files is judged within a second; one of which many are to be deleted takes some."""
SWEEP_STEPS = 300
"""Three events a step, and more where somebody is waited for: some 1,000, before it continues as new."""
SWEEP_PRIORITY = MAX_PRIORITY
"""What is due today was kept for years."""
MERGE = _stage(queues.WORKFLOWS, timedelta(hours=2))
"""The keys of a million passages are looked through within a minute, and what is merged is rewritten once.
A round that dies begins anew, and finds less to do."""
SEAL = _stage(queues.WORKFLOWS, timedelta(minutes=5))
"""A round takes up nothing more after a minute, and a batch takes less than a second. One that dies is begun
anew, and goes on."""
SEAL_PRIORITY = 1
"""Until it is sealed nothing proves an act: it takes little, and goes first."""
MERGE_PRIORITY = MAX_PRIORITY
"""Whatever somebody waits for goes first: until it comes, searches read some more rows."""
ROTATION_PRIORITY = MAX_PRIORITY
"""Whatever somebody waits for goes first."""
FILL = _stage(queues.EMBED, timedelta(minutes=15))
"""Takes no further batch after some seconds. A batch is some texts, but one of them may stand in a hundred
thousand passages."""
FILL_BATCHES = 300
"""Three events a batch: some 1,000, before the workflow continues as new."""
FILL_PAUSE = timedelta(minutes=10)
"""Whoever lets a paused one go on wakes it; this is for a word that was lost."""
EVALUATE_INDEX = _stage(queues.VERIFY, timedelta(hours=1))
"""Some questions, for each of which every vector is measured: a second each among a million. It waits for
publications at work too."""
REINDEX_PRIORITY = MAX_PRIORITY
"""Whatever is ingested goes first, and searches go on by the index version that there is."""
EVALUATE = _stage(queues.EVALUATE, timedelta(minutes=30))
"""Asks questions for some seconds; the last one of them a language model may take minutes to answer and to
judge."""
EVALUATE_BATCHES = 500
"""Three events a batch and more where workers die: some 2,000, before the run continues as new."""
EVALUATION_PRIORITY = MAX_PRIORITY
"""Whatever is ingested goes first."""
ANSWER = _stage(queues.EVALUATE, timedelta(minutes=30))
"""As EVALUATE: some seconds, and an answer that a language model is slow with."""
ANSWER_BATCHES = 500
"""Three events a batch and more where workers die: some 2,000, before the workflow continues as new."""
ANSWER_PAUSE = timedelta(minutes=10)
"""Whoever lets a paused list go on wakes it; this is for a word that was lost."""
ANSWER_PRIORITY = 4
"""Somebody waits for it, and not at a screen: behind what is ingested, before evaluations."""
EXPIRE = _stage(queues.WORKFLOWS, timedelta(hours=1))
"""A few writes to a disk for each part of what expired; a tenant may have thousands."""
EXPIRY_LOOKS = 200
"""Some ten events a look: 2,000, before the run continues as new."""
LEAST_EXPIRY_PAUSE = timedelta(seconds=2)
"""Uploads that were begun one after the other expire so: a look takes all of some seconds together."""
EXPIRY_PRIORITY = MAX_PRIORITY
"""Nobody waits for it."""
FIND_SUBJECT = _stage(queues.WORKFLOWS, timedelta(minutes=30))
"""Some seconds, and a page of fifty files, which may be books."""
EXPORT_SUBJECT = _stage(queues.WORKFLOWS, timedelta(hours=12))
"""Tens of gigabytes, which are read, packed and sealed."""
SUBJECT_LOOKS = 400
"""Some five events a look: 2,000, before the run continues as new."""
SUBJECT_PRIORITY = 4
"""Somebody waits for it, and not at a screen."""
WITHDRAW = ActivityConfig(
    task_queue=queues.WORKFLOWS,
    start_to_close_timeout=timedelta(minutes=5),
    schedule_to_close_timeout=BUDGET,
    heartbeat_timeout=HEARTBEAT,
    retry_policy=RETRY,
    cancellation_type=ActivityCancellationType.ABANDON,
)
"""Five hundred pages' keys, milliseconds each on a disk and some tens in a far store. It is owed to
a file that was taken away, so that it outlives the cancellation that brought it about."""

DELIVERY_PRIORITY = 3
DELIVERY_JITTER = (0.9, 1.1)
"""Of each pause of the published schedule: who waits for an attempt still knows about when it comes."""


def deliver(tenant_id: UUID) -> ActivityConfig:
    """An attempt ends by itself within a minute (settings). Tenants take turns within the queue, and
    an endpoint or a tenant that has all the places that it may have waits without a place."""
    config = _stage(queues.DELIVER, timedelta(minutes=2))
    config["priority"] = priority(DELIVERY_PRIORITY, str(tenant_id))
    return config
