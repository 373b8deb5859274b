"""`muniment …`: the commands and their options. Each imports what it needs when it runs, so that
`muniment --help` answers at once."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from muniment.cli.administration.api_keys import api_keys
from muniment.cli.administration.audit import audit
from muniment.cli.administration.dispositions import retention
from muniment.cli.administration.erasures import erasures
from muniment.cli.administration.grants import grants
from muniment.cli.administration.groups import groups
from muniment.cli.administration.holds import holds
from muniment.cli.administration.index_versions import index_versions
from muniment.cli.administration.invitations import invitations
from muniment.cli.administration.keys import keys
from muniment.cli.administration.principals import principals
from muniment.cli.administration.shares import shares
from muniment.cli.administration.subjects import subjects
from muniment.cli.administration.tasks import list_tasks
from muniment.cli.administration.tenants import show_quotas, tenants
from muniment.cli.administration.webhooks import webhooks
from muniment.cli.asking import ask
from muniment.cli.chatting import chat
from muniment.cli.evaluations import evaluate
from muniment.cli.failures import reported
from muniment.cli.options import AsJson, Home, Limit, group_of_commands
from muniment.cli.passwords import read_password
from muniment.cli.processes import become, home_environment
from muniment.cli.redaction import redact
from muniment.contracts.ocr import CandidateEngineName
from muniment.contracts.pdf_pipeline import PdfPipelineName

app = typer.Typer(
    name="muniment",
    help="Takes files in, reads every page, keeps them under law, and answers from them with proof.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
schema = group_of_commands("The database's schema.")
app.add_typer(schema, name="schema")
shadow = typer.Typer(
    help="What a candidate would read otherwise than what is published.", rich_markup_mode=None
)
app.add_typer(shadow, name="shadow")
app.add_typer(keys, name="keys")
app.add_typer(principals, name="principals")
app.add_typer(groups, name="groups")
app.add_typer(grants, name="grants")
app.add_typer(api_keys, name="api-keys")
app.add_typer(audit, name="audit")
app.add_typer(index_versions, name="index-versions")
app.add_typer(invitations, name="invitations")
app.add_typer(shares, name="shares")
app.add_typer(holds, name="holds")
app.add_typer(subjects, name="subjects")
app.add_typer(retention, name="retention")
app.add_typer(erasures, name="erasures")
app.add_typer(webhooks, name="webhooks")
app.add_typer(tenants, name="tenants")
app.command("quotas")(show_quotas)
app.command("tasks")(list_tasks)
app.command("ask")(ask)
app.command("chat")(chat)
app.command("eval")(evaluate)


class Mode(StrEnum):
    HYBRID = "hybrid"
    LEXICAL = "lexical"
    VECTOR = "vector"


JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", help="A file whose first line opens the encrypted documents."),
]


# ── the embedded stack ──────────────────────────────────────────────────────────────────────────


@app.command()
def up(
    home: Home = None,
    port: Annotated[int | None, typer.Option(help="The API's port; else a free one.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready.")] = False,
    show_payloads: Annotated[
        bool,
        typer.Option("--show-payloads", help="Let Temporal's Web UI have payloads decoded."),
    ] = False,
) -> None:
    """Start the embedded stack; Ctrl-C stops it."""
    arguments = ["--port", str(port)] if port is not None else []
    arguments += ["--detach"] if detach else []
    arguments += ["--show-payloads"] if show_payloads else []
    _embedded("up", home, arguments)


@app.command()
def down(home: Home = None) -> None:
    """Stop the embedded stack."""
    _embedded("down", home, [])


@app.command()
def status(home: Home = None, as_json: AsJson = False) -> None:
    """Show the embedded stack's processes. Exit code 3 when it does not run."""
    _embedded("status", home, ["--json"] if as_json else [])


@app.command()
def doctor(home: Home = None, as_json: AsJson = False) -> None:
    """Say what works, what is degraded, and how to mend it."""
    _embedded("doctor", home, ["--json"] if as_json else [])


def _embedded(command: str, home: Path | None, arguments: list[str]) -> None:
    chosen = ["--home", str(home)] if home is not None else []
    become("deploy.embedded", [command, *chosen, *arguments])


# ── files in, answers out ───────────────────────────────────────────────────────────────────────


