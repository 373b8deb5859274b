"""Which personal data is looked for, and what makes a match one."""

import ipaddress

import phonenumbers
import regex
import tldextract
from presidio_analyzer import Pattern
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    IbanRecognizer,
    UsSsnRecognizer,
)

from activities.classify.recognisers import FLAGS, Match, PatternFinder, words_before

# Presidio's e-mail recogniser validates through tldextract's default, which fetches the list of
# public suffixes at its first use; this one keeps to the copy in the package.
_SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
_PHONE_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "IN", "AU")

# Words by which the number after them is named, in the languages of the first locales.
_PHONE_WORDS = regex.compile(
    r"\b(?:(?:tele)?(?:phone|fon|fax)|phones|tel|t[ée]l[ée]phone|tel[ée]fono|mobile?|cell(?:phone)?"
    r"|handy|call|dial|whatsapp|sms|hotline|contact(?: me)? (?:at|on|number)"
    r"|(?:reach\w*|answer\w*)(?: (?:me|him|her|us|them))? (?:at|on))\b|手机|手機|电话|電話|携帯",
    FLAGS,
)
_SSN_WORDS = regex.compile(r"\b(?:ssns?|social[\s-]+security)\b", FLAGS)
_BIRTH_WORDS = regex.compile(
    r"\b(?:born|birth\w*|dob|d\.o\.b|geboren|geb|geburts\w+|n[ée]e?(?: le)?|naissance|nacid[oa]"
    r"|nacimiento|nat[oa] il)\b",
    FLAGS,
)

_EMAIL = Pattern(
    "mailbox at a domain",
    # Local part of at most 64 characters (RFC 5321); bounded, so that no run of text is scanned
    # again from every one of its positions.
    r"(?<![\w.+%-])\w[\w.+%'-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W_][\w-]{0,61}[^\W_]",
    0.5,
)
_IBAN = Pattern("IBAN", r"(?<![A-Z0-9])[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}", 0.5)
_CARD = Pattern(
    "12 to 19 digits, plain or in a card's groups",
    r"(?<![\w.,-])[1-9](?:\d{11,18}|\d{3}([ -])\d{4}\1\d{4}(?:\1\d{1,7}|(?:\1\d{4}){2})?"
    r"|\d{3}([ -])\d{6}\2\d{4,5})(?!\w|[.,-]\d)",
    0.5,
)
_SSN = Pattern(
    "three, two and four digits", r"(?<![\w.-])\d{3}([- .]?)\d{2}\1\d{4}(?!\w|[.-]\d)", 0.5
)
_IPV4 = Pattern("IPv4", r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?![\w/]|\.\w)", 0.6)
_IPV6 = Pattern(
    "IPv6",
    r"(?<![\w:.])(?:[0-9A-F]{1,4})?(?::[0-9A-F]{0,4}){2,8}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?"
    r"(?:/\d{1,3})?(?![\w:/])",
    0.6,
)
_PHONE = Pattern(
    "a run of digits and separators",
    # Scripts that put no space between words may have it right behind one.
    r"(?<![\p{Latin}\p{Nd}_.,/+=-])(?:\+|\(\+?)?\d(?:[ ().\u2010\u2011/-]{0,2}\d){6,16}"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w%]|[.,/-]\d)",
    0.4,
)
_STARTS_WITH_DATE = regex.compile(r"(?:19|20)\d\d([-/.])\d\d\1\d\d(?!\d)")
_LOOKS_WRITTEN_AS_PHONE = regex.compile(
    r"\)|^0\d+[ ./-]|\d[ .\u2010\u2011/-]+\d+[ .\u2010\u2011/-]+\d"
)
"""An area code in parentheses or after a trunk 0, or three groups: two groups alone are more often
a street's number and a post code, or a ZIP+4."""

_DATE = Pattern(
    "a date",
    r"(?<![\w./-])(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}"
    r"|\d{1,2}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?[^\W\d_]{3,10}\.?,?\s+\d{4}"
    r"|[^\W\d_]{3,10}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4})(?![\w/])",
    0.6,
)


def personal_data_finders() -> tuple[PatternFinder, ...]:
    """The finders in the order in which they run."""
    return (
        PatternFinder("EMAIL_ADDRESS", "EmailRecognizer", (_EMAIL,), _email),
        PatternFinder("IBAN_CODE", "IbanRecognizer", (_IBAN,), _iban),
        PatternFinder("CREDIT_CARD", "CreditCardRecognizer", (_CARD,), _card),
        PatternFinder("US_SSN", "UsSsnRecognizer", (_SSN,), _social_security_number),
        PatternFinder("IP_ADDRESS", "IpRecognizer", (_IPV4, _IPV6), _ip_address),
        PatternFinder("PHONE_NUMBER", "PhoneRecognizer", (_PHONE,), _phone_number),
        PatternFinder("DATE_OF_BIRTH", "BirthDateRecognizer", (_DATE,), _birth_date),
    )


_CHECKS_IBAN = IbanRecognizer(exact_match=True)
_CHECKS_CARD = CreditCardRecognizer()
_CHECKS_SSN = UsSsnRecognizer()


def _email(_text: str, found: "regex.Match[str]") -> Match | None:
    domain = found.group().rpartition("@")[2]
    if not _SUFFIXES(domain).suffix:
        return None
    return Match(found.start(), found.end(), 1.0)


def _card(_text: str, found: "regex.Match[str]") -> Match | None:
    """Luhn's check digit (ISO/IEC 7812-1)."""
    if not _CHECKS_CARD.validate_result(found.group()):
        return None
    return Match(found.start(), found.end(), 1.0)


def _iban(text: str, found: "regex.Match[str]") -> Match | None:
    """The longest prefix that ends at a border and whose check digits hold: words may follow."""
    value = found.group()
    for end in range(len(value), 14, -1):
        follows = text[found.start() + end : found.start() + end + 1]
        if follows.isalnum() or not value[end - 1].isalnum():
            continue
        if _CHECKS_IBAN.validate_result(value[:end].upper()):
            return Match(found.start(), found.start() + end, 1.0)
    return None


def _social_security_number(text: str, found: "regex.Match[str]") -> Match | None:
    named = words_before(text, found.start(), _SSN_WORDS)
    if _CHECKS_SSN.invalidate_result(found.group()) or not (found.group(1) or named):
        return None
    return Match(found.start(), found.end(), 0.85 if named else 0.5)


def _ip_address(_text: str, found: "regex.Match[str]") -> Match | None:
    try:
        address = ipaddress.ip_interface(found.group()).ip
    except ValueError:
        return None
    return None if address.is_unspecified else Match(found.start(), found.end(), 0.6)


def _phone_number(text: str, found: "regex.Match[str]") -> Match | None:
    """International with a plus; or named by a word before it; or written in groups and valid in
    one of the regions."""
    value = found.group()
    digits = sum(character.isdigit() for character in value)
    if _STARTS_WITH_DATE.match(value):
        return None
    if "+" in value[:2] and digits >= 8:
        return Match(found.start(), found.end(), 0.75)
    if words_before(text, found.start(), _PHONE_WORDS):
        return Match(found.start(), found.end(), 0.6)
    if _LOOKS_WRITTEN_AS_PHONE.search(value) and _is_valid_somewhere(value):
        return Match(found.start(), found.end(), 0.5)
    return None


def _is_valid_somewhere(value: str) -> bool:
    for region in _PHONE_REGIONS:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(value, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _birth_date(text: str, found: "regex.Match[str]") -> Match | None:
    if not words_before(text, found.start(), _BIRTH_WORDS):
        return None
    return Match(found.start(), found.end(), 0.6)
