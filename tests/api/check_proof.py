#!/usr/bin/env python3
"""Checks the proof of a member's balance, from docs/proof.md alone: it shares nothing with the ledger.

usage: check_proof.py PROOF     exits with 0 and says what was proved, or with 1 and says what is wrong
"""

import json
import struct
import sys

# ---- checksums ----

CRC_POLYNOMIAL = 0x82F63B78
CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (CRC_POLYNOMIAL if byte & 1 else 0)
    CRC_TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def times(matrix, vector):
    product = 0
    for row in matrix:
        if vector & 1:
            product ^= row
        vector >>= 1
    return product


def squared(matrix):
    return [times(matrix, row) for row in matrix]


# What a zero bit does to a CRC; squared three times, what a zero byte does; and so on: 2**i zero bytes.
ZEROS = [squared(squared(squared([CRC_POLYNOMIAL] + [1 << i for i in range(31)])))]
while len(ZEROS) < 40:
    ZEROS.append(squared(ZEROS[-1]))


def combined(first, second, second_size):
    """The CRC of two pieces behind each other, by theirs and the size of the second."""
    require(0 <= second_size < 1 << len(ZEROS), 'a piece of no sane size')
    for i, zeros in enumerate(ZEROS):
        if second_size >> i & 1:
            first = times(zeros, first)
    return first ^ second


# XXH3's default secret, as far as 128 bytes need it:
# https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
SECRET = bytes.fromhex(
    'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f'
    'cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c'
    '3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8'
    'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364')
PRIME_1, PRIME_2, PRIME_4 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x85EBCA77C2B2AE63
MASK = (1 << 64) - 1


def xxh3_128_of_128_bytes(data):
    """As 32 hexadecimal digits, the high half first."""
    assert len(data) == 128
    words = struct.unpack('<16Q', data)
    secret = struct.unpack('<16Q', SECRET)

    def mix(word, key):
        product = (words[word] ^ secret[key]) * (words[word + 1] ^ secret[key + 1])
        return product & MASK ^ product >> 64

    low, high = 128 * PRIME_1 & MASK, 0
    for front, back, key in (6, 8, 12), (4, 10, 8), (2, 12, 4), (0, 14, 0):
        low = low + mix(front, key) & MASK ^ words[back] + words[back + 1] & MASK
        high = high + mix(back, key + 2) & MASK ^ words[front] + words[front + 1] & MASK

    def avalanche(h):
        h ^= h >> 37
        h = h * 0x165667919E3779F9 & MASK
        return h ^ h >> 32

    total = avalanche(low + high & MASK)
    rest = -avalanche(low * PRIME_1 + high * PRIME_4 + 128 * PRIME_2 & MASK) & MASK
    return '%016x%016x' % (rest, total)


# ---- the log's format, docs/log-format.md ----

HEADER = struct.Struct('<IHBBQQHHIQQIIqQQQQH22sII')
RECORD = struct.Struct('<QQQQQQqqqQHHBBH qqqQBBHHH')
SLOT = 128
START, RECORDS, WITNESS = 1, 2, 3
ENROL, ACCRUE, PURCHASE, RETURN, REDEEM, ADJUST = 2, 3, 4, 5, 6, 7
HOLD, CAPTURE, RELEASE, REVERSE, ACTIVATE, CANCEL, FREEZE, UNFREEZE, CLOSE, EXTEND = range(9, 19)
TRANSFER, TRANSFER_IN, TRANSFER_DONE, TRANSFER_BACK = range(19, 23)
ACTIVATION, EXPIRY, TIMEOUT = 128, 129, 130
WRITTEN_OFF, DETAILED = 4, 16


class Wrong(Exception):
    pass


def require(holds, *what):
    if not holds:
        raise Wrong(' '.join(str(word) for word in what))


