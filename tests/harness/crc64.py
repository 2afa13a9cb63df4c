"""CRC-64 as DUMP payloads and RDB files end with it."""

TABLE = []
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = (crc >> 1) ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    TABLE.append(crc)


def crc64(data, crc=0):
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def payload(body, version=11):
    """A payload for RESTORE: `body` is the value with its type in front."""
    whole = body + version.to_bytes(2, "little")
    return whole + crc64(whole).to_bytes(8, "little")