@app.command()
def ingest(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH…", help="Files, folders or glob patterns.")
    ],
    collection: Annotated[str | None, typer.Option(help="Collection; else the default.")] = None,
    priority: Annotated[
        int | None, typer.Option(min=1, max=5, help="1 (first) to 5 (last).")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the files until they are ready.")
    ] = True,
    password_file: PasswordFile = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Take files in and follow them until they are ready. Exit code 1 if any failed."""
    with reported():
        from muniment.cli.ingest.command import IngestOptions, ingest_paths

        password = read_password(password_file)
        options = IngestOptions(collection, priority, wait=wait, as_json=as_json, password=password)
        sys.exit(ingest_paths(paths, home, options))


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to watch.")],
    collection: Annotated[str | None, typer.Option(help="Collection; else the default.")] = None,
    priority: Annotated[
        int | None, typer.Option(min=1, max=5, help="1 (first) to 5 (last).")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Take in what is new, then end.")] = False,
    poll: Annotated[
        bool, typer.Option("--poll", help="For folders that tell of no change (NFS, SMB).")
    ] = False,
    settle_seconds: Annotated[
        float, typer.Option(min=0, help="A file is whole when nothing wrote to it for so long.")
    ] = 2.0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Take in what appears in a folder and what changes there, each once; Ctrl-C ends it."""
    with reported():
        from muniment.cli.watch.command import WatchMode, watch_folder
        from muniment.cli.watch.intake import WatchOptions

        options = WatchOptions(collection, priority, settle_seconds)
        mode = WatchMode(once=once, poll=poll, as_json=as_json)
        sys.exit(watch_folder(folder, home, options, mode))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="Words or a sentence.")],
    mode: Annotated[Mode, typer.Option(help="How to search.")] = Mode.HYBRID,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=100, help="How many.")] = 10,
    collection: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Find passages, with their pages."""
    with reported():
        from muniment.cli.answers import search_passages

        search_passages(query, mode.value, top_k, collection, home, as_json=as_json)


@app.command()
def files(
    file_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show this file; else list them.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Its document as Markdown.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Its document as plain text.")] = False,
    name: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    state: Annotated[str | None, typer.Option(help="Only this state, e.g. ready.")] = None,
    collection: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    limit: Limit = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List files, newest first; show one, or print what was read of it."""
    if (markdown or text) and file_id is None:
        raise typer.BadParameter("--markdown and --text need the ID of a file")
    if markdown and text:
        raise typer.BadParameter("--markdown and --text exclude each other")
    with reported():
        from muniment.cli import listings

        if file_id is None:
            listings.list_files(name, state, collection, limit, home, as_json=as_json)
        elif markdown or text:
            listings.print_document(file_id, home, as_markdown=markdown)
        else:
            listings.show_file(file_id, home, as_json=as_json)


@app.command()
def download(
    file_ids: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="Ids of files; ID@2 is a version.")
    ],
    archive: Annotated[Path, typer.Option("--zip", help="Where the ZIP archive is written.")],
    home: Home = None,
) -> None:
    """Download files as one ZIP archive."""
    files = [_file_or_version(each) for each in file_ids]
    with reported():
        from muniment.cli.listings import download_archive

        download_archive(files, archive, home)


def _file_or_version(named: str) -> str | tuple[str, int]:
    file_id, at, number = named.partition("@")
    if not at:
        return named
    if not (number.isascii() and number.isdecimal()):
        raise typer.BadParameter("a version is named by its number, as in ID@2")
    return file_id, int(number)


@app.command()
def compare(
    file_id: Annotated[str, typer.Argument(metavar="FILE", help="Id of the file.")],
    version: Annotated[int, typer.Argument(min=1, help="Number of the version.")],
    other: Annotated[
        int | None, typer.Option("--with", min=1, help="The version before it; else number - 1.")
    ] = None,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON a page.")] = False,
) -> None:
    """Show what a version of a file changed, page by page."""
    with reported():
        from muniment.cli.versions import compare_versions

        compare_versions(file_id, version, other, home, as_json=as_json)


