"""Text of old encodings, however long it is and wherever its first letter outside ASCII stands."""

import codecs
import random

import pytest

from activities.assemble.export import document_text
from activities.read.code_pages import LAST_RESORT
from activities.read.structured import convert
from activities.read.text_encoding import decode_text, encoding_of, looks_like_text
from tests.activities.made_documents import in_memory

GERMAN = (
    "Die Schlüssel zum Gewölbe gehören dem Rat. Wer die Türen öffnet, trägt es ins Büchlein ein –"
    " und für Schäden büßt er selbst. Die Äbtissin hält die Gebühren später für „ungewöhnlich“."
)
FRENCH = (
    "Les clés de l’abbaye étaient gardées par le prévôt. Où qu’il aille, il rédige l’inventaire des"
    " chartes reçues, à l’évêché comme à l’hôtel de ville, d’après les règles du siècle passé."
)
RUSSIAN = (
    "Все ключи висят в северной башне. Дверь закрывается в девять часов, и после этого никто не"
    " входит в хранилище без письменного разрешения. Грамоты и печати перечислены в описи."
)
POLISH = (
    "Wszystkie klucze wiszą w północnej wieży. Drzwi zamyka się o dziewiątej, a później nikt nie"
    " wchodzi do skarbca bez zgody opata. Księgi są spisane, pieczęcie przechowuje się osobno, źle"
    " zaś strzeżone są tylko świece."
)
CZECH = (
    "Všechny klíče visí v severní věži. Dveře se zavírají v devět hodin a potom už nikdo nevstoupí"
    " do archivu bez svolení opata. Listiny jsou sepsány, pečeti leží zvlášť a příliš mnoho jich"
    " není."
)
GREEK = (
    "Όλα τα κλειδιά κρέμονται στον βόρειο πύργο. Η πόρτα κλείνει στις εννέα και ύστερα κανείς δεν"
    " μπαίνει στο αρχείο χωρίς άδεια. Τα έγγραφα και οι σφραγίδες είναι γραμμένα στον κατάλογο."
)
CHINESE = (
    "所有的钥匙都挂在北塔里。九点钟关门，此后没有院长的许可，任何人都不得进入档案室。"
    "每一份契约都登记在册，印章另外保管，借阅的人必须写下自己的名字和归还的日期。"
)
TAIWANESE = (
    "所有的鑰匙都掛在北塔裡。九點鐘關門，此後沒有院長的許可，任何人都不得進入檔案室。"
    "每一份契約都登記在冊，印章另外保管，借閱的人必須寫下自己的名字和歸還的日期。"
)
JAPANESE = (
    "すべての鍵は北の塔に掛けてあります。扉は九時に閉まり、その後は院長の許可がなければ誰も"
    "文書庫に入ることはできません。契約書はすべて目録に記され、印章は別に保管されています。"
)
KOREAN = (
    "모든 열쇠는 북쪽 탑에 걸려 있습니다. 문은 아홉 시에 닫히고 그 뒤에는 원장의 허락 없이 아무도"
    " 문서고에 들어갈 수 없습니다. 계약서는 모두 목록에 적혀 있으며 인장은 따로 보관합니다."
)
THAI = (
    "กุญแจทั้งหมดแขวนอยู่ในหอคอยด้านเหนือ ประตูปิดเวลาเก้านาฬิกา หลังจากนั้นไม่มีใครเข้าห้องเอกสารได้"
    "หากไม่ได้รับอนุญาตจากเจ้าอาวาส"
)
SPANISH = (
    "Las llaves del archivo están en la torre. El señor Muñoz cerró la puerta después de la reunión"
    " y pidió también una explicación: ¿quién llevó los sellos a la capilla, y con qué permiso?"
)
DANISH = (
    "Alle nøgler hænger i det nordlige tårn. Døren låses klokken ni, og derefter må ingen gå ind i"
    " arkivet uden abbedens tilladelse, så længe fæstebrevene ikke er læst og påtegnet."
)
HUNGARIAN = (
    "Minden kulcs az északi toronyban függ. Az ajtót kilenc órakor zárják, és azután senki sem"
    " léphet be a levéltárba az apát engedélye nélkül. A könyveket és pecséteket őrzik, ők a felelősek"
    " érte, és hűségesen gyűjtik."
)
TURKISH = (
    "Bütün anahtarlar kuzey kulesinde asılıdır. Kapı saat dokuzda kapanır ve ondan sonra başrahibin"
    " izni olmadan hiç kimse arşive giremez. Mühürler ayrı saklanır, ödünç alanlar adını yazar."
)
NARROW = [
    ("cp1252", GERMAN),
    ("cp1252", FRENCH),
    ("cp1252", SPANISH),
    ("cp1252", DANISH),
    ("mac_roman", GERMAN),
    ("iso-8859-2", POLISH),
    ("cp1250", POLISH),
    ("cp1250", CZECH),
    ("cp1250", HUNGARIAN),
    ("cp1254", TURKISH),
    ("koi8-r", RUSSIAN),
    ("cp1251", RUSSIAN),
    ("cp866", RUSSIAN),
    ("iso-8859-5", RUSSIAN),
    ("cp1253", GREEK),
    ("cp874", THAI),
]
EAST_ASIAN = [
    ("gb18030", CHINESE),
    ("gbk", CHINESE),
    ("big5", TAIWANESE),
    ("shift_jis", JAPANESE),
    ("euc_jp", JAPANESE),
    ("euc_kr", KOREAN),
]
SWITCHED = [("iso2022_jp", JAPANESE), ("iso2022_jp_ext", "ｶﾀｶﾅ 日本"), ("iso2022_kr", KOREAN)]
WIDE = [
    (encoding, text)
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32")
    for text in (GERMAN, RUSSIAN, CHINESE, JAPANESE, KOREAN, THAI)
]
UNMARKED = [(encoding, text) for encoding, text in WIDE if encoding[-2:] in ("le", "be")]
UNSPACED = [(encoding, text) for encoding, text in UNMARKED if text is not THAI]
UTF8 = [("utf-8", GERMAN), ("utf-8-sig", CHINESE), ("utf-8", THAI)]
ASCII = "All keys hang in the north tower, and the door closes at nine o'clock.\n"
AFTER_100_KIB = ASCII * (100 * 1024 // len(ASCII) + 1)


NAMES = {
    text: name.lower()
    for name, text in list(globals().items())
    if name.isupper() and isinstance(text, str)
}


def named(value: str) -> str:
    """What a test's name says of an encoding or a text."""
    return NAMES.get(value, value)


def lines(text: str, count: int = 40) -> str:
    return f"{text}\n" * count


@pytest.mark.parametrize(
    ("encoding", "text"), [*NARROW, *EAST_ASIAN, *SWITCHED, *WIDE, *UTF8], ids=named
)
def test_a_long_text_is_read_in_its_encoding(encoding: str, text: str) -> None:
    assert decode_text(lines(text, 2_000).encode(encoding)) == lines(text, 2_000)


@pytest.mark.parametrize(
    ("encoding", "text"), [*NARROW, *EAST_ASIAN, *SWITCHED, *WIDE, *UTF8], ids=named
)
def test_a_short_text_is_read_in_its_encoding(encoding: str, text: str) -> None:
    assert decode_text(lines(text, 2).encode(encoding)) == lines(text, 2)


@pytest.mark.parametrize(
    ("encoding", "text"), [*NARROW, *EAST_ASIAN, *SWITCHED, *WIDE, *UTF8], ids=named
)
def test_the_first_letter_outside_ascii_may_come_late(encoding: str, text: str) -> None:
    whole = AFTER_100_KIB + lines(text)
    assert decode_text(whole.encode(encoding)) == whole


@pytest.mark.parametrize(("encoding", "text"), EAST_ASIAN[:-1] + UNSPACED, ids=named)
def test_a_long_text_without_spaces_and_lines_is_read(encoding: str, text: str) -> None:
    whole = "".join(text.split()) * 2_000
    assert decode_text(whole.encode(encoding)) == whole


@pytest.mark.parametrize(("encoding", "text"), NARROW + EAST_ASIAN, ids=named)
def test_letters_far_apart_are_found(encoding: str, text: str) -> None:
    sentences = [ASCII * 60 + sentence + ".\n" for sentence in text.split(". ")]
    whole = "".join(sentences * 12)
    assert decode_text(whole.encode(encoding)) == whole


@pytest.mark.parametrize(("encoding", "text"), EAST_ASIAN, ids=named)
@pytest.mark.parametrize("cut", [65_535, 65_536, 65_537, 65_538])
def test_a_text_cut_within_a_character_loses_that_one_alone(
    encoding: str, text: str, cut: int
) -> None:
    data = lines(text, 2_000).encode(encoding)[:cut]
    decoded = decode_text(data)
    assert lines(text, 2_000).startswith(decoded[:-1])
    assert len(decoded) > cut / 3


def test_switched_text_may_be_cut_and_colours_of_terminals_are_none() -> None:
    text = lines(JAPANESE, 3)
    cut = text.encode("iso2022_jp")[:-9]
    assert decode_text(cut).startswith(lines(JAPANESE, 2))
    assert looks_like_text(cut)
    assert looks_like_text(lines(KOREAN, 3).encode("iso2022_kr"))
    coloured = "\x1b[31mred\x1b[0m costs $(B) and $@\n"
    assert decode_text(coloured.encode()) == coloured


@pytest.mark.parametrize(("encoding", "text"), EAST_ASIAN, ids=named)
def test_one_broken_byte_spoils_its_own_line_alone(encoding: str, text: str) -> None:
    broken = text.encode(encoding) + b"\xff\n"
    whole = lines(text, 300).encode(encoding)
    decoded = decode_text(whole + broken + whole).splitlines()
    assert decoded[:300] == decoded[301:] == [text] * 300
    assert decoded[300].startswith(text[:-1])


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, CHINESE, THAI], ids=named)
@pytest.mark.parametrize("head", ["", AFTER_100_KIB])
def test_nearly_utf_8_stays_utf_8(text: str, head: str) -> None:
    before, after = (head + lines(text)).encode(), lines(text).encode()
    decoded = decode_text(before + b"caf\xe9 bar\n" + after)
    assert decoded == f"{head}{lines(text)}caf\ufffd bar\n{lines(text)}"


