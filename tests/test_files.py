"""Files are written whole or not at all."""

import os
import threading

import pytest

from lstune.files import replacing, write_whole


def names(folder):
    return [entry.name for entry in folder.iterdir()]


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    write_whole(tmp_path / "a.txt", "é\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\r\n"
    write_whole(str(tmp_path / "a.txt"), b"\x00\n", durable=True)
    assert (tmp_path / "a.txt").read_bytes() == b"\x00\n"
    assert names(tmp_path) == ["a.txt"]


def write_half(path, durable):
    with replacing(path, durable=durable) as file:
        file.write(b"half")
        raise KeyboardInterrupt


@pytest.mark.parametrize("durable", [False, True])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, durable):
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    with pytest.raises(KeyboardInterrupt):
        write_half(path, durable)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync" if durable else "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new", durable=durable)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_reader_meets_a_whole_file_while_threads_write_it(tmp_path):
    path = tmp_path / "a.bin"
    write_whole(path, bytes(50_000))

    def write(letter):
        for _ in range(30):
            write_whole(path, letter * 50_000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        data = path.read_bytes()
        assert len(data) == 50_000
        assert len(set(data)) == 1
        seen.add(data[0])
    for thread in threads:
        thread.join()
    assert path.read_bytes()[0] in b"ab"
    assert names(tmp_path) == ["a.bin"]


def test_only_a_durable_file_waits_for_the_disk(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(os, "fsync", waits.append)
    write_whole(tmp_path / "a", "x")
    assert waits == []
    write_whole(tmp_path / "a", "x", durable=True)
    assert len(waits) == 1


def test_a_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "a.txt")
    for content in ("new", "newer"):  # it leads to nothing at first
        write_whole(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "a.txt").read_text() == content
    assert names(tmp_path / "there") == ["a.txt"]


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        write_whole(path, "hello")
        assert os.read(reader, 100) == b"hello"
        os.close(reader)
        assert pipe.is_fifo()
    assert sorted(names(tmp_path)) == ["link", "pipe"]


def test_names_as_long_as_there_can_be(tmp_path):
    write_whole(tmp_path / ("n" * 255), "x")
    assert names(tmp_path) == ["n" * 255]
