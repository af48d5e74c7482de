"""The entry point: what happens around a command."""

import io
import os
import sys

import pytest

import lstune.cli.app
from lstune.cli import main


def call(monkeypatch, command, *args):
    monkeypatch.setattr(lstune.cli.app, "app", command)
    monkeypatch.setattr(sys, "argv", ["lstune", *args])
    main.run()


def test_letters_that_a_console_does_not_know_cost_no_result(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252", write_through=True))
    call(monkeypatch, lambda prog_name: print("\u58f2 \u00e4"), "datasets")
    assert written.getvalue().split() == [b"?", b"\xe4"]


def test_help_is_a_word_too(monkeypatch):
    seen = []
    call(monkeypatch, lambda prog_name: seen.append(sys.argv[1:]), "help")
    call(monkeypatch, lambda prog_name: seen.append(sys.argv[1:]), "help", "tune")
    assert seen == [["--help"], ["tune", "--help"]]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_output_on_a_full_disk_is_one_message(monkeypatch, capsys):
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            call(monkeypatch, lambda prog_name: print("x", flush=True), "datasets")
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("Error: The output cannot be written.")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way")
def test_a_reader_that_has_gone_is_no_error(monkeypatch, capsys):
    source, end = os.pipe()
    os.close(source)
    with open(end, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as ended:
            call(monkeypatch, None, "--version")
    assert ended.value.code == 1
    assert capsys.readouterr().err == ""