def test_a_replacement_character_that_was_written_down_is_no_fault() -> None:
    text = "A name that was lost: \ufffd\ufffd\ufffd, as the scribe found it.\n" * 20
    assert decode_text(text.encode()) == text


def test_a_wide_text_with_half_a_character_stays_wide() -> None:
    data = lines(GERMAN).encode("utf-16-le") + b"\x00\xd8" + lines(GERMAN).encode("utf-16-le")
    for mark in (b"", codecs.BOM_UTF16_LE):
        assert decode_text(mark + data) == f"{lines(GERMAN)}\ufffd{lines(GERMAN)}"


def test_what_the_text_says_of_its_encoding_is_heard() -> None:
    text = f"# -*- coding: iso-8859-2 -*-\n{AFTER_100_KIB}# {POLISH}\n"
    assert decode_text(text.encode("iso-8859-2")) == text


def test_german_alone_is_not_taken_for_central_european() -> None:
    """Both have its letters, in the same places; what comes with it is French more often."""
    assert encoding_of(lines("Die Schlüssel gehören dem Rat. Größe zählt.").encode("cp1252")) == (
        LAST_RESORT
    )


@pytest.mark.parametrize("size", [40, 400, 64 * 1024])
def test_what_is_no_text_is_told_apart(size: int) -> None:
    source = random.Random(size)  # noqa: S311 # the same noise each time
    noise = source.randbytes(size)
    numbers = b"".join(source.randrange(100_000).to_bytes(4, "little") for _ in range(size // 4))
    waves = b"".join(
        source.randrange(-9_000, 9_000).to_bytes(2, "little", signed=True) for _ in range(size // 2)
    )
    grey = bytes(source.randrange(0, 250) // 8 * 8 for _ in range(size))
    for data in (noise, numbers, waves, grey, bytes(size)):
        assert not looks_like_text(data)


@pytest.mark.parametrize("size", [120, 400, 64 * 1024])
def test_ascii_with_bytes_in_it_that_are_no_text_is_not_taken_for_chinese(size: int) -> None:
    source = random.Random(size)  # noqa: S311 # the same noise each time
    pieces = []
    while sum(map(len, pieces)) < size:
        pieces += [b"5 0 obj <</Filter/Flate/W[1 2 1]>> stream\n", source.randbytes(8), b"\0"]
    assert not looks_like_text(b"".join(pieces))


@pytest.mark.parametrize("encoding", ["cp037", "cp500"])
def test_ebcdic_is_read(encoding: str) -> None:
    text = "The keys hang in the north tower, and the door closes at nine. " * 80
    assert decode_text(text.encode(encoding)) == text


def test_a_list_of_letters_in_much_ascii_is_read() -> None:
    text = f"{ASCII}Umlauts: \u00e4\u00f6\u00fc\u00df\n{ASCII}{ASCII}"
    assert decode_text(text.encode("cp1252")) == text


def test_a_few_words_of_other_western_languages_do_no_harm() -> None:
    text = f"{SPANISH}\nEl Ministère de la Défense, la crème brûlée y el Führer.\n" * 3
    assert decode_text(text.encode("cp1252")) == text


def test_a_vast_text_may_end_in_another_script() -> None:
    data = (AFTER_100_KIB * 300 + lines(RUSSIAN)).encode("koi8-r")
    assert decode_text(data).endswith(lines(RUSSIAN))
    data = b"x" * 30_000_000 + RUSSIAN.encode("koi8-r")
    assert decode_text(data).endswith(RUSSIAN)


@pytest.mark.parametrize("name", ["text/markdown", "text/csv", "application/json", "text/x-python"])
def test_every_kind_of_text_is_decoded_so(name: str) -> None:
    bodies = {
        "text/markdown": f"# Keys\n\n{ASCII * 1_000}\n\n{RUSSIAN}\n",
        "text/csv": "key,note\n" + "1,in the tower\n" * 5_000 + f'2,"{RUSSIAN}"\n',
        "application/json": '{"ascii": "' + "x " * 40_000 + f'", "note": "{RUSSIAN}"}}',
        "text/x-python": "number = 1\n" * 7_000 + f'note = "{RUSSIAN}"\n',
    }
    document = convert(in_memory(bodies[name].encode("cp1251")), name)
    assert RUSSIAN in document_text(document)
