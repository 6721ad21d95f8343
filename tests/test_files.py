"""Files appear whole or not at all."""

import os
import subprocess
import sys
import time

import pytest

from millpond.errors import MillpondError
from millpond.files import check_target, make_folder, replacing, write_text


class PondError(MillpondError):
    """Of a room of its own."""


def test_a_file_takes_the_place_of_the_old_one_when_the_block_ends(tmp_path):
    path = tmp_path / "levels.csv"
    path.write_text("old")
    with replacing(path, PondError) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "levels.csv"
    path.write_text("old")

    def stop_half_way():
        with replacing(path, PondError) as unfinished:
            unfinished.write_text("ne")
            raise KeyError

    with pytest.raises(KeyError):
        stop_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


WRITER = """
import sys
from millpond.errors import MillpondError
from millpond.files import replacing

path, digit = sys.argv[1:]
with replacing(path, MillpondError) as unfinished, open(unfinished, "w") as file:
    file.write(digit * 5000)
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()
    file.write(digit * 5000)
"""


def test_of_two_processes_that_write_a_file_each_leaves_it_whole(tmp_path):
    path = tmp_path / "levels.csv"
    command = [sys.executable, "-c", WRITER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "1"], **pipes) as first, subprocess.Popen([*command, "2"], **pipes) as second:
        assert (first.stdout.readline(), second.stdout.readline()) == ("half\n", "half\n")
        first.communicate("go on\n")
        assert (first.returncode, path.read_text()) == (0, "1" * 10_000)
        second.communicate("go on\n")
        assert (second.returncode, path.read_text()) == (0, "2" * 10_000)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_goes_after_a_day(tmp_path):
    path = tmp_path / "levels[1].csv"
    for name, days in (("levels[1].csv.0a.part", 1.1), ("levels[1].csv.1b.part", 0.9), ("levels[1].csv", 9)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - days * 24 * 3600,) * 2)
    write_text(path, "level_m\n", PondError)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["levels[1].csv", "levels[1].csv.1b.part"]


def test_a_file_may_be_read_by_whom_the_system_lets_read_new_files(tmp_path):
    (tmp_path / "ordinary").touch()
    write_text(tmp_path / "levels.csv", "level_m\n", PondError)
    assert (tmp_path / "levels.csv").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_text_has_the_same_bytes_everywhere(tmp_path):
    write_text(tmp_path / "names.csv", "Itoiz\nEzcároz\n", PondError)
    assert (tmp_path / "names.csv").read_bytes() == "Itoiz\nEzcároz\n".encode()


def test_a_full_disk_is_told_in_the_words_of_the_room(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = r"levels\.csv: not written \(No space left on device\), a writable folder with free space expected"
    with pytest.raises(PondError, match=message):
        write_text(tmp_path / "levels.csv", "level_m\n", PondError)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scene.tif", "scene.tif: an input or another output found, a file of its own expected. Choose another name"),
        ("away/out.csv", "no folder .*away found, an existing one expected. Make it, or check the path"),
        ("folder", "folder: a folder or device found, a file to write expected. Choose another name"),
    ],
)
def test_targets_that_cannot_be(tmp_path, name, message):
    (tmp_path / "scene.tif").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(PondError, match=message):
        write_text(tmp_path / name, "", PondError, inputs=[tmp_path / "folder" / ".." / "scene.tif"])


def test_a_folder_is_made_with_those_above_it_or_refused(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "pond" / "2021", PondError)
    assert (tmp_path / "pond" / "2021").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(PondError, match=r"file/pond: not made \(Not a directory\), a folder expected\. Choose another"):
        make_folder(tmp_path / "file" / "pond", PondError)


def test_a_folder_that_takes_no_file_is_found_before_the_work(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(PondError, match=r"levels\.csv: not written \(Permission denied\), a writable folder"):
        check_target(tmp_path / "levels.csv", PondError)
