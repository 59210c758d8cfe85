"""The picture of the house, docs/pictures/architecture.svg, drawn from the imports of the project's own files.

Reads the files without running them, so that a new module is in the picture by itself. tests/test_house.py holds the
rules on the same imports.

Run: python docs/architecture.py            --check draws nothing and fails if the picture is of other code
"""

import ast
import sys
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
PICTURE = REPOSITORY / "docs/pictures/architecture.svg"
PACKAGES = ("launch", "tracking", "treeline")
VERBS = {
    "compositions": ("main", "sweep", "reproduction", "retrain"),
    "stages": ("data_preprocessing", "hyperparameters_tuning", "model_training", "data_evaluation"),
}
FLOORS = {
    "compositions: they alone import stages": ("compositions",),
    "entry points: none imports another": ("stages", "entry points"),
    "a command line, and work spread over processes": ("launch", "utils"),
    "settings": ("config",),
    "what speaks to MLflow": ("tracking",),
    "treeline: the pure core": ("serving", "evaluation", "tuning", "model", "reporting", "data", "ground"),
}
ROOMS = [room for rooms in FLOORS.values() for room in rooms]
PALETTE = ("#4c72b0", "#dd8452", "#3a8f4d", "#8172b3", "#937860", "#d4689f", "#64748b", "#b8a12f", "#2a9bb5")
COLOR = {room: PALETTE[i % len(PALETTE)] for i, room in enumerate(ROOMS)}
BROKEN = "#d00000"
INK = 'fill="#1f2937"'
FAINT = 'font-size="12" fill="#5b6675"'
LEGEND = (
    "A grey line leaves each room; at a dot on it, the room imports the one that the coloured line enters.",
    "Imports go down; one that goes up is red: it breaks a rule. What treeline.fit loads when called is left out.",
)
LEFT, RIGHT, RAIL, LINE = 20, 760, 24, 18  # the floors' sides, between two rails, between two lines of text


class Import(NamedTuple):
    """One import as it stands in a file; `imported` is a module of the project, or of a library by its full name, and
    `deferred` says that importing the file does not run it: it stands in a function, or is there for types alone.
    """

    importer: str
    imported: str
    line: int
    deferred: bool


def modules(root: Path) -> dict[str, Path]:
    """Every module of the house by its full name, a package by the package's, with its file."""
    files = [*root.glob("*.py"), *(path for package in PACKAGES for path in (root / package).rglob("*.py"))]
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in sorted(files)
    }


def room_of(path: Path, root: Path) -> str:
    """The room of a module's file: a kind of verb at the top, else its folder; the ground is treeline's own files."""
    *folders, _ = path.relative_to(root).parts
    if folders:
        return folders[1] if len(folders) > 1 and folders[0] == "treeline" else folders[0].replace("treeline", "ground")
    kinds = [kind for kind, stems in VERBS.items() if path.stem in stems]
    return (kinds or [path.stem if path.stem in {"config", "utils"} else "entry points"])[0]


