"""Which devices, formats and places of data work here."""

from collections.abc import Iterator

from rich.console import RenderableType

from toolkit.records import DoctorRecord
from toolkit.render.words.tables import make_table, mark


def doctor_tables(record: DoctorRecord) -> Iterator[RenderableType]:
    """Yield which devices, formats and places of data work here."""
    devices = make_table("Devices", "device", "", "what it is, or what to do")
    for device in record.devices:
        devices.add_row(device.device, mark(device.available), device.description)
    yield devices
    formats = make_table("Formats", "format", "", "runtime", "runs on", "versions, or what to do")
    for each in record.formats:
        formats.add_row(each.format, mark(each.works), each.runtime, ", ".join(each.devices) or "—", each.detail)
    yield formats
    data = make_table("Fashion-MNIST (only train needs the full set)", "looked in", "", "found")
    for place in record.data:
        data.add_row(place.place, mark(place.complete), place.detail)
    yield data
