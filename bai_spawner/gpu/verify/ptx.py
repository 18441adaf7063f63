"""Two kernels in PTX, which the driver compiles for whatever GPU it finds.

`RATE` multiplies and adds until told to stop; `PLACE` writes down where its blocks ran. PTX 6.4
(CUDA 10.1) is the first that knows sm_75; sm_52 is the oldest target that CUDA 13 still takes.
"""

from __future__ import annotations

HEADER = ".version 6.4\n.target sm_52\n.address_size 64\n"

RATE = "multiply_add"
"""``(u64 out, u32 rounds)``: every thread does ``rounds`` × `FMAS_PER_ROUND` FMAs of 32 bits.

``out`` is `RATE_HEAD` bytes (two u64: a block's clock cycles and nanoseconds) and then an f32 of
every thread: without a result that is kept, the compiler would leave the work out.
"""
RATE_HEAD = 16
CHAINS = 8
"""FMAs that do not wait for one another: one takes four cycles, and four warps share a unit."""
DEPTH = 8
"""FMAs of one chain in a round, so that counting rounds costs little beside them."""
FMAS_PER_ROUND = CHAINS * DEPTH

PLACE = "place_of_block"
"""``(u64 out, u64 cycles)``: every block waits so many cycles, then writes its SM's number (u32).

It waits so that no SM is done with one block before the others have got theirs.
"""

_ROUND = "\n".join(
    f"    fma.rn.f32 %f{chain}, %f{chain}, %f20, %f21;" for chain in [*range(CHAINS)] * DEPTH
)
_START = "\n".join(
    f"    add.f32 %f{chain}, %f22, 0f{0x3F800000 + (chain << 20):08X};" for chain in range(CHAINS)
)
_SUM = "\n".join(f"    add.f32 %f0, %f0, %f{chain};" for chain in range(1, CHAINS))

_RATE = f"""
.visible .entry {RATE}(.param .u64 out, .param .u32 rounds)
{{
    .reg .pred %p<4>;
    .reg .f32 %f<24>;
    .reg .b32 %r<8>;
    .reg .b64 %rd<12>;
    ld.param.u64 %rd0, [out];
    ld.param.u32 %r0, [rounds];
    cvta.to.global.u64 %rd0, %rd0;
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mad.lo.u32 %r4, %r2, %r3, %r1;
    cvt.rn.f32.u32 %f22, %r1;
    mov.f32 %f20, 0f3F7FBE77;
    mov.f32 %f21, 0f3A83126F;
{_START}
    mov.u64 %rd1, %clock64;
    mov.u64 %rd2, %globaltimer;
AGAIN:
{_ROUND}
    sub.u32 %r0, %r0, 1;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra AGAIN;
{_SUM}
    mov.u64 %rd3, %clock64;
    mov.u64 %rd4, %globaltimer;
    mul.wide.u32 %rd5, %r4, 4;
    add.u64 %rd5, %rd5, %rd0;
    st.global.f32 [%rd5+{RATE_HEAD}], %f0;
    setp.ne.u32 %p1, %r4, 0;
    @%p1 bra DONE;
    sub.u64 %rd3, %rd3, %rd1;
    sub.u64 %rd4, %rd4, %rd2;
    st.global.u64 [%rd0], %rd3;
    st.global.u64 [%rd0+8], %rd4;
DONE:
    ret;
}}
"""

_PLACE = f"""
.visible .entry {PLACE}(.param .u64 out, .param .u64 cycles)
{{
    .reg .pred %p<4>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<8>;
    ld.param.u64 %rd0, [out];
    ld.param.u64 %rd1, [cycles];
    cvta.to.global.u64 %rd0, %rd0;
    mov.u64 %rd2, %clock64;
WAIT:
    mov.u64 %rd3, %clock64;
    sub.u64 %rd3, %rd3, %rd2;
    setp.lt.u64 %p0, %rd3, %rd1;
    @%p0 bra WAIT;
    mov.u32 %r0, %tid.x;
    setp.ne.u32 %p1, %r0, 0;
    @%p1 bra DONE;
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %smid;
    mul.wide.u32 %rd4, %r1, 4;
    add.u64 %rd4, %rd4, %rd0;
    st.global.u32 [%rd4], %r2;
DONE:
    ret;
}}
"""

SOURCE = HEADER + _RATE + _PLACE
"""Both kernels, as `cuModuleLoadData` takes them (with a NUL behind)."""
