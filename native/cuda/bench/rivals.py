#!/usr/bin/env python3
"""The library's gather beside PyTorch's and Triton's of the same rows, in turns.

A packed table of fp8 rows with their scales behind them, in pinned memory of the host and in the
device's; rows come out as bf16 and are compared, bit by bit, before they race. What can be is
captured into CUDA graphs, so that Python's time is in none of them: PyTorch itself cannot read the
host's memory from the device, so it gathers there, copies, and widens on the device.

Without a device it compares the rows and stops: the library is then the shim, and Triton interprets.

usage: rivals.py LIBRARY [MEGABYTES [ROUNDS [TOKENS]]]
"""

import ctypes
import json
import os
import statistics
import sys
import time

import torch

ON_CARD = torch.cuda.is_available()
if not ON_CARD:
    os.environ["TRITON_INTERPRET"] = "1"

import triton
import triton.language as tl

DIM = 256
BLOCK = 32
ROW = DIM + DIM // BLOCK
COLUMNS = 24
REPEATS = 10
F8_E4M3, BF16 = 3, 1  # as in engram.h
DEVICE = "cuda" if ON_CARD else "cpu"


class Queue(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_int),
        ("device", ctypes.c_int),
        ("stream", ctypes.c_void_p),
        ("most_blocks", ctypes.c_int),
        ("reserved", ctypes.c_int),
    ]