class Header:
    def __init__(self, data):
        require(len(data) == 128, 'a header is not 128 bytes')
        (self.magic, self.version, self.type, _, low, high, self.shard, self.shard_count, self.epoch,
         self.segment, self.first_position, self.count, self.bytes, self.timestamp, _, previous_low,
         previous_high, _, _, _, self.body_crc, header_crc) = HEADER.unpack(data)
        self.ledger = '%016x%016x' % (high, low)
        self.previous_hash = '%016x%016x' % (previous_high, previous_low)
        self.hash = xxh3_128_of_128_bytes(data)
        require(self.magic == 0x4B594C54 and self.version == 1, 'this is no header of format 1')
        require(crc32c(data[:124]) == header_crc, 'a header does not have its checksum')
        require(self.type in (START, RECORDS, WITNESS), 'a header has no known type')
        size = SLOT + SLOT * self.count
        require(self.bytes == (size + 4095) // 4096 * 4096, 'a header has no sane size')


# ---- what a record may do ----

def check_record(data, position, member, account, on_the_way):
    """The record is the next of its account, and moves what its kind may move. `on_the_way`: the account's
    transfers that are not settled, amounts by position."""
    (_, _, member_low, member_high, _, _, amount, _, _, transfer, program, category, kind, _, _, points,
     available, pending, previous, outcome, flags, _, details, _) = RECORD.unpack(data[:SLOT])
    at = f'position {position}:'
    require('%016x%016x' % (member_high, member_low) == member, at, 'the record is another member\'s')
    require(outcome == 0, at, 'the operation was refused')
    derived = kind >= 128
    require(len(data) == SLOT * (1 if derived else 1 + details), at, 'details are missing')
    require(previous == account['last_position'], at, 'the record before it is missing')
    moved = pending + available - account['pending'] - (account['available'] - account['debt'])
    held = points - moved
    if kind not in (HOLD, CAPTURE, RELEASE, TIMEOUT):
        require(held == 0, at, 'the balances moved by something else than the points')
    require(account['held'] + held >= 0, at, 'held points are negative')
    detail = struct.unpack('<3q', data[SLOT:SLOT + 24]) if flags & DETAILED else None
    came_back, captured, expired = amount, -points, 0
    if detail and kind == REVERSE:
        came_back = detail[0] - detail[1] - detail[2]
        require(detail[0] == amount, at, 'its details are not of its amount')
    if detail and kind == CAPTURE:
        captured = detail[0]
        require(points == detail[2] - captured and held == -captured - detail[1], at,
                'its details do not add up')
    if detail and kind == CLOSE:
        require(detail == (account['pending'], account['available'], account['debt']), at,
                'its details are not what there was')
        expired = detail[0] + detail[1] - detail[2]
    if kind == TRANSFER:
        on_the_way[position] = amount
    if kind in (TRANSFER_DONE, TRANSFER_BACK):
        require(on_the_way.pop(transfer, None) == amount, at, 'no such transfer was on its way')
        require(kind == TRANSFER_DONE or category != 0, at, 'it came back, and was not refused')
    arrived = 0
    if kind == TRANSFER_IN:
        require(details >= 2, at, 'the lots are missing')
        lots = [struct.unpack_from('<3q', data, SLOT * slot) for slot in range(2, 1 + details)]
        require(all(lot[2] > 0 for lot in lots), at, 'a lot has no points')
        arrived = sum(lot[2] for lot in lots)
    signs = {ENROL: points == 0, ACCRUE: points == amount, PURCHASE: points >= 0,
             RETURN: points <= 0, REDEEM: points == -amount, ADJUST: points == amount,
             HOLD: points == 0 and held == amount,
             CAPTURE: (captured == -held if amount == 0 else captured == amount <= -held),
             RELEASE: points == 0 and held < 0, REVERSE: points == came_back >= 0,
             ACTIVATE: points == 0 and pending < account['pending'],
             CANCEL: points < 0 and amount in (0, -points)
             and account['pending'] - pending == -points,
             FREEZE: points == 0, UNFREEZE: points == 0, EXTEND: points == 0,
             TRANSFER: points == -amount < 0, TRANSFER_IN: points == amount == arrived,
             TRANSFER_DONE: points == 0, TRANSFER_BACK: points == amount,
             CLOSE: points == -expired and pending == available == account['held'] == 0,
             ACTIVATION: points == 0 and amount > 0, EXPIRY: points == -amount and amount > 0,
             TIMEOUT: points == 0 and held == -amount < 0}
    require(kind in signs, at, 'the kind is unknown')
    require(signs[kind], at, 'the points are not those of its kind')
    require(pending >= 0, at, 'pending points are negative')
    if kind == ACTIVATION:
        require(account['pending'] - pending == amount, at, 'more or less became available')
    if kind == RETURN and flags & WRITTEN_OFF:
        claim, *parts = struct.unpack('<5q', data[SLOT:SLOT + 40])
        require(sum(parts) == claim and claim - parts[3] == -points, at, 'its details do not add up')
    return program, {'pending': pending, 'available': max(available, 0),
                     'held': account['held'] + held, 'debt': max(-available, 0),
                     'last_position': position}


def id_text(digits):
    """A decimal number when it fits 64 bits, else a UUID."""
    if digits.startswith('0' * 16):
        return str(int(digits, 16))
    return '-'.join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


BALANCE = 'pending', 'available', 'held', 'debt'


def check(proof):
    require(proof['format'] == 'tallystick-proof' and proof['version'] == 1, 'unknown format')
    require(proof['blocks'], 'there are no blocks')
    require(proof['member'] == id_text(proof['member_id']), 'the member has another id')
    accounts = {}
    on_the_way = {}
    before = None
    for block in proof['blocks']:
        header = Header(bytes.fromhex(block['header']))
        at = f"segment {block['segment']} offset {block['offset']}:"
        require(header.ledger == proof['ledger_id'], at, 'another ledger\'s')
        require((header.shard, header.shard_count) == (proof['shard'], proof['shard_count']), at,
                'another shard\'s')
        require(header.segment == block['segment'], at, 'another segment\'s')
        require(block['offset'] % 4096 == 0, at, 'no block lies there')
        require((header.type == START) == (block['offset'] == 0), at, 'a start block elsewhere')
        if before is not None:
            last, last_place = before
            require(header.previous_hash == last.hash, at, 'not the hash of the header before it')
            require(header.first_position == last.first_position + last.count, at, 'a gap')
            require(header.timestamp >= last.timestamp, at, 'time goes back')
            if header.type != START:
                require(header.epoch == last.epoch, at, 'another epoch\'s')
                require((block['segment'], block['offset']) == last_place, at, 'elsewhere')
        before = header, (block['segment'], block['offset'] + header.bytes)
        if 'body' not in block:
            continue
        require(header.type == RECORDS, at, 'a block without records has a body')
        crc, size = 0, 0
        for piece in block['body']:
            if 'skip' in piece:
                require(piece['skip'] > 0 and piece['skip'] % SLOT == 0, at, 'no whole slots')
                crc = combined(crc, int(piece['crc32c'], 16), piece['skip'])
                size += piece['skip']
                continue
            data = bytes.fromhex(piece['bytes'])
            position = header.first_position + size // SLOT
            require(piece['position'] == position, at, 'a record has another position')
            crc = combined(crc, crc32c(data), len(data))
            size += len(data)
            program = struct.unpack_from('<H', data, 80)[0]
            account = accounts.setdefault(
                program, {'records': 0, 'last_position': 0, 'pending': 0, 'available': 0, 'held': 0,
                          'debt': 0})
            _, after = check_record(data, position, proof['member_id'], account,
                                    on_the_way.setdefault(program, {}))
            account.update(after, records=account['records'] + 1)
            for name in BALANCE:
                require(piece[name] == account[name], f'position {position}:', name, 'differs')
            require(position + len(data) // SLOT <= header.first_position + header.count, at,
                    'a record lies behind the last slot')
        require(size == header.bytes - SLOT, at, 'the body has another size')
        require(crc == header.body_crc, at, 'the body does not have its checksum')
    last = before[0]
    require(proof['head']['hash'] == last.hash, 'the head is not the last header')
    require(proof['head']['position'] == last.first_position + last.count - 1,
            'the head is at another position')
    told = {account['program']: account for account in proof['accounts']}
    require(len(told) == len(proof['accounts']) and told.keys() == accounts.keys(),
            'the accounts are not those of the records')
    for program, account in accounts.items():
        for name, value in account.items():
            require(told[program][name] == value, f'program {program}:', name, 'differs')
    return accounts, on_the_way, last


def main():
    try:
        with open(sys.argv[1], encoding='ascii') as file:
            proof = json.load(file)
        accounts, on_the_way, last = check(proof)
    except Wrong as wrong:
        print(f'wrong: {wrong}')
        return 1
    except (KeyError, TypeError, ValueError, struct.error) as error:
        print(f'wrong: this is no proof: {error!r}')
        return 1
    for program, account in sorted(accounts.items()):
        print(f"proved: member {proof['member']} in program {program}: "
              f"available {account['available']}, pending {account['pending']}, "
              f"held {account['held']}, debt {account['debt']}, on its way {sum(on_the_way[program].values())}, "
              f"by {account['records']} records; header {last.hash}")
    return 0


if __name__ == '__main__':
    sys.exit(main())
