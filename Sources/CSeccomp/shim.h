#pragma once
#include <errno.h>
#include <seccomp.h>

// Macros that Swift cannot import.
static inline uint32_t cseccomp_refuse(uint16_t number) { return SCMP_ACT_ERRNO(number); }
static inline uint32_t cseccomp_allow(void) { return SCMP_ACT_ALLOW; }
static inline int cseccomp_unknown(void) { return __NR_SCMP_ERROR; }
static inline struct scmp_arg_cmp cseccomp_masked(unsigned argument, uint64_t mask, uint64_t value) {
    return SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value);
}