def is_deferring(node: ast.AST) -> bool:
    """Tell whether what stands in a node is not run when its file is imported."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def imports(root: Path) -> Iterator[Import]:
    """Every import of every module, in functions too; a relative one by its leading dots."""
    known = modules(root)
    for importer, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        later = [each for each in ast.walk(tree) if is_deferring(each)]
        inside = {id(node) for each in later for node in ast.walk(each)}
        for node in ast.walk(tree):
            names: set[str] = set()
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                home = "." * node.level + (node.module or "")
                deeper = {alias.name: f"{home}.{alias.name}" for alias in node.names}
                names = {full if full in known else home for full in deeper.values()}
            for name in sorted(names):
                yield Import(importer, name, getattr(node, "lineno", 0), id(node) in inside)


def graph(root: Path) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """The modules in each room, and the rooms that import each room."""
    files = modules(root)
    rooms = {name: room_of(path, root) for name, path in files.items()}
    if strange := sorted(set(rooms.values()) - set(ROOMS)):
        sys.exit(f"error: {strange[0]!r} is no room of the house: name it in FLOORS of docs/architecture.py.")
    named: dict[str, list[str]] = {room: [] for room in ROOMS}
    users: dict[str, set[str]] = {room: set() for room in ROOMS}
    for name, room in rooms.items():
        if files[name].stem != "__init__" or room == "ground":
            named[room].append(files[name].stem)
    for room, stems in VERBS.items():
        named[room].sort(key=stems.index)
    for each in imports(root):
        if each.importer == "treeline" and each.deferred:
            continue  # `treeline.fit`, which loads rooms above its own when it is called
        if each.imported in rooms and rooms[each.importer] != rooms[each.imported]:
            users[rooms[each.imported]].add(rooms[each.importer])
    return named, users


def floors(named: dict[str, list[str]]) -> tuple[list[str], dict[str, float]]:
    """The boxes from top to bottom, and the height at which the middle of each room lies."""
    shapes: list[str] = []
    middle: dict[str, float] = {}
    y = 16
    for caption, rooms in FLOORS.items():
        floor, top, y = len(shapes), y, y + 24
        for room in rooms:
            words = textwrap.wrap(", ".join(named[room]), 80)
            height = LINE * max(len(words), 1) + 16
            middle[room] = y + height / 2
            shapes += [box(LEFT + 8, y, RIGHT - LEFT - 16, height, "#fff"), box(LEFT + 8, y, 6, height, COLOR[room])]
            shapes.append(text(LEFT + 26, middle[room] + 5, room, INK + ' font-weight="bold"'))
            for i, line in enumerate(words):
                shapes.append(text(LEFT + 142, middle[room] + 5 + LINE * (i - (len(words) - 1) / 2), line))
            y += height + 6
        shapes.insert(floor, box(LEFT, top, RIGHT - LEFT, y + 2 - top, "#e9edf3"))
        shapes.append(text(LEFT + 10, top + 17, caption, FAINT))
        y += 12
    return shapes, middle


def lines(users: dict[str, set[str]], middle: dict[str, float]) -> list[str]:
    """A grey line out of each room, a coloured one into each, and a dot where one joins the other."""
    shapes, edge = [], RIGHT - 8  # of the boxes: lines leave below the middle and arrive above it
    rail = {room: RIGHT + RAIL * (i + 1) for i, room in enumerate(room for room in ROOMS if users[room])}
    for room in ROOMS:
        if joined := [x for other, x in rail.items() if room in users[other]]:
            shapes.append(f'<path d="M{edge} {middle[room] + 7:g}H{max(joined)}" stroke="#9aa3af" fill="none"/>')
    for room, x in rail.items():
        starts, end = sorted(middle[user] + 7 for user in users[room]), middle[room] - 7
        for color, ys in (
            (BROKEN, [y for y in starts if y > end][::-1]),
            (COLOR[room], [y for y in starts if y < end]),
        ):
            if ys:
                way = f"M{x} {ys[0]:g}V{end:g}H{edge + 9}"
                shapes.append(f'<path d="{way}" stroke="{color}" stroke-width="2.5" fill="none"/>')
                shapes.append(f'<path d="M{edge} {end:g}l11 -5.5v11z" fill="{color}"/>')
            shapes += [f'<circle cx="{x}" cy="{y:g}" r="4.5" fill="{color}"/>' for y in ys]
    return shapes


def drawn(named: dict[str, list[str]], users: dict[str, set[str]]) -> str:
    """The whole picture; what it shows stands in its `<desc>` as text too."""
    shapes, middle = floors(named)
    bottom = max(middle.values()) + 50
    told = [f"{room}: {', '.join(names)}" for room, names in named.items()]
    told += [f"{user} -> {room}" for room in ROOMS for user in sorted(users[room], key=ROOMS.index)]
    width, height = RIGHT + RAIL * (len(ROOMS) + 1), round(bottom + 34)
    size = f'width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}'
    head += ' font-family="Helvetica, Arial, sans-serif" font-size="14">'
    shapes += lines(users, middle)
    shapes += [text(LEFT, bottom + LINE * i, line, FAINT) for i, line in enumerate(LEGEND)]
    desc = ["<desc>", *map(escape, told), "</desc>"]
    return "\n".join([head, *desc, f'<rect {size} fill="#fff"/>', *shapes, "</svg>", ""])


def box(x: float, y: float, width: float, height: float, fill: str) -> str:
    """A filled rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3" fill="{fill}"/>'


def text(x: float, y: float, words: str, style: str = INK) -> str:
    """One line of text."""
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def main() -> None:
    """Draw, or with --check compare."""
    picture = drawn(*graph(REPOSITORY))
    if sys.argv[1:] != ["--check"]:
        PICTURE.write_text(picture, encoding="utf-8")
    elif not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != picture:
        sys.exit(f"error: {PICTURE.name} shows other imports than the code has: run python docs/architecture.py.")


if __name__ == "__main__":
    main()
