"""Checks a TensorBoard event file with an independent reader: record lengths, both checksums, and
the scalars. usage: make_tfevents.py events.out.tfevents...   (prints one JSON object an event)
"""
import json
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + size], at + size
            assert len(value) == size
        yield number, value


for path in sys.argv[1:]:
    data = open(path, "rb").read()
    at = 0
    while at < len(data):
        head, (check,) = data[at:at + 8], struct.unpack("<I", data[at + 8:at + 12])
        assert masked(head) == check, "checksum of a length"
        (size,) = struct.unpack("<Q", head)
        body = data[at + 12:at + 12 + size]
        assert masked(body) == struct.unpack("<I", data[at + 12 + size:at + 16 + size])[0], "checksum of an event"
        at += 16 + size
        event = {"scalars": {}}
        for number, value in fields(body):
            if number == 1:
                event["wall_time"] = struct.unpack("<d", value)[0]
            elif number == 2:
                event["step"] = value
            elif number == 3:
                event["version"] = value.decode()
            elif number == 5:
                for _, summary in fields(value):
                    entry = dict(fields(summary))
                    event["scalars"][entry[1].decode()] = struct.unpack("<f", entry[2])[0]
        print(json.dumps(event))
