"""An HTML page as its elements, read by Python's own parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr", "source", "area", "base", "col", "embed", "track", "wbr"}


@dataclass
class Element:
    tag: str
    attributes: dict
    parent: "Element | None"
    children: list = field(default_factory=list)

    @property
    def text(self):
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def walk(self):
        yield self
        for child in self.children:
            if not isinstance(child, str):
                yield from child.walk()


class Reader(HTMLParser):
    """Elements must be closed in the order they were opened; SVG's own may close themselves."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {}, None)

    def handle_starttag(self, tag, attributes):
        assert len({name for name, _ in attributes}) == len(attributes), f"<{tag}> has an attribute twice"
        made = Element(tag, dict(attributes), self.at)
        self.at.children.append(made)
        if tag not in VOID:
            self.at = made

    def handle_startendtag(self, tag, attributes):
        self.at.children.append(Element(tag, dict(attributes), self.at))

    def handle_endtag(self, tag):
        assert tag == self.at.tag, f"</{tag}> closes <{self.at.tag}>, at {self.getpos()}"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.children.append(data)


class Page:
    def __init__(self, text):
        reader = Reader()
        reader.feed(text)
        reader.close()
        assert reader.at is reader.root, f"<{reader.at.tag}> is left open"
        self.elements = list(reader.root.walk())[1:]

    def all(self, tag, **attributes):
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [e for e in self.elements if e.tag == tag and wanted.items() <= e.attributes.items()]

    def by_id(self, name):
        (found,) = [e for e in self.elements if e.attributes.get("id") == name]
        return found

    @property
    def ids(self):
        return [e.attributes["id"] for e in self.elements if "id" in e.attributes]
