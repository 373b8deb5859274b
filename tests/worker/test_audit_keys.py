"""What signs the audit trail, as an operator and as a worker come to it."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from activities.audit.activity import AuditSealing
from db.session import Database
from muniment.audit.checkpoints import VerifierKey
from muniment.errors import ConfigurationError
from muniment.settings import AuditCopiesSettings, KeySettings, Settings
from worker.audit_keys import main
from worker.auditing import open_audit_sealing


def settings(folder: Path, copies: AuditCopiesSettings) -> Settings:
    return Settings(keys=KeySettings(root=folder / "keys"), audit_copies=copies)


def test_an_operator_shows_and_rotates_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(tmp_path))
    monkeypatch.setenv("MUNIMENT_AUDIT__ORIGIN", "muniment.example.org")
    assert main(["show"]) == 0
    (first,) = capsys.readouterr().out.splitlines()
    assert VerifierKey.parsed(first).name == "muniment.example.org"
    assert main(["rotate"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == first
    (tmp_path / "audit-signing.pem").chmod(0o644)
    assert main(["show"]) == 1
    assert "chmod 600" in capsys.readouterr().err


async def test_the_second_place_has_to_be_named_from_the_root_on(
    tmp_path: Path, database: Database
) -> None:
    copies = AuditCopiesSettings(backend="filesystem", root=tmp_path / "copies")
    async with AsyncExitStack() as resources:
        opened = open_audit_sealing(settings(tmp_path, copies), database, resources)
        assert isinstance(opened, AuditSealing)
        for wrong in (Path("copies"), None):
            relative = AuditCopiesSettings(backend="filesystem", root=wrong)
            with pytest.raises(ConfigurationError, match="MUNIMENT_AUDIT_COPIES__ROOT"):
                open_audit_sealing(settings(tmp_path, relative), database, resources)
        unnamed = settings(tmp_path, AuditCopiesSettings(backend="s3"))
        with pytest.raises(ConfigurationError, match="MUNIMENT_AUDIT_COPIES__ENDPOINT"):
            open_audit_sealing(unnamed, database, resources)
