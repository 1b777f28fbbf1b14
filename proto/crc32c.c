/* CRC-32C three ways, all giving the same value:
 *
 *     crc32c() -+- up to SHORT_SIZE_MAX bytes, on a processor with SSE 4.2: its instruction
 *               +- longer, where ISA-L is linked: ISA-L, which folds 128 bits at a time
 *               +- else: crc32c_portable(), eight tables ("slicing by 8")
 *
 * Inside this file a state is the register itself; crc32c() inverts it on the way in and
 * out, as the standard says, so that the caller's values begin with 0 and can be chained. */
#include "proto/crc32c.h"

#include "proto/bytes.h"

#include <limits.h>

#ifdef TUSK_HAVE_ISAL
#include <isa-l/crc.h>
#endif
#ifdef __x86_64__
#include <nmmintrin.h>
#endif

/* The checksum is linear: an entry is the exclusive or of the entries of its bits. So a table
 * of 256 follows from eight constants, and the compiler works it out. Table k holds what a
 * byte becomes after k further zero bytes: constant b is 1 << b after 8 (k + 1) steps of
 * "shift right; if a one fell out, exclusive or with 0x82f63b78". */
#define BIT(i, b, constant) (((i) >> (b)) & 1 ? (constant) : 0u)
#define ENTRY(i, c0, c1, c2, c3, c4, c5, c6, c7)                                                   \
    (BIT(i, 0, c0) ^ BIT(i, 1, c1) ^ BIT(i, 2, c2) ^ BIT(i, 3, c3) ^ BIT(i, 4, c4) ^               \
     BIT(i, 5, c5) ^ BIT(i, 6, c6) ^ BIT(i, 7, c7))
#define ENTRIES_4(i, ...)                                                                          \
    ENTRY((i), __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__),             \
        ENTRY((i) + 3, __VA_ARGS__)
#define ENTRIES_16(i, ...)                                                                         \
    ENTRIES_4((i), __VA_ARGS__), ENTRIES_4((i) + 4, __VA_ARGS__), ENTRIES_4((i) + 8, __VA_ARGS__), \
        ENTRIES_4((i) + 12, __VA_ARGS__)
#define ENTRIES_64(i, ...)                                                                         \
    ENTRIES_16((i), __VA_ARGS__), ENTRIES_16((i) + 16, __VA_ARGS__),                               \
        ENTRIES_16((i) + 32, __VA_ARGS__), ENTRIES_16((i) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                 \
    {                                                                                              \
        ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__), ENTRIES_64(128, __VA_ARGS__),     \
            ENTRIES_64(192, __VA_ARGS__)                                                           \
    }

static const uint32_t tables[8][256] = {
    TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu,
          0x82f63b78u),
    TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u,
          0xfbc3faf9u),
    TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u,
          0x8b277743u),
    TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u,
          0x52a0c93fu),
    TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu,
          0x6ea2d55cu),
    TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du, 0x0e045bebu,
          0x1c08b7d6u),
    TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au,
          0xf56e0ef4u),
    TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u, 0x1a00cb32u,
          0x34019664u),
};

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint32_t state = ~crc;

    while (size >= 8) {
        uint32_t low = state ^ get_u32(at);
        uint32_t high = get_u32(at + 4);

        state = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^
                tables[5][(low >> 16) & 0xff] ^ tables[4][low >> 24] ^ tables[3][high & 0xff] ^
                tables[2][(high >> 8) & 0xff] ^ tables[1][(high >> 16) & 0xff] ^
                tables[0][high >> 24];
        at += 8;
        size -= 8;
    }
    while (size > 0) {
        state = (state >> 8) ^ tables[0][(state ^ *at) & 0xff];
        at++;
        size--;
    }
    return ~state;
}

#ifdef __x86_64__
/* One instruction takes 8 bytes and has a latency of three cycles. ISA-L hides that latency but
 * needs some hundred bytes to gain from it; without ISA-L this is the best there is. */
#ifdef TUSK_HAVE_ISAL
#define SHORT_SIZE_MAX 128u
#else
#define SHORT_SIZE_MAX SIZE_MAX
#endif

__attribute__((target("sse4.2"))) static uint32_t update_sse42(uint32_t state, const uint8_t *at,
                                                               size_t size)
{
    uint64_t wide = state;

    /* A header at a time: as long as the instruction is waited for, not the loop around it. */
    while (size >= 32) {
        wide = _mm_crc32_u64(wide, get_u64(at));
        wide = _mm_crc32_u64(wide, get_u64(at + 8));
        wide = _mm_crc32_u64(wide, get_u64(at + 16));
        wide = _mm_crc32_u64(wide, get_u64(at + 24));
        at += 32;
        size -= 32;
    }
    while (size >= 8) {
        wide = _mm_crc32_u64(wide, get_u64(at));
        at += 8;
        size -= 8;
    }
    state = (uint32_t)wide;
    if (size >= 4) {
        state = _mm_crc32_u32(state, get_u32(at));
        at += 4;
        size -= 4;
    }
    while (size > 0) {
        state = _mm_crc32_u8(state, *at);
        at++;
        size--;
    }
    return state;
}
#endif

#if defined(TUSK_HAVE_ISAL) && defined(__x86_64__)
/* ISA-L leaves the upper halves of the vector registers in use, and every SSE instruction behind it
 * pays for that until they are released (Intel's optimization manual, "Mixing AVX code with SSE
 * code"). */
__attribute__((target("avx"))) static void release_upper_halves(void)
{
    __builtin_ia32_vzeroupper();
}
#endif

#ifdef TUSK_HAVE_ISAL
/* ISA-L takes the register itself, and an int for the size. */
static uint32_t update_isal(uint32_t state, const uint8_t *at, size_t size)
{
    while (size > 0) {
        int part = size > INT_MAX ? INT_MAX : (int)size;

        /* The function does not write through its pointer; its prototype lacks the const. */
        state = crc32_iscsi((unsigned char *)(uintptr_t)at, part, state);
        at += part;
        size -= (size_t)part;
    }
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx")) {
        release_upper_halves();
    }
#endif
    return state;
}
#endif

#ifdef __x86_64__
/* All parts short: one choice of how, and one function, for all of them. */
__attribute__((target("sse4.2"))) static uint32_t
parts_sse42(uint32_t crc, const struct crc32c_part *parts, unsigned count)
{
    uint32_t state = ~crc;
    unsigned i;

    for (i = 0; i < count; i++) {
        state = update_sse42(state, parts[i].data, parts[i].size);
    }
    return ~state;
}
#endif

uint32_t crc32c_parts(uint32_t crc, const struct crc32c_part *parts, unsigned count)
{
    unsigned i;

#ifdef __x86_64__
    if (parts[count - 1].size <= SHORT_SIZE_MAX && __builtin_cpu_supports("sse4.2")) {
        return parts_sse42(crc, parts, count);
    }
#endif
    for (i = 0; i < count; i++) {
        crc = crc32c(crc, parts[i].data, parts[i].size);
    }
    return crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
#ifdef __x86_64__
    if (size <= SHORT_SIZE_MAX && __builtin_cpu_supports("sse4.2")) {
        return ~update_sse42(~crc, data, size);
    }
#endif
#ifdef TUSK_HAVE_ISAL
    return ~update_isal(~crc, data, size);
#else
    return crc32c_portable(crc, data, size);
#endif
}
