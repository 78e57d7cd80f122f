/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "online/redis_script.c"

static void the_name_of_the_script_is_the_hash_of_its_text(void **state)
{
    (void)state;
    uint8_t hash[SHA_DIGEST_LENGTH];
    char text[2 * SHA_DIGEST_LENGTH + 1];
    (void)SHA1((const unsigned char *)TFN__REDIS_WRITE_SCRIPT, strlen(TFN__REDIS_WRITE_SCRIPT),
               hash);
    for (size_t i = 0; i < sizeof hash; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", (unsigned)hash[i]);
    }
    assert_string_equal(TFN__REDIS_WRITE_SHA1, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_of_the_script_is_the_hash_of_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
