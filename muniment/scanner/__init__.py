"""The virus scanner clamd: how it is spoken to, what it calls clean, and whether that can be believed."""

from muniment.scanner.clamd import Clamd, ScannerVersion, is_clean, parse_version
from muniment.scanner.encrypted import SCANNER_TLS, ScannerTls
from muniment.scanner.trial import failed_setting, remedy, trials

__all__ = [
    "SCANNER_TLS",
    "Clamd",
    "ScannerTls",
    "ScannerVersion",
    "failed_setting",
    "is_clean",
    "parse_version",
    "remedy",
    "trials",
]
