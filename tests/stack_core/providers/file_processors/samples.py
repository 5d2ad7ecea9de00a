"""Files of the formats that are read, made by the usual programs' libraries, each of which takes long to import."""

from __future__ import annotations

import io
import zipfile


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF of these pages."""
    from fpdf import FPDF

    made = FPDF()
    made.set_title("A title")
    made.set_font("helvetica", size=12)
    for text in pages:
        made.add_page()
        made.multi_cell(0, text=text)
    content = bytes(made.output())
    if password is None:
        return content
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    writer.append_pages_from_reader(PdfReader(io.BytesIO(content)))
    writer.encrypt(password, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def word(heading: str, text: str) -> bytes:
    """A docx."""
    import docx

    made = docx.Document()
    made.add_heading(heading)
    made.add_paragraph(text)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def slides(*titles: str) -> bytes:
    """A pptx with a slide each."""
    import pptx

    made = pptx.Presentation()
    for title in titles:
        slide = made.slides.add_slide(made.slide_layouts[5])
        slide.shapes.title.text = title
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def sheet(*rows: list[object]) -> bytes:
    """An xlsx."""
    import openpyxl

    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def book(text: str) -> bytes:
    """An epub of one chapter."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
            '<rootfile full-path="c.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        )
        archive.writestr(
            "c.opf",
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Book</dc:title></metadata><manifest>'
            '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="a"/></spine></package>',
        )
        archive.writestr("a.xhtml", f"<html><body><p>{text}</p></body></html>")
    return out.getvalue()


def bomb(entry: str = "word/document.xml", megabytes: int = 64) -> bytes:
    """A docx that unpacks to a thousand times its size."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(entry, b" " * megabytes * 1024**2)
    return out.getvalue()
