"""Compile the Triton kernels for a card that need not be there, at the published shape: run by `test_triton.py`.

The interpreter takes programs that the compiler refuses. Writes a line for each kernel.
"""

import sys
from collections.abc import Mapping

import triton
import triton.language as tl
from avcil.incremental.model.kernels import triton_kernels
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

SIZES = {"L": 8, "S": 196, "D": 768, "TOKENS": 8 * 196}
TYPES = {"fp32": tl.float32, "bf16": tl.bfloat16, "fp16": tl.float16}


def compile_kernel(name: str, stored: str, constants: Mapping[str, object], options: Mapping[str, object]) -> None:
    kernel = getattr(triton_kernels, name)
    product = "fp32" if stored == "fp32" else "bf16"
    types = {"store": f"*{stored}", "teacher_maps": f"*{stored}", "first": "i32", "clips": "i32"}
    types |= dict.fromkeys(("rows", "teacher_rows"), "*i64")
    types |= dict.fromkeys(("weight", "projected", "d_pre"), f"*{product}")
    constants = {**SIZES, "OPERAND": TYPES[product], "DOT": TYPES[product], "PRECISION": "ieee", **constants}
    signature, fixed, attributes = {}, {}, {}
    for position, argument in enumerate(kernel.arg_names):
        if argument in constants:
            signature[argument], fixed[(position,)] = "constexpr", constants[argument]
        else:
            signature[argument] = types.get(argument, "*fp32")
            if signature[argument].startswith("*"):
                attributes[(position,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=fixed, attrs=attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": True, **options})
    sys.stdout.write(f"{name} {stored}: {compiled.metadata.shared} bytes of shared memory\n")


def main(stored: str) -> None:
    half = stored != "fp32"
    blocks = {"BLOCK_S": 256 if half else 128, "BLOCK_D": 128, "BLOCK_K": 64 if half else 32, "BLOCK_MAP": 16}
    weight_blocks = {"BLOCK_OUT": blocks["BLOCK_S"], "BLOCK_IN": 128, "BLOCK_T": blocks["BLOCK_K"]}
    small = {"BLOCK_L": 8, "BLOCK_S": 16, "BLOCK_D": 128}
    large = {"num_warps": 8, "num_stages": 4}
    for maps in (True, False):
        compile_kernel("slice_forward", stored, {**blocks, "KEEP": maps, "MAPS": maps}, large)
    compile_kernel("cross_entropy_forward", stored, small, {})
    for gaze in (triton_kernels.NOTHING, triton_kernels.MAPS, triton_kernels.CROSS_ENTROPY):
        compile_kernel("slice_backward", stored, {**small, "GAZE": gaze}, {})
    compile_kernel("weight_backward", stored, weight_blocks, large)
    compile_kernel("temporal_forward", stored, small, {})
    compile_kernel("temporal_backward", stored, small, {})


if __name__ == "__main__":
    main(sys.argv[1])
