"""What the figures of the benches are taken on."""

import os
import platform
from pathlib import Path

import torch

from bench.shapes import DEVICE
from bench.worker import Answer

CPU_FLAGS = {"avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_fp16", "asimd", "bf16"}


def machine() -> Answer:
    """What the figures are taken on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = known.get("flags") or known.get("Features", "")
    return {
        "cpu": known.get("model name", platform.machine()),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if DEVICE == "cuda" else None,
        "flags": sorted(CPU_FLAGS & set(flags.split())),
        "onednn_bfloat16": torch.ops.mkldnn._is_mkldnn_bf16_supported(),
        "onednn_float16": torch.ops.mkldnn._is_mkldnn_fp16_supported(),
    }
