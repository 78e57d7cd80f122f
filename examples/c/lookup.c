/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Three features of two planes, from the online store that examples/flights has filled. A store is
 * opened by its paths: no Python, no YAML; and no DuckDB, which only reads sources.
 *
 * usage: lookup PLANE PLANE        (in the folder that has data/)
 */
#include <stdio.h>
#include <string.h>

#include <tiffin/store.h>

static const char features[] = "{\"features\": [\"plane_history:legs_7d\","
                               " \"plane_history:late_legs_7d\", \"plane_history:mean_delay_7d\"]}";

static void print_row(const tfn_answer *answer, size_t row, const char *plane)
{
    printf("%s:", plane);
    for (size_t column = 1; column < tfn_answer_get_n_columns(answer); column++) {
        tfn_value value;
        if (tfn_answer_get(answer, row, column, &value) != TFN_STATUS_PRESENT) {
            printf(" %s -", tfn_answer_get_name(answer, column));
        } else if (value.kind == TFN_VALUE_FLOAT32) {
            printf(" %s %.2f", tfn_answer_get_name(answer, column), value.real);
        } else {
            printf(" %s %lld", tfn_answer_get_name(answer, column), (long long)value.integer);
        }
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s PLANE PLANE\n", argv[0]);
        return 2;
    }
    tfn_value planes[] = {
        {.kind = TFN_VALUE_STRING, .text = argv[1], .n = strlen(argv[1])},
        {.kind = TFN_VALUE_STRING, .text = argv[2], .n = strlen(argv[2])},
    };
    tfn_store_opts options = {.struct_size = sizeof options,
                              .project = "flights",
                              .registry_path = "data/registry.db",
                              .online_path = "data/online",
                              .online_ttl = TFN_ONLINE_TTL_IGNORE}; /* 2013 is long ago */
    tfn_error error = {0};
    tfn_store *store = NULL;
    tfn_lookup *lookup = NULL;
    tfn_answer *answer = NULL;

    if (tfn_store_open(&options, &store, &error) == TFN_OK &&
        tfn_store_prepare(store, features, &lookup, &error) == TFN_OK &&
        tfn_lookup_run(lookup, planes, 2, NULL, &answer, &error) == TFN_OK) {
        print_row(answer, 0, argv[1]);
        print_row(answer, 1, argv[2]);
    } else {
        fprintf(stderr, "lookup: %s\n", error.message);
    }
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
    tfn_store_close(store);
    return error.code == TFN_OK ? 0 : 1;
}
