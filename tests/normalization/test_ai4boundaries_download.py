"""The download of AI4Boundaries, from a server that misbehaves on request."""

import hashlib
from http.server import BaseHTTPRequestHandler

import pytest

from millpond.downloads import DatasetError
from millpond.normalization import NormalizationError, ai4boundaries_download
from millpond.normalization.ai4boundaries import SPLIT_TABLE, read_ai4boundaries
from millpond.normalization.ai4boundaries_download import SUMS, download_ai4boundaries

TILES = {"AT_1": "train", "AT_2": "val", "NL_3": "train", "NL_4": "test", "FR_5": "NA"}


def image_path(name):
    return f"images/{name[:2]}/{name}_S2_10m_256.nc"


def label_path(name):
    return f"masks/{name[:2]}/{name}_S2label_10m_256.tif"


def table(tiles=TILES, change=str):
    # The publisher's table names its own host; only the paths count.
    lines = ["file_id,sentinel2_images_file_url,sentinel2_masks_file_url,split"]
    for name, split in tiles.items():
        urls = [f"http://jrc.invalid/AI4BOUNDARIES/sentinel2/{path(name)}" for path in (image_path, label_path)]
        lines.append(",".join([name, *urls, split]))
    return change("\n".join(lines) + "\n").encode()


class Server(BaseHTTPRequestHandler):
    """Serves `content` (path below sentinel2 -> bytes); `faults` are told once each by path."""

    def do_GET(self):
        path = self.path.removeprefix("/data/sentinel2/")
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.asked.append((path, begin))
        faults = self.faults.get(path, [])
        fault = faults.pop(0) if faults else None
        if path not in self.content or fault == "gone":
            self.send_error(404)
            return
        if fault == "busy":
            self.send_error(503)
            return
        body = b"<html>Service moved</html>" if fault == "page" else self.content[path]
        tag = '"' + hashlib.md5(body).hexdigest() + '"'
        if self.headers.get("If-Range", tag) != tag:
            begin = 0
        if begin >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if fault != "no size":
            self.send_header("Content-Length", str(len(body) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        if fault != "no tag":
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body[begin : 70_000 if fault in ("breaks", "no tag") else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(serve, monkeypatch):
    monkeypatch.setattr(ai4boundaries_download, "_PAUSE_S", 0)
    content = {SPLIT_TABLE: table()}
    for i, name in enumerate(TILES):
        content[image_path(name)] = b"\x89HDF\r\n" + bytes([i]) * 100_000
        content[label_path(name)] = b"II*\0" + bytes([i]) * 100
    handler = type("Handler", (Server,), {"asked": [], "faults": {}, "content": content})
    handler.base = serve(handler) + "/data/"
    return handler


def get(server, folder, n=None, **how):
    return download_ai4boundaries(folder, n, base=server.base, progress=False, **how)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_pairs_arrive_in_the_publishers_layout_with_their_checksums(server, tmp_path):
    done = get(server, tmp_path / "new")
    folder = tmp_path / "new"
    assert done == (folder, 5, 11, 0)
    assert files(folder) == {*server.content, SUMS}
    assert all((folder / path).read_bytes() == content for path, content in server.content.items())
    lines = [f"{hashlib.sha256(content).hexdigest()}  {path}" for path, content in sorted(server.content.items())]
    assert (folder / SUMS).read_text().splitlines() == lines
    assert set(read_ai4boundaries(folder, "train").names) == {"AT_1", "NL_3"}


def test_a_second_call_asks_for_nothing(server, tmp_path):
    get(server, tmp_path)
    server.asked.clear()
    (tmp_path / SUMS).unlink()  # a killed process writes none
    assert get(server, tmp_path).n_new == 0
    assert server.asked == []
    assert len((tmp_path / SUMS).read_text().splitlines()) == 11


def test_fewer_tiles_are_drawn_from_more(server, tmp_path):
    for n in (2, 3):
        assert get(server, tmp_path / str(n), n, random_state=1).n_pairs == n
    assert files(tmp_path / "2") < files(tmp_path / "3")
    assert get(server, tmp_path / "9", 9).n_pairs == 5


def test_split_and_countries_choose(server, tmp_path):
    get(server, tmp_path, split="train", countries=["NL"])
    assert files(tmp_path) == {SPLIT_TABLE, SUMS, image_path("NL_3"), label_path("NL_3")}


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    path = image_path("AT_1")
    server.faults[path] = ["breaks"]
    get(server, tmp_path, countries=["AT"])
    begins = [begin for asked, begin in server.asked if asked == path]
    assert begins == [0, 65_536]  # whole chunks of what came
    assert (tmp_path / path).read_bytes() == server.content[path]
    assert not [name for name in files(tmp_path) if ".part" in name]


def test_a_later_call_goes_on_unless_the_file_has_changed(server, tmp_path):
    path = image_path("AT_1")
    for new in (server.content[path], b"\x89HDF\r\n" + b"new" * 40_000):
        folder = tmp_path / str(len(new))
        server.faults[path] = ["breaks", "busy", "busy"]
        with pytest.raises(
            DatasetError, match=r"1 of 4 files could not be downloaded: images/AT/AT_1_S2_10m_256\.nc: "
        ):
            get(server, folder, countries=["AT"])
        assert path not in files(folder)
        server.asked.clear()
        server.content[path] = new
        assert get(server, folder, countries=["AT"]).n_new == 1
        assert server.asked == [(path, 65_536)]
        assert (folder / path).read_bytes() == new


def test_a_part_of_an_unmarked_file_is_not_trusted(server, tmp_path):
    path = image_path("AT_1")
    server.faults[path] = ["no tag"]
    get(server, tmp_path, countries=["AT"])
    assert [begin for asked, begin in server.asked if asked == path] == [0, 0]
    assert (tmp_path / path).read_bytes() == server.content[path]


def test_a_part_that_is_already_whole_or_longer_is_fetched_anew(server, tmp_path):
    path = image_path("AT_1")
    part = tmp_path / f"{path}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 200_000)
    part.with_name(part.name + ".tag").write_text('"' + hashlib.md5(server.content[path]).hexdigest() + '"')
    get(server, tmp_path, countries=["AT"])
    assert [begin for asked, begin in server.asked if asked == path] == [200_000, 0]
    assert (tmp_path / path).read_bytes() == server.content[path]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (["gone"], "AT_1_S2_10m_256.nc answers 404 Not Found"),
        (["busy"] * 3, r"answers 503 Service Unavailable \(HTTPError, 3 attempts\)"),
        (["page"], r"gave something else than a \.nc file \(it begins with b'<html>Service mo'\) and was not kept"),
        (["no size"], "states no size, so that a part of it could pass for the whole"),
    ],
)
def test_what_is_no_whole_file_is_not_kept_and_the_others_are(server, tmp_path, fault, message):
    path = image_path("AT_1")
    server.faults[path] = fault
    with pytest.raises(DatasetError, match=message) as error:
        get(server, tmp_path)
    assert str(error.value).endswith(f"The others are in {tmp_path}; the same call goes on from there.")
    assert files(tmp_path) == {*server.content, SUMS} - {path}
    assert get(server, tmp_path).n_new == 1


def test_checksums_that_are_there_check_the_download(server, tmp_path):
    path = label_path("AT_1")
    (tmp_path / SUMS).write_text(f"{'0' * 64}  {path}\n")
    with pytest.raises(
        DatasetError, match=rf"gave a file that is not the one in {SUMS} \(SHA-256 0{{64}}\) and was not"
    ):
        get(server, tmp_path, countries=["AT"])
    assert path not in files(tmp_path)
    (tmp_path / SUMS).write_text("what is this?\nnothing\n")
    with pytest.raises(DatasetError, match="no list of checksums found, lines of SHA-256 and file name expected"):
        get(server, tmp_path)


def test_a_server_that_is_gone_is_left_in_peace(server, tmp_path):
    tiles = {f"AT_{i}": "train" for i in range(100)}
    server.content[SPLIT_TABLE] = table(tiles)
    for path in [path for path in server.content if path != SPLIT_TABLE]:
        del server.content[path]
    with pytest.raises(DatasetError, match="6 of 200 files could not be downloaded"):
        get(server, tmp_path)
    assert len(server.asked) == 7


def test_without_the_table_nothing_begins(server, tmp_path):
    server.faults[SPLIT_TABLE] = ["gone"]
    with pytest.raises(
        DatasetError, match=rf"{SPLIT_TABLE} could not be downloaded: http://127.* answers 404 Not Found\. "
    ):
        get(server, tmp_path)
    assert files(tmp_path) == set()


def test_tiles_without_an_address_are_counted(server, tmp_path):
    server.content[SPLIT_TABLE] = table(
        change=lambda text: text.replace("http://jrc.invalid/AI4BOUNDARIES/sentinel2/masks/AT/AT_2", "NA#").replace(
            "NA#_S2label_10m_256.tif", "NA"
        )
    )
    assert get(server, tmp_path) == (tmp_path, 4, 9, 1)


@pytest.mark.parametrize("address", ["http://x/images/../../../etc/x.nc", "x.nc", "http://x/images/%2e%2e/x.nc"])
def test_addresses_that_lead_elsewhere_are_refused(server, tmp_path, address):
    server.content[SPLIT_TABLE] = (
        "file_id,sentinel2_images_file_url,sentinel2_masks_file_url,split\n"
        f"AT_1,{address},http://x/sentinel2/masks/AT/a.tif,train\n"
    ).encode()
    with pytest.raises(
        NormalizationError, match=r"address '.*' found, one like \.\.\./sentinel2/images/AT/NAME expected"
    ):
        get(server, tmp_path)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"split": "tests"}, "split 'tests' found, one of train, val, test or None expected"),
        ({"n": 0}, "n = 0 found, at least one tile expected"),
        (
            {"countries": ["PL"]},
            r"5 tiles found, 0 of them in split \(any\) and countries \['PL'\], none with the addr",
        ),
    ],
)
def test_arguments_that_name_no_tile_are_refused(server, tmp_path, how, message):
    with pytest.raises(NormalizationError, match=message):
        get(server, tmp_path, **how)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="file cannot be written"):
        get(server, tmp_path / "file")
