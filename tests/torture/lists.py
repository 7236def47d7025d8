"""Lists of clips, class orders, data sets and tasks that cannot be right, and unusual ones that are."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from .outcome import Outcome, tally
from .workspace import Workspace

HEAD = "video_id,label,split\n"
GOOD = f"{HEAD}a,x,train\nb,y,train\nc,x,test\nd,y,test\n"
LONG = "long" * 60

BAD_LISTS: Mapping[str, bytes | None] = {
    "no file": None,
    "nothing in it": b"",
    "a header only": HEAD.encode(),
    "no header": b"a,x,train\nb,y,train\n",
    "a column too few": b"video_id,label\na,x\n",
    "an unknown column": b"video_id,label,split,weight\na,x,train,1\n",
    "a column twice": b"video_id,label,split,split\na,x,train,train\n",
    "a column misspelt": b"video_id,lable,split\na,x,train\n",
    "a cell too many": f"{HEAD}a,x,train,\n".encode(),
    "a cell too few": f"{HEAD}a,x\n".encode(),
    "a label with a comma": f"{HEAD}a,x, y,train\n".encode(),
    "an open quote": f'{HEAD}a,"x,train\n'.encode(),
    "text behind a quote": f'{HEAD}a,"x"y,train\n'.encode(),
    "a label left out": f"{HEAD}a,,train\n".encode(),
    "an id left out": f"{HEAD},x,train\n".encode(),
    "an unknown split": f"{HEAD}a,x,training\n".encode(),
    "an id twice": f"{HEAD}a,x,train\na,x,train\n".encode(),
    "an id in two splits": f"{HEAD}a,x,train\na,x,test\n".encode(),
    "an id with a slash": f"{HEAD}a/b,x,train\n".encode(),
    "an id that leads up": f"{HEAD}../a,x,train\n".encode(),
    "an id with a dot in front": f"{HEAD}.a,x,train\n".encode(),
    "an id with a space": f"{HEAD}a b,x,train\n".encode(),
    "an id that is a formula": f"{HEAD}=1+1,x,train\n".encode(),
    "an id too long for a file": f"{HEAD}{LONG},x,train\n".encode(),
    "a class without training clips": f"{HEAD}a,x,train\nb,y,test\n".encode(),
    "a null byte": f"{HEAD}a\0,x,train\n".encode(),
    "a label with an escape": f"{HEAD}a,\x1b]0;x\x07,train\n".encode(),
    "a label that turns writing": f"{HEAD}a,x\u202ey,train\n".encode(),
    "Latin-1": f"{HEAD}a,caf\u00e9,train\n".encode("latin-1"),
    "UTF-16": GOOD.encode("utf-16"),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "a cell of a megabyte": f"{HEAD}a,{'x' * 10**6},train\n".encode(),
    "bars between cells": GOOD.replace(",", "|").encode(),
    "a table nested in a cell": f'{HEAD}"a,x,train\nb",y,train\n'.encode(),
}
GOOD_LISTS: Mapping[str, bytes] = {
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "line ends of Windows": GOOD.replace("\n", "\r\n").encode(),
    "line ends of old Macs": GOOD.replace("\n", "\r").encode(),
    "no end of the last line": GOOD.rstrip().encode(),
    "semicolons": GOOD.replace(",", ";").encode(),
    "tabs": GOOD.replace(",", "\t").encode(),
    "spaces around cells": GOOD.replace(",", " , ").encode(),
    "empty lines": GOOD.replace("\n", "\n\n").encode(),
    "columns in another order": b"split,video_id,label\ntrain,a,x\ntrain,b,y\n",
    "quotes": b'"video_id","label","split"\n"a","x, y","train"\n',
    "labels in other alphabets": f"{HEAD}a,\u72ac,train\nb,\u0643\u0644\u0628,train\n".encode(),
    "a label in markup": f"{HEAD}a,[/red],train\nb,[bold]x,train\n".encode(),
    "a label that is a formula": f"{HEAD}a,=cmd|'/c calc'!A1,train\n".encode(),
    "an id that begins with a dash": f"{HEAD}-a,x,train\n".encode(),
    "paths": b"video_id,label,split,path\na,x,train,deep/er/a.mp4\nb,y,train,\n",
}
BAD_PATHS: Mapping[str, str] = {
    "a path that leads up": "../videos/clip00.mp4",
    "a path that leads up in the middle": "x/../../videos/clip00.mp4",
    "an absolute path": "/etc/passwd",
    "a path of the system": "/dev/zero",
    "a path with a null byte": "a\0b",
    "a path too long": "x/" * 3000,
}
BAD_CLASSES: Mapping[str, str] = {
    "nothing in it": "",
    "an index left out": "class_index,label\n0,x\n2,y\n",
    "an index that is a word": "class_index,label\nzero,x\n1,y\n",
    "a label twice": "class_index,label\n0,x\n1,x\n",
    "a label left out": "class_index,label\n0,x\n1,\n",
    "a class that has no clips": "class_index,label\n0,x\n1,y\n2,z\n",
    "a class too few": "class_index,label\n0,x\n",
    "other columns": "index,name\n0,x\n1,y\n",
}
BAD_TOML: Mapping[str, str] = {
    "no TOML": "title = ",
    "no title": "licence = 'x'\n",
    "an unknown entry": "title = 'x'\nsurprise = 1\n",
    "a number for the title": "title = 1\n",
    "a pattern that is none": "title = 'x'\n[[files]]\npattern = '('\nid = 'x'\n",
    "an id of no group": "title = 'x'\n[[files]]\npattern = '(?P<a>.+)'\nid = '{b}'\n",
    "an id that is no format": "title = 'x'\n[[files]]\npattern = '(?P<a>.+)'\nid = '{a'\n",
    "an id that asks for attributes": "title = 'x'\n[[files]]\npattern = '(?P<a>.+)'\nid = '{a.__class__.__mro__}'\n",
    "an id of astronomic width": "title = 'x'\n[[files]]\npattern = '(?P<a>.+)'\nid = '{a:>99999999999}'\n",
    "no source": "title = 'x'\nsource_video = '.+'\n",
    "an unknown setting": "title = 'x'\n[protocol]\nclasses_per_tusk = 1\n",
    "a setting out of range": "title = 'x'\n[protocol]\nclasses_per_task = 0\n",
    "an epoch of no modality": "title = 'x'\n[protocol]\nepochs = {x = {smell = 1}}\n",
    "nested too deeply": "title = 'x'\nsurprise = " + "[" * 50_000,
}
BAD_TASKS: Mapping[str, str] = {
    "nothing in it": "",
    "a task left out": "task,label\n1,class 00\n3,class 01\n",
    "a label twice": "task,label\n1,class 00\n2,class 00\n",
    "a label of no class": "task,label\n1,class 00\n2,klass 01\n",
    "a word for the task": "task,label\none,class 00\n",
}


def lists(workspace: Workspace, share: float) -> Iterator[Outcome]:
    """The part; of every kind a `share` drawn at random."""
    folder = workspace.fresh("lists")
    yield _refused(workspace, folder, "lists of clips", BAD_LISTS, share)
    yield _read(workspace, folder, share)
    yield _paths(workspace, folder, share)
    yield _refused_with(workspace, folder, "class orders", BAD_CLASSES, share, "classes")
    yield _data_sets(workspace, folder, share)
    yield _tasks(workspace, folder, share)


def some(workspace: Workspace, what: str, names: Mapping[str, object], share: float) -> list[str]:
    """A share of the kinds, drawn at random, at least one of them; all where the share is 1."""
    count = max(1, round(share * len(names)))
    return sorted(workspace.draw(what).sample(sorted(names), count))


def _refused(
    workspace: Workspace, folder: Path, what: str, contents: Mapping[str, bytes | None], share: float
) -> Outcome:
    """Every command that takes a list refuses it in one line and writes nothing."""
    videos = workspace.videos

    def one(name: str) -> tuple[int, list[str]]:
        path = folder / f"bad-{name}.csv"
        if (content := contents[name]) is not None:
            path.write_bytes(content)
        cache, out = folder / f"cache of {name}", folder / f"run of {name}"
        commands = (
            ["manifests", "check", str(path)],
            [*videos.words(cache), "--manifest", str(path)],
            [*workspace.training("lwf", out), "--manifest", str(path)],
        )
        lost = []
        for words in commands:
            ended = workspace.run(words)
            if not ended.one_line:
                lost.append(f"{name}: {' '.join(words[:2])} says {ended.status} ({ended.said[:150]})")
        return 1, lost + [f"{name}: {path.name} was written" for path in (cache, out) if path.exists()]

    chosen = some(workspace, what, contents, share)
    note = f"{len(chosen)} kinds; one line from every command, nothing written"
    return tally(f"{what} that cannot be right", workspace.side_by_side(one, chosen), note)


def _read(workspace: Workspace, folder: Path, share: float) -> Outcome:
    def one(name: str) -> tuple[int, list[str]]:
        path = folder / f"good-{name}.csv"
        path.write_bytes(GOOD_LISTS[name])
        ended = workspace.run(["manifests", "check", str(path)])
        return 1, [f"{name}: {ended.said}"] if ended.status else []

    chosen = some(workspace, "good lists", GOOD_LISTS, share)
    return tally("lists of clips that are unusual", workspace.side_by_side(one, chosen), f"{len(chosen)} kinds; read")


def _paths(workspace: Workspace, folder: Path, share: float) -> Outcome:
    videos = workspace.videos

    def one(name: str) -> tuple[int, list[str]]:
        path = folder / f"path-{name}.csv"
        path.write_text(f"video_id,label,split,path\na,x,train,{BAD_PATHS[name]}\n")
        cache = folder / f"cache of path {name}"
        ended = workspace.run([*videos.words(cache), "--manifest", str(path)])
        lost = [] if ended.one_line else [f"{name}: status {ended.status}: {ended.said[:150]}"]
        return 1, lost + ([f"{name}: {cache.name} was written"] if cache.exists() else [])

    chosen = some(workspace, "paths", BAD_PATHS, share)
    return tally(
        "paths that leave the folder of videos", workspace.side_by_side(one, chosen), f"{len(chosen)} kinds; refused"
    )


def _refused_with(
    workspace: Workspace, folder: Path, what: str, contents: Mapping[str, str], share: float, option: str
) -> Outcome:
    (folder / "whole.csv").write_text(GOOD)

    def one(name: str) -> tuple[int, list[str]]:
        path = folder / f"{option}-{name}.csv"
        path.write_text(contents[name])
        ended = workspace.run(["manifests", "check", str(folder / "whole.csv"), f"--{option}", str(path)])
        return 1, [] if ended.one_line else [f"{name}: status {ended.status}: {ended.said[:150]}"]

    chosen = some(workspace, what, contents, share)
    return tally(f"{what} that cannot be right", workspace.side_by_side(one, chosen), f"{len(chosen)} kinds; one line")


def _data_sets(workspace: Workspace, folder: Path, share: float) -> Outcome:
    def one(name: str) -> tuple[int, list[str]]:
        place = folder / f"data set {name}"
        place.mkdir()
        (place / "d.toml").write_text(BAD_TOML[name])
        (place / "d.csv").write_text(GOOD)
        (place / "d.classes.csv").write_text("class_index,label\n0,x\n1,y\n")
        training = ["avcil-incr", "run", "--method", "lwf", "--dataset", str(place / "d.toml")]
        training += ["--cache", str(workspace.features.cache), "--out", str(place / "out")]
        ended = workspace.run(training)
        lost = [] if ended.one_line else [f"{name}: status {ended.status}: {ended.said[:150]}"]
        return 1, lost + ([f"{name}: something was written"] if (place / "out").exists() else [])

    chosen = some(workspace, "data sets", BAD_TOML, share)
    note = f"{len(chosen)} kinds; one line, nothing written"
    return tally("descriptions of data sets that cannot be right", workspace.side_by_side(one, chosen), note)


def _tasks(workspace: Workspace, folder: Path, share: float) -> Outcome:
    def one(name: str) -> tuple[int, list[str]]:
        path = folder / f"tasks-{name}.csv"
        path.write_text(BAD_TASKS[name])
        out = folder / f"run of tasks {name}"
        ended = workspace.run([*workspace.training("lwf", out), "--tasks", str(path)])
        lost = [] if ended.one_line else [f"{name}: status {ended.status}: {ended.said[:150]}"]
        return 1, lost + ([f"{name}: something was written"] if out.exists() else [])

    chosen = some(workspace, "tasks", BAD_TASKS, share)
    return tally(
        "lists of tasks that cannot be right", workspace.side_by_side(one, chosen), f"{len(chosen)} kinds; one line"
    )
