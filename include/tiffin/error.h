/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TIFFIN_ERROR_H
#define TIFFIN_ERROR_H

/**
 * Status codes and the error struct that every fallible call fills.
 *
 * A failure is a code and a sentence. The code decides what a program does next; the sentence says
 * what was asked, what was found and what to do. Both travel together in one caller-owned struct,
 * so nothing is kept per thread and cleanup cannot separate them.
 */

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TFN_API __attribute__((visibility("default")))
#define TFN_NODISCARD __attribute__((warn_unused_result))
#else
#define TFN_API
#define TFN_NODISCARD
#endif

/**
 * The one table that says how a code looks on each surface.
 * X(name, value, HTTP status, gRPC status, Python base class, meaning)
 */
#define TFN_CODE_MAP(X)                                                                            \
    X(OK, 0, 200, OK, None, "success")                                                             \
    X(INVALID, 1, 400, INVALID_ARGUMENT, ValueError, "the caller passed something wrong")          \
    X(NOT_FOUND, 2, 404, NOT_FOUND, KeyError, "no such object")                                    \
    X(SCHEMA, 3, 400, FAILED_PRECONDITION, TypeError, "column missing or of another type")         \
    X(LIMIT, 4, 429, RESOURCE_EXHAUSTED, MemoryError, "a stated limit would be passed")            \
    X(NO_MEMORY, 5, 503, RESOURCE_EXHAUSTED, MemoryError, "the allocator refused")                 \
    X(IO, 6, 500, UNAVAILABLE, OSError, "the operating system or a peer reported an error")        \
    X(CORRUPT, 7, 500, DATA_LOSS, RuntimeError, "bytes on disk or wire fail their check")          \
    X(CONFLICT, 8, 409, ABORTED, RuntimeError, "somebody else changed the same thing first")       \
    X(CANCELLED, 9, 499, CANCELLED, RuntimeError, "the caller asked to stop")                      \
    X(UNSUPPORTED, 10, 501, UNIMPLEMENTED, NotImplementedError,                                    \
      "this build or store cannot do it")                                                          \
    X(UNAVAILABLE, 11, 503, UNAVAILABLE, ConnectionError, "a server that is needed is away")

typedef enum tfn_code {
#define TFN_CODE_ENUM(name, value, http, grpc, python, meaning) TFN_##name = (value),
    TFN_CODE_MAP(TFN_CODE_ENUM)
#undef TFN_CODE_ENUM
} tfn_code;

enum { TFN_ERROR_MESSAGE_BYTES = 1024 };

/**
 * Where and why a call failed. Lives on the caller's stack; a zeroed struct means "no error".
 * A call that succeeds leaves it untouched.
 */
typedef struct tfn_error {
    tfn_code code;
    int sys_errno;    /* 0 unless the origin was a system call */
    const char *file; /* static string: source file in which the error was first set */
    int line;
    char message[TFN_ERROR_MESSAGE_BYTES]; /* UTF-8, NUL-terminated, cut at the end if too long */
} tfn_error;

/**
 * Name of a code without prefix, e.g. "NOT_FOUND".
 *
 * @param code  any value; unknown ones give "UNKNOWN"
 * @return [borrow until the program ends] static string
 *
 * Threads  any
 * Errors   none
 */
TFN_API const char *tfn_code_name(tfn_code code);

/**
 * Meaning of a code in a few words, e.g. "no such object".
 *
 * @param code  any value; unknown ones give "unknown code"
 * @return [borrow until the program ends] static string
 *
 * Threads  any
 * Errors   none
 */
TFN_API const char *tfn_code_meaning(tfn_code code);

/**
 * HTTP status that stands for a code, e.g. 404.
 *
 * @param code  any value; unknown ones give 500
 * @return [copy] the status
 *
 * Threads  any
 * Errors   none
 */
TFN_API int tfn_code_http_status(tfn_code code);

#ifdef __cplusplus
}
#endif

#endif
