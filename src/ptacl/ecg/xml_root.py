"""Find the root element of an XML file before anything else of the file is parsed."""

from collections.abc import Iterable
from xml.parsers import expat

from ptacl.exclusions import Excluded, Reason

_BLANK = b"\0\t\n\r \xef\xbb\xbf\xff\xfe"  # white space, byte order marks and the zeros of UTF-16


class _Found(Exception):
    """Raised by a handler to stop the parser."""


def is_xml(head: bytes) -> bool:
    """Return whether a file with this beginning is XML."""
    return head.lstrip(_BLANK).startswith(b"<")


def name(chunks: Iterable[bytes]) -> str:
    """Return the name of the root element, without its namespace.

    It is found wherever it is: after comments, processing instructions or a document type, and in
    any encoding that Python knows. A document type can name an external file, which is never
    opened. Declarations inside the document type are refused, because they can define entities.

    Parameters
    ----------
    chunks : iterable of bytes
        Consecutive parts of the file. Only those up to the root element are used.

    Raises
    ------
    Excluded
        The content before the root element is not well-formed, or has declarations.
    """
    found: list[str] = []
    parser = expat.ParserCreate(namespace_separator=" ")

    def document_type(doctype: str, system: str | None, public: str | None, subset: int) -> None:
        if subset:
            raise Excluded(Reason.UNREADABLE, "document type with declarations of its own")

    def element(tag: str, attributes: dict[str, str]) -> None:
        found.append(tag.rpartition(" ")[2])
        raise _Found

    parser.StartDoctypeDeclHandler = document_type
    parser.StartElementHandler = element
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except _Found:
        return found[0]
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, Excluded):
            raise
        raise Excluded(Reason.UNREADABLE, f"not well-formed XML: {error}") from None
    raise Excluded(Reason.UNREADABLE, "XML without an element")
