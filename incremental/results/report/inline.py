"""Figures made a part of a page: SVG whose identifiers are its own, and whose colours follow the page's."""

import base64
import re
from pathlib import Path
from xml.etree import ElementTree

from ....errors import InputError, shown

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
REFERENCE = re.compile(r"url\(#([^)]+)\)")
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)

PICTURES = {
    ".png": (b"\x89PNG\r\n\x1a\n", "image/png"),
    ".jpg": (b"\xff\xd8\xff", "image/jpeg"),
    ".jpeg": (b"\xff\xd8\xff", "image/jpeg"),
}
"""How files of each suffix begin, and what a browser calls them."""


def inlined(content: bytes, name: str, title: str, words: str, variables: dict[str, str]) -> str:
    """An <svg> element for a page, from a file that matplotlib wrote.

    Args:
        content: the file.
        name: an identifier of the page, before all of the figure's own.
        title: what the figure is, for those who cannot see it.
        words: what it shows, likewise.
        variables: what of the page takes the place of each colour ("#rrggbb"), in lines, letters and areas.
    """
    root = ElementTree.fromstring(content)
    referred = _references(root)
    for parent in root.iter():
        for child in [child for child in parent if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}script")]:
            parent.remove(child)
        for key, value in list(parent.attrib.items()):
            if key == "id":
                if value in referred:
                    parent.set(key, f"{name}-{value}")
                else:
                    del parent.attrib[key]
            elif key in ("href", f"{{{XLINK}}}href") and value.startswith("#"):
                parent.set(key, f"#{name}-{value[1:]}")
            else:
                value = REFERENCE.sub(rf"url(#{name}-\1)", value)
                parent.set(key, _recoloured(value, variables) if key == "style" else value)
        if parent.tag != f"{{{SVG}}}text" and not (parent.text or "").strip():
            parent.text = None
        parent.tail = None
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    for place, (tag, text) in enumerate((("title", title), ("desc", words))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = shown(text)
        root.insert(place, element)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title", "aria-describedby": f"{name}-desc"}
    return ElementTree.tostring(root, encoding="unicode")


def _references(root: ElementTree.Element) -> set[str]:
    """The identifiers that something in the figure points to."""
    found: set[str] = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            if key in ("href", f"{{{XLINK}}}href") and value.startswith("#"):
                found.add(value[1:])
            found.update(REFERENCE.findall(value))
    return found


def _recoloured(style: str, variables: dict[str, str]) -> str:
    for colour, variable in variables.items():
        style = style.replace(colour, variable)
    return style


def picture(path: Path) -> str:
    """A PNG or JPEG file as the address of an <img>. InputError where it is none, or cannot be read."""
    known = PICTURES.get(path.suffix.lower())
    if known is None:
        raise InputError(f"{path}: a picture for the report is a .png or .jpg")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    begin, kind = known
    if not content.startswith(begin):
        raise InputError(f"{path} is no {path.suffix.lower()} picture: it begins with other bytes")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
