#!/usr/bin/env python3
"""check_proof.py takes the proof that it is given, and none of the thousands that differ from it in one place.

usage: proof_tampering_test.py PROOF
"""

import copy
import json
import sys

sys.dont_write_bytecode = True
import check_proof  # noqa: E402  (beside this file)


def passes(proof):
    try:
        check_proof.check(proof)
        return True
    except (check_proof.Wrong, KeyError, TypeError, ValueError, check_proof.struct.error):
        return False


def places(value, path=()):
    """Every leaf, and every list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, path + (key,))
    elif isinstance(value, list):
        yield path, value
        for index, inner in enumerate(value):
            yield from places(inner, path + (index,))
    else:
        yield path, value


def changed(proof, path, value):
    """The proof with another value there; shares all else with it."""
    if not path:
        return value
    copied = copy.copy(proof)
    copied[path[0]] = changed(proof[path[0]], path[1:], value)
    return copied


def tampered(proof):
    for path, value in places(proof):
        if isinstance(value, list):
            for index in range(len(value)):
                yield path + (index, 'left out'), changed(proof, path, value[:index] + value[index + 1:])
                yield path + (index, 'twice'), changed(proof, path, value[:index + 1] + value[index:])
                if index + 1 < len(value):
                    swapped = value[:index] + [value[index + 1], value[index]] + value[index + 2:]
                    yield path + (index, 'swapped'), changed(proof, path, swapped)
        elif isinstance(value, int):
            for step in 1, -1, 4096:
                yield path + (step,), changed(proof, path, value + step)
        elif path[-1] in ('header', 'bytes'):
            data = bytearray.fromhex(value)
            for offset in range(len(data)):
                data[offset] ^= 1 << offset % 8
                yield path + (offset,), changed(proof, path, data.hex())
                data[offset] ^= 1 << offset % 8
        else:
            for index, character in enumerate(value):
                other = '1' if character != '1' else '2'
                yield path + (index,), changed(proof, path, value[:index] + other + value[index + 1:])


def main():
    with open(sys.argv[1], encoding='ascii') as file:
        proof = json.load(file)
    assert passes(proof), 'the proof itself is refused'
    assert check_proof.crc32c(b'123456789') == 0xE3069283
    count = 0
    for what, other in tampered(proof):
        if passes(other):
            print('not noticed:', *what)
            return 1
        count += 1
    assert count > 1000, count
    print(count, 'changed proofs were refused')
    return 0


if __name__ == '__main__':
    sys.exit(main())
