// One attempt to get out of a sandbox, by system call: what a script in bash cannot do.
//
//     escape-attempts NAME [ARGUMENT…]
//
// prints one line, and ends with
//
// | Line | Status | |
// |---|---|---|
// | `succeeded` | 0 | got what it wanted; where that would harm, the kernel looked at a request without sense |
// | `refused STEP ERROR` | 1 | which step failed, and the name of its error (or a word, where there is none) |
// | `absent STEP` | 3 | this kernel has no such thing |
// | `unprepared STEP ERROR` | 2 | nothing could be attempted |
//
// `host` and `victim` are the other side: they hold what the attempts are after. `handle PATH` and
// `give-administration PATH` prepare files for them. `without-namespaces COMMAND…` is a host that gives nobody a user
// namespace.
#include "attempts.h"

#include <stdarg.h>

static _Noreturn void end(int status, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    fflush(stdout);
    _exit(status);
}

static const char *error_name(void) {
    const char *name = strerrorname_np(errno);
    return name ? name : "UNKNOWN";
}

void refused(const char *step) { end(1, "refused %s %s\n", step, error_name()); }
void refused_as(const char *step, const char *code) { end(1, "refused %s %s\n", step, code); }
void succeeded(void) { end(0, "succeeded\n"); }
void absent(const char *step) { end(3, "absent %s\n", step); }
void unprepared(const char *step) { end(2, "unprepared %s %s\n", step, error_name()); }

void judge(const char *step, long result, const int *reached) {
    if (result >= 0) succeeded();
    for (; *reached; reached++)
        if (*reached == errno) succeeded();
    refused(step);
}

bool contains(const char *bytes, size_t count, const char *text) {
    return memmem(bytes, count, text, strlen(text)) != NULL;
}

void expect_bytes(const char *bytes, size_t count, const char *text) {
    if (contains(bytes, count, text)) succeeded();
    refused_as("content", "OTHER");
}

void expect_text(int file, const char *text) {
    static char bytes[1 << 20];
    size_t count = 0;
    while (count < sizeof bytes) {
        ssize_t got = read(file, bytes + count, sizeof bytes - count);
        if (got < 0) refused("read");
        if (got == 0) break;
        count += (size_t)got;
    }
    expect_bytes(bytes, count, text);
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    const char *name = arguments[1];
    if (!strcmp(name, "host") && count == 6) return be_host(arguments + 2);
    if (!strcmp(name, "victim") && count == 4) return be_victim(arguments + 2);
    if (!strcmp(name, "without-namespaces") && count > 2) return run_without_namespaces(arguments + 2);
    const struct attempt *tables[] = {file_attempts, mount_attempts, process_attempts, kernel_attempts,
        network_attempts, limit_attempts};
    for (size_t table = 0; table < sizeof tables / sizeof *tables; table++)
        for (const struct attempt *row = tables[table]; row->name; row++)
            if (!strcmp(row->name, name) && count - 2 == row->count) {
                row->perform(arguments + 2);
                return 2;
            }
    fprintf(stderr, "escape-attempts: no attempt %s with %d arguments\n", name, count - 2);
    return 2;
}
