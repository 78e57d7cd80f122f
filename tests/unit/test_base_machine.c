/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static void remove_folder(const char *folder)
{
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

#include "base/machine.c"

/* A machine of 1000 kB, with files of its own. */
typedef struct machine {
    char folder[64];
    char meminfo[128];
    char cgroups[128];
    char cgroup_folder[128];
    tfn_machine_paths paths;
} machine;

static void put_file(const machine *m, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", m->folder, name);
    for (char *slash = strchr(path + strlen(m->folder) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void set_up(machine *m)
{
    *m = (machine){.folder = "/tmp/tiffin-machine-XXXXXX"};
    assert_non_null(mkdtemp(m->folder));
    (void)snprintf(m->meminfo, sizeof m->meminfo, "%s/meminfo", m->folder);
    (void)snprintf(m->cgroups, sizeof m->cgroups, "%s/cgroup", m->folder);
    (void)snprintf(m->cgroup_folder, sizeof m->cgroup_folder, "%s/fs", m->folder);
    m->paths = (tfn_machine_paths){m->meminfo, m->cgroups, m->cgroup_folder};
    put_file(m, "meminfo", "MemTotal:        1000 kB\nMemFree:          10 kB\n");
}

static void a_machine_without_groups_has_what_it_has(void **state)
{
    (void)state;
    machine m;
    set_up(&m);
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 1024000);
    remove_folder(m.folder);
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 0);
}

static void the_least_limit_on_the_way_up_counts(void **state)
{
    (void)state;
    machine m;
    set_up(&m);
    put_file(&m, "cgroup", "0::/a/b\n");
    put_file(&m, "fs/a/b/memory.max", "max\n");
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 1024000);
    put_file(&m, "fs/a/memory.max", "5000\n");
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 5000);
    put_file(&m, "fs/a/b/memory.max", "7000\n");
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 5000);
    put_file(&m, "fs/memory.max", "3000\n");
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 3000);
    remove_folder(m.folder);
}

static void a_container_that_sees_only_its_root_is_limited(void **state)
{
    (void)state;
    machine m;
    set_up(&m);
    put_file(&m, "cgroup", "0::/system.slice/docker-1234.scope\n");
    put_file(&m, "fs/memory.max", "4096\n");
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 4096);
    remove_folder(m.folder);
}

static void version_1_is_read_too(void **state)
{
    (void)state;
    machine m;
    set_up(&m);
    put_file(&m, "cgroup", "12:cpuset:/x\n5:cpu,memory:/job\n1:name=systemd:/y\n");
    put_file(&m, "fs/memory/job/memory.limit_in_bytes", "6000\n");
    put_file(&m, "fs/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put_file(&m, "fs/x/memory.max", "1\n"); /* another hierarchy's */
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 6000);
    remove_folder(m.folder);
}

static void rubbish_says_nothing(void **state)
{
    (void)state;
    machine m;
    set_up(&m);
    put_file(&m, "meminfo", "MemTotal: many\n");
    put_file(&m, "cgroup", "rubbish\n0:\n::\n0::/a\n5:mem:/z\n");
    put_file(&m, "fs/a/memory.max", "99999999999999999999999\n");
    assert_int_equal(tfn_machine_get_memory_bytes(&m.paths), 0);
    remove_folder(m.folder);
}

static void this_machine_has_memory(void **state)
{
    (void)state;
    assert_true(tfn_machine_get_memory_bytes(NULL) > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_without_groups_has_what_it_has),
        cmocka_unit_test(the_least_limit_on_the_way_up_counts),
        cmocka_unit_test(a_container_that_sees_only_its_root_is_limited),
        cmocka_unit_test(version_1_is_read_too),
        cmocka_unit_test(rubbish_says_nothing),
        cmocka_unit_test(this_machine_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