class Table(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_int),
        ("type", ctypes.c_int),
        ("head_dim", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("rows", ctypes.c_longlong),
        ("weight", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("weight_stride", ctypes.c_longlong),
        ("scale_stride", ctypes.c_longlong),
    ]


class Engram:
    """The library, for tables that the device can read."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.engram_cuda_detail.restype = ctypes.c_char_p

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.library.engram_cuda_detail().decode())

    def gather(self, table, ids, out):
        place = table.data_ptr()
        about = Table(
            ctypes.sizeof(Table), F8_E4M3, DIM, 0, table.shape[0], place, place + DIM, ROW, ROW
        )
        stream = torch.cuda.current_stream().cuda_stream if ON_CARD else None
        on = Queue(ctypes.sizeof(Queue), 0, stream, 0, 0)
        self.check(
            self.library.engram_cuda_gather(
                ctypes.byref(on),
                ctypes.byref(about),
                None,
                ctypes.c_void_p(ids.data_ptr()),
                ctypes.c_longlong(ids.numel()),
                ctypes.c_void_p(out.data_ptr()),
                BF16,
                None,
            )
        )

    def finish(self):
        self.check(self.library.engram_cuda_synchronize(0, None))


# Before compute capability 8.9 Triton has no fp8 of this kind; moved into fp16 it is 2^8 too small.
FP8 = not ON_CARD or torch.cuda.get_device_capability() >= (8, 9)


@triton.jit
def gather_kernel(
    table, ids, out, stride, SIZE: tl.constexpr, SCALED: tl.constexpr, FP8: tl.constexpr
):
    i = tl.program_id(0)
    row = tl.load(ids + i)
    k = tl.arange(0, SIZE)
    code = tl.load(table + row * stride + k)
    scale = tl.load(table + row * stride + SIZE + k // SCALED)
    if FP8:
        value = code.to(tl.float8e4nv, bitcast=True).to(tl.float32)
    else:
        bits = code.to(tl.int16)
        half = ((bits & 0x80) << 8) | ((bits & 0x7F) << 7)
        value = half.to(tl.float16, bitcast=True).to(tl.float32) * 256
    power = (scale.to(tl.int32) << 23).to(tl.float32, bitcast=True)
    tl.store(out + i * SIZE + k, (value * power).to(tl.bfloat16))


def by_triton(warps):
    def gather(table, ids, out):
        gather_kernel[(ids.numel(),)](
            table, ids, out, ROW, SIZE=DIM, SCALED=BLOCK, FP8=FP8, num_warps=warps
        )

    return gather


def widen(rows, out):
    """Rows as they are, on the device, to bf16."""
    value = rows[:, :DIM].view(torch.float8_e4m3fn).float().view(-1, DIM // BLOCK, BLOCK)
    power = (rows[:, DIM:].int() << 23).view(torch.float32)
    out.copy_((value * power[:, :, None]).view(-1, DIM))


def by_torch(table, ids, out):
    widen(table.index_select(0, ids), out)


class ByTorchThroughTheHost:
    """Ids are known to the host already; it waits for the device before it writes again."""

    def __init__(self, most):
        self.rows = torch.empty(most, ROW, dtype=torch.uint8, pin_memory=ON_CARD)

    def __call__(self, table, ids, out):
        rows = self.rows[: ids.numel()]
        torch.index_select(table, 0, ids, out=rows)
        widen(rows.to(DEVICE, non_blocking=True), out)
        if ON_CARD:
            torch.cuda.current_stream().synchronize()


def captured(gather, table, ids, out):
    """Several gathers of rows that none before has brought into a cache, as one launch."""
    gather(table, ids[0], out)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for some in ids:
            gather(table, some, out)
    return graph.replay


def called(gather, table, ids, out):
    return lambda: [gather(table, some, out) for some in ids]


def timed(run):
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / REPEATS * 1e6


def race(title, racers, rounds):
    times = {name: [] for name in racers}
    for turn in range(rounds + 1):
        for name, run in racers.items():
            took = timed(run)
            if turn > 0:  # the first warms up
                times[name].append(took)
    ours = statistics.median(times["engram"])
    line = {"race": title}
    for name, each in times.items():
        line[name + "_us"] = round(statistics.median(each), 2)
        line[name + "_spread"] = [round(min(each), 2), round(max(each), 2)]
        if name != "engram":
            line["engram_vs_" + name] = round(statistics.median(each) / ours, 3)
    print(json.dumps(line), flush=True)
    best = min(value for key, value in line.items() if key.startswith("engram_vs_"))
    return title, best


def compare(engram, gathers, table, ids):
    """Ends the program if somebody's rows are others than ours."""
    expected = torch.empty(ids.numel(), DIM, dtype=torch.bfloat16, device=DEVICE)
    engram.gather(table, ids, expected)
    engram.finish()
    for name, (gather, own_ids) in gathers.items():
        out = torch.zeros_like(expected)
        gather(table, own_ids, out)
        if ON_CARD:
            torch.cuda.synchronize()
        if not torch.equal(out.view(torch.int16), expected.view(torch.int16)):
            sys.exit(f"FAILED: the rows of {name} are others than ours")


def random_table(megabytes):
    rows = megabytes * 1_000_000 // ROW
    table = torch.randint(0, 255, (rows, ROW), dtype=torch.uint8, pin_memory=ON_CARD)
    table[:, :DIM] &= 0xF7  # no NaN
    table[:, DIM:] %= 8
    table[:, DIM:] += 120
    return table


def main():
    arguments = sys.argv[1:]
    if not 1 <= len(arguments) <= 4:
        sys.exit(__doc__)
    sizes = [8500, 9, 4096]
    sizes[: len(arguments) - 1] = map(int, arguments[1:])
    megabytes, rounds, most = sizes
    engram = Engram(os.path.abspath(arguments[0]))
    host = random_table(megabytes)
    through_host = ByTorchThroughTheHost(most * COLUMNS)
    tables = {"host": host, "device": host.to(DEVICE)}
    ids = torch.randint(0, host.shape[0], (min(most, 64) * COLUMNS,))
    some = ids.to(DEVICE)
    for place, table in tables.items():
        gathers = {f"triton of {n} warps": (by_triton(n), some) for n in (1, 2, 4)}
        gathers["torch"] = (through_host, some.cpu()) if place == "host" else (by_torch, some)
        compare(engram, gathers, table, some)
    print(f"{some.numel()} rows of each are the same bits")
    if not ON_CARD:
        return
    ratios = []
    for place, table in tables.items():
        tokens = 1
        while tokens <= most:
            count = tokens * COLUMNS
            fresh = torch.randint(0, host.shape[0], (REPEATS, count))
            there = fresh.to(DEVICE)
            out = torch.empty(count, DIM, dtype=torch.bfloat16, device=DEVICE)
            racers = {"engram": captured(engram.gather, table, there, out)}
            for warps in (1, 2, 4):
                racers[f"triton_{warps}"] = captured(by_triton(warps), table, there, out)
            racers["torch"] = (
                called(through_host, table, fresh, out)
                if place == "host"
                else captured(by_torch, table, there, out)
            )
            ratios.append(race(f"gather from the {place}, {tokens} tokens", racers, rounds))
            tokens *= 8
    title, worst = min(ratios, key=lambda each: each[1])
    print(f"the least ahead of the best of them: {worst} times as fast, {title}")


if __name__ == "__main__":
    main()
