"""Data sets: downloads from a server that misbehaves on request, hostile archives, and the real data root."""

import errno
import hashlib
import io
import os
import stat
import tarfile
import zipfile
from http.server import BaseHTTPRequestHandler

import pytest
import rasterio
import requests

from millpond import datasets, downloads
from millpond.datasets import Dataset, DatasetError, File, FileState

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; the first folder of the address says how."""

    requests: list

    def do_GET(self):
        how = self.path.split("/")[1]
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.requests.append((how, begin))
        if how == "gone":
            self.send_error(404)
            return
        if how == "busy" and len(self.requests) < 3:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif how == "other":
            self.reply(200, b"another file")
        elif how == "ranges" and begin >= len(CONTENT):
            self.send_error(416)
        elif how == "ranges" and begin:
            self.reply(206, CONTENT[begin:])
        else:
            self.reply(200, CONTENT, sent=70_000 if how == "breaks" else None)

    def reply(self, status, body, sent=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:sent])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(serve):
    handler = type("Handler", (Server,), {"requests": []})
    handler.address = serve(handler)
    return handler


@pytest.fixture
def pond(server, monkeypatch, tmp_path):
    """A registry with one data set of one file; its mirrors are named by how they misbehave."""
    monkeypatch.setenv("MILLPOND_DATA", str(tmp_path))

    def register(*mirrors, **changes):
        urls = tuple(f"{server.address}/{mirror}/levels.csv" for mirror in mirrors)
        file = File(**{"path": "levels.csv", "size": len(CONTENT), "sha256": SHA256, "urls": urls} | changes)
        entry = Dataset("pond", "data root", "A pond", "CC0-1.0", "https://pond.example", files=(file,))
        monkeypatch.setattr(datasets, "registry", lambda: {"pond": entry})
        return tmp_path / "pond"

    return register


def fetch():
    return datasets.fetch("pond", progress=False)


def test_fetch_downloads_once(pond, server):
    folder = pond("ranges")
    assert fetch() == folder == datasets.path("pond")
    assert (folder / "levels.csv").read_bytes() == CONTENT
    fetch()
    assert server.requests == [("ranges", 0)]


def test_fetch_goes_on_where_it_stopped(pond, server):
    folder = pond("ranges")
    folder.mkdir()
    (folder / "levels.csv.part").write_bytes(CONTENT[:5000])
    fetch()
    assert server.requests == [("ranges", 5000)]
    assert (folder / "levels.csv").read_bytes() == CONTENT
    assert os.listdir(folder) == ["levels.csv"]


def test_fetch_starts_again_where_ranges_are_ignored(pond, server):
    folder = pond("whole")
    folder.mkdir()
    (folder / "levels.csv.part").write_bytes(CONTENT[:5000])
    fetch()
    assert server.requests == [("whole", 5000)]
    assert (folder / "levels.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"the beginning of another file", bytes(len(CONTENT)), bytes(len(CONTENT) + 1)])
def test_a_part_of_another_file_spoils_one_attempt_only(pond, part):
    folder = pond("ranges")
    folder.mkdir()
    (folder / "levels.csv.part").write_bytes(part)
    fetch()
    assert (folder / "levels.csv").read_bytes() == CONTENT
    assert os.listdir(folder) == ["levels.csv"]


def test_a_complete_part_needs_no_server(pond, server):
    folder = pond("gone")
    folder.mkdir()
    (folder / "levels.csv.part").write_bytes(CONTENT)
    fetch()
    assert server.requests == []


def test_a_broken_transfer_leaves_a_part_for_the_next_time(pond, server):
    folder = pond("breaks")
    with pytest.raises(
        DatasetError, match=r"breaks/levels\.csv broke off .* goes on where it stopped; or get the file from"
    ):
        fetch()
    assert os.listdir(folder) == ["levels.csv.part"]
    kept = (folder / "levels.csv.part").stat().st_size
    assert 0 < kept <= 70_000
    pond("ranges")
    fetch()
    assert server.requests == [("breaks", 0), ("ranges", kept)]
    assert (folder / "levels.csv").read_bytes() == CONTENT


def test_mirrors_are_tried_in_order(pond, server):
    pond("gone", "other", "ranges")
    fetch()
    assert server.requests == [("gone", 0), ("other", 0), ("ranges", 0)]


def test_a_busy_server_is_asked_again(pond, server, monkeypatch):
    monkeypatch.setattr(downloads.RETRY, "backoff_factor", 0)
    pond("busy")
    fetch()
    assert server.requests == [("busy", 0)] * 3


def test_every_failure_is_named_and_nothing_is_kept(pond, server):
    folder = pond("gone", "other")
    with pytest.raises(DatasetError) as caught:
        fetch()
    assert str(caught.value) == (
        f"pond: levels.csv could not be downloaded: {server.address}/gone/levels.csv answers 404 Not Found; "
        f"{server.address}/other/levels.csv gave a file that is not the expected one (SHA-256 {SHA256}) and was "
        "not kept. `millpond data get pond` goes on where it stopped; or get the file from https://pond.example and "
        f"put it at {folder / 'levels.csv'}."
    )
    assert os.listdir(folder) == []


def test_no_network(pond, monkeypatch):
    def unreachable(*_, **__):
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "get", unreachable)
    pond("ranges")
    with pytest.raises(
        DatasetError, match=r"/ranges/levels\.csv broke off or cannot be reached \(ConnectionError\)\. `mill"
    ):
        fetch()


def test_disk_full(pond, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads, "_continue", full)
    folder = pond("ranges")
    with pytest.raises(
        DatasetError, match=r"cannot be written \(No space left on device\); 0\.1 MB are needed\. Free some"
    ):
        fetch()
    assert os.listdir(folder) == []


def test_a_file_without_address_says_where_to_look(pond, tmp_path):
    pond()
    with pytest.raises(DatasetError) as caught:
        fetch()
    assert str(caught.value) == (
        "pond: no download address is known for levels.csv. Look at https://pond.example and put what you find into "
        f"{tmp_path / 'pond'}; `millpond data verify pond` compares it with ours."
    )


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (CONTENT, "present"),
        (None, "missing"),
        (CONTENT[1:], "wrong size"),
        (CONTENT[::-1], "wrong checksum"),
        (b"compressed anew", "present"),
    ],
)
def test_verify(pond, content, state):
    folder = pond("ranges", also=({"size": 15, "sha256": hashlib.sha256(b"compressed anew").hexdigest()},))
    folder.mkdir()
    if content is not None:
        (folder / "levels.csv").write_bytes(content)
    assert datasets.verify("pond") == [FileState("levels.csv", state)]
    assert datasets.is_present("pond") is (state in ("present", "wrong checksum"))


def test_a_damaged_file_is_downloaded_again(pond):
    folder = pond("ranges")
    folder.mkdir()
    (folder / "levels.csv").write_bytes(CONTENT[::-1])
    fetch()
    assert (folder / "levels.csv").read_bytes() == CONTENT


def test_absent_data_name_the_command(pond, tmp_path):
    pond("ranges")
    with pytest.raises(DatasetError) as caught:
        datasets.path("pond")
    assert str(caught.value) == (
        f"the data set pond is not complete in {tmp_path / 'pond'}. Get it with `millpond data get pond`, "
        "or let the environment variable MILLPOND_DATA name the folder that holds pond."
    )
    assert datasets.path("pond", required=False) == tmp_path / "pond"


def test_unknown_names_list_the_known_ones(pond):
    pond("ranges")
    with pytest.raises(DatasetError, match=r"^no data set is called 'lake'\. Known are pond\.$"):
        datasets.path("lake")


def test_the_data_root_is_the_users_cache_unless_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MILLPOND_DATA", raising=False)
    assert datasets.data_root().name == "millpond"
    monkeypatch.setenv("MILLPOND_DATA", "~/ponds")
    assert datasets.data_root().parts[-1] == "ponds"
    assert datasets.data_root().is_absolute()


# The registry and what it registers


def test_the_registry_is_complete():
    for entry in datasets.registry().values():
        assert entry.title
        assert entry.licence
        assert entry.source.startswith("http")
        assert entry.bundled or entry.files
        for file in entry.files:
            assert len(file.sha256) == 64
            assert file.size > 0
            assert file.urls or entry.how, f"{entry.name}/{file.path} has neither address nor advice"
            assert all(url.startswith("https://") for url in file.urls)


@pytest.mark.parametrize("name", [name for name, entry in datasets.registry().items() if entry.bundled])
def test_bundled_data_are_there(name):
    assert datasets.path(name).exists()
    assert [found.state for found in datasets.verify(name)] == ["present"]
    assert datasets.fetch(name) == datasets.path(name)


def test_virginia_scene_is_as_described():
    scene = datasets.virginia_scene()
    assert len(scene) == 13
    for band, shape in {"B02": (1947, 1933), "B08": (1947, 1933), "B8A": (973, 967), "B01": (324, 322)}.items():
        with rasterio.open(scene[band]) as raster:
            assert (raster.shape, raster.crs.to_epsg(), raster.dtypes) == (shape, 32618, ("uint16",))
            assert raster.transform.e < 0  # north up


@pytest.mark.parametrize("name", [name for name, entry in datasets.registry().items() if not entry.bundled])
def test_the_data_root_holds_what_is_registered(name):
    if "MILLPOND_DATA" not in os.environ:
        pytest.skip("MILLPOND_DATA names no data root")
    if not datasets.path(name, required=False).exists():
        pytest.skip(f"the data root has no {name}")
    assert {found.path: found.state for found in datasets.verify(name) if found.state != "present"} == {}


# Archives


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path, *members, mode="w"):
    """Members are names (files with a content) or (name, type, link name)."""
    with tarfile.open(path, mode) as archive:
        for member in members:
            info = tarfile.TarInfo(member if isinstance(member, str) else member[0])
            if isinstance(member, str):
                info.size = len(CONTENT)
            else:
                _, info.type, info.linkname = member
            archive.addfile(info, io.BytesIO(CONTENT))
    return path


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_unpack_tar(tmp_path, compression):
    archive = make_tar(tmp_path / "pond", ("a", tarfile.DIRTYPE, ""), "a/levels.csv", "b.csv", mode=f"w:{compression}")
    folder = downloads.unpack(archive, tmp_path / "new" / "pond")
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*")) == ["a", "a/levels.csv", "b.csv"]
    assert (folder / "a" / "levels.csv").read_bytes() == CONTENT
    assert os.listdir(tmp_path / "new") == ["pond"]


def test_unpack_zip(tmp_path):
    archive = make_zip(tmp_path / "pond.zip", {"a/": b"", "a/levels.csv": CONTENT, "b/c/d.csv": b"1"})
    folder = downloads.unpack(archive, tmp_path / "pond")
    assert (folder / "a" / "levels.csv").read_bytes() == CONTENT
    assert (folder / "b" / "c" / "d.csv").read_bytes() == b"1"


def zip_link(path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return make_zip(path, {"good": b"1", info: b"/etc/passwd"})


HOSTILE = {
    "zip slip": (lambda path: make_zip(path, {"good": b"1", "../slip": b"2"}), "'../slip' would leave"),
    "zip deep slip": (lambda path: make_zip(path, {"a/../../slip": b"2"}), "'a/../../slip' would leave"),
    "zip windows slip": (lambda path: make_zip(path, {"..\\slip": b"2"}), r"would leave"),
    "zip absolute": (lambda path: make_zip(path, {"/tmp/slip": b"2"}), "'/tmp/slip' would leave"),
    "zip drive": (lambda path: make_zip(path, {"C:/slip": b"2"}), "'C:/slip' would leave"),
    "zip symlink": (zip_link, "'link' is a link or a device"),
    "tar slip": (lambda path: make_tar(path, "good", "../slip"), "'../slip' would leave"),
    "tar absolute": (lambda path: make_tar(path, "/tmp/slip"), "'/tmp/slip' would leave"),
    "tar symlink": (
        lambda path: make_tar(path, "good", ("link", tarfile.SYMTYPE, "..")),
        "'link' is a link or a device",
    ),
    "tar hard link": (lambda path: make_tar(path, ("link", tarfile.LNKTYPE, "../x")), "'link' is a link or a device"),
    "tar device": (lambda path: make_tar(path, ("null", tarfile.CHRTYPE, "")), "'null' is a link or a device"),
    "tar fifo": (lambda path: make_tar(path, ("pipe", tarfile.FIFOTYPE, "")), "'pipe' is a link or a device"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_by_name(tmp_path, case):
    make, message = HOSTILE[case]
    (tmp_path / "inner").mkdir()
    with pytest.raises(DatasetError) as caught:
        downloads.unpack(make(tmp_path / "evil"), tmp_path / "inner" / "pond")
    assert message in str(caught.value)
    assert "Expected are plain files and folders; nothing was unpacked." in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["evil", "inner"]
    assert os.listdir(tmp_path / "inner") == []


def damaged_zip(path):
    content = make_zip(path, {"a": CONTENT}).read_bytes()
    path.write_bytes(content.replace(CONTENT[:100], CONTENT[100:200], 1))
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])
    return path


@pytest.mark.parametrize(
    "make",
    [
        damaged_zip,
        lambda path: cut(make_zip(path, {"a": CONTENT})),
        lambda path: cut(make_tar(path, "a", mode="w:gz")),
        lambda path: cut(make_tar(path, "a", mode="w:bz2")),
        lambda path: cut(make_tar(path, "a", mode="w:xz")),
        lambda path: path.write_bytes(b"no archive at all") and path,
    ],
)
def test_damaged_archives_leave_nothing(tmp_path, make):
    archive = make(tmp_path / "archive")
    with pytest.raises(
        DatasetError, match=r"archive cannot be unpacked \(.+\)\. Expected is an undamaged zip or tar file"
    ):
        downloads.unpack(archive, tmp_path / "pond")
    assert os.listdir(tmp_path) == ["archive"]


def test_unpack_overwrites_nothing(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"1"})
    with pytest.raises(DatasetError, match=r"is there already\. Remove it, or unpack a\.zip into another folder"):
        downloads.unpack(archive, tmp_path)
    with pytest.raises(DatasetError, match=r"b\.zip is not a file\. Name the archive to unpack"):
        downloads.unpack(tmp_path / "b.zip", tmp_path / "b")
