/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_POISON_H
#define TFN_BASE_POISON_H

/*
 * Include last in every .c file of the library: names that we do not use become compile errors.
 * Memory comes from base/mem.h; text from base/buf.h; numbers from base/parse.h.
 */
#ifndef TFN_ALLOW_MALLOC
#pragma GCC poison malloc calloc realloc free
#endif
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok strncpy atoi atol atof sscanf
#pragma GCC poison rand localtime gmtime strerror setlocale

#endif