app.command()(redact)


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def jobs(
    job_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show this job; else list them.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Until the job ends.")] = False,
    limit: Limit = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, show one, or follow it. Exit code 1 if the followed job failed."""
    if follow and job_id is None:
        raise typer.BadParameter("--follow needs the ID of a job")
    with reported():
        from muniment.cli import listings

        if job_id is None:
            listings.list_jobs(limit, home, as_json=as_json)
        elif follow:
            sys.exit(listings.follow_job(job_id, home, as_json=as_json))
        else:
            listings.show_job(job_id, home, as_json=as_json)


@app.command()
def cancel(job_id: JobId, home: Home = None, as_json: AsJson = False) -> None:
    """Cancel a job."""
    _tell("cancel", job_id, home, as_json=as_json)


@app.command()
def pause(job_id: JobId, home: Home = None, as_json: AsJson = False) -> None:
    """Pause a job; what runs is finished, nothing new starts."""
    _tell("pause", job_id, home, as_json=as_json)


@app.command()
def resume(job_id: JobId, home: Home = None, as_json: AsJson = False) -> None:
    """Resume a paused job."""
    _tell("resume", job_id, home, as_json=as_json)


@app.command()
def retry(
    job_id: JobId,
    password_file: PasswordFile = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Start a new job that heals an ended one. Finished stages are reused."""
    with reported():
        from muniment.cli.listings import retry_job

        retry_job(job_id, read_password(password_file), home, as_json=as_json)


def _tell(message: str, job_id: str, home: Path | None, *, as_json: bool) -> None:
    with reported():
        from muniment.cli.listings import tell_job

        tell_job(message, job_id, home, as_json=as_json)


# ── batches ─────────────────────────────────────────────────────────────────────────────────────


@app.command()
def batch(
    file_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE_ID…]", help="Ids of uploaded files.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Take in what lies in this place, which the operator named.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Only names that begin with this.")] = "",
    collection: Annotated[str | None, typer.Option(help="Collection; else the default.")] = None,
    priority: Annotated[
        int | None, typer.Option(min=1, max=5, help="1 (first) to 5 (last).")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the batch until it is over.")
    ] = True,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Bring many files to ready, uploaded ones or a source's. Exit code 1 if any failed."""
    if bool(file_ids) is (source is not None):
        raise typer.BadParameter("name either files or --source")
    if source is None and (prefix or collection is not None):
        raise typer.BadParameter("--prefix and --collection need --source")
    with reported():
        from muniment.cli.batches import NewBatch, make_batch

        new = NewBatch(tuple(file_ids or ()), source, prefix, collection, priority)
        sys.exit(make_batch(new, home, wait=wait, as_json=as_json))


@app.command()
def batches(
    batch_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show this batch; else list them.")
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel it.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Begin no further file.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with it.")] = False,
    limit: Limit = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List batches, show one, or cancel, pause or resume it."""
    told = [
        name
        for name, wanted in (("cancel", cancel), ("pause", pause), ("resume", resume))
        if wanted
    ]
    if len(told) > 1 or (told and batch_id is None):
        raise typer.BadParameter("--cancel, --pause and --resume need the ID of one batch")
    with reported():
        from muniment.cli import batches as commands

        if batch_id is None:
            commands.list_batches(limit, home, as_json=as_json)
        elif told:
            commands.tell_batch(told[0], batch_id, home, as_json=as_json)
        else:
            commands.show_batch(batch_id, home, as_json=as_json)


# ── candidates ──────────────────────────────────────────────────────────────────────────────────


@shadow.callback(invoke_without_command=True)
def shadow_report(
    context: typer.Context,
    candidate: Annotated[
        str | None,
        typer.Option(help="Only this one, e.g. ocr_engine=tesseract or pdf_pipeline=docling."),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, max=100, help="How many of the worst files.")] = 5,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Say what each candidate would change, over all files that it read beside."""
    if context.invoked_subcommand is not None:
        return
    with reported():
        from muniment.cli.shadow import print_summary

        print_summary(candidate, worst, home, as_json=as_json)


@shadow.command("run")
def shadow_run(
    file_ids: Annotated[list[str], typer.Argument(metavar="FILE…", help="Ids of ready files.")],
    engine: Annotated[
        CandidateEngineName | None,
        typer.Option(help="OCR engine to try; without one and --pipeline, what the workers have."),
    ] = None,
    pipeline: Annotated[
        PdfPipelineName | None,
        typer.Option(help="What to try on the structure of PDFs and images."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow until all are compared.")
    ] = True,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Compare files now. Exit code 1 if a comparison failed."""
    with reported():
        from muniment.cli.shadow import Candidate, compare_files

        candidate = Candidate(engine, pipeline)
        sys.exit(compare_files(file_ids, candidate, home, wait=wait, as_json=as_json))


# ── processes ───────────────────────────────────────────────────────────────────────────────────


@app.command()
def worker(
    queues: Annotated[str, typer.Option("--queues", help="Task queues, separated by commas.")],
    home: Home = None,
) -> None:
    """Run a worker. It serves the stack of --home, or the one the environment names."""
    with reported():
        environment = home_environment(home) if home is not None else {}
        become("worker", ["--queues", queues], environment)


@app.command()
def api(home: Home = None) -> None:
    """Run the HTTP API. It serves the stack of --home, or the one the environment names."""
    with reported():
        become("api", [], home_environment(home) if home is not None else {})


@schema.command("upgrade")
def schema_upgrade(home: Home = None) -> None:
    """Bring the database's schema up to this release."""
    with reported():
        become("db.migrate", [], home_environment(home) if home is not None else {})


def run() -> None:
    app()
