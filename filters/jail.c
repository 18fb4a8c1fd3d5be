/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that includes seccomp.h. Landlock has no wrappers in the C library yet: its three calls are
 * made directly, with the numbers of its binary interface, which do not depend on the installed kernel
 * headers. */
#include "filters/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/alloc.h"

/* What the process may leave in memory files (messages of libraries), and how many it may have open. */
enum { FILE_BYTES = 1 << 20, OPEN_FILES = 64 };

/* Stands in the filter for the number of the process that is put in, which alone it may signal. */
#define OWN_NUMBER 0x5e1f5e1fu

struct dsvl_jail {
    struct sock_filter *filter; /* [count] */
    size_t count;
    int ruleset; /* Landlock's; -1: the kernel has none */
};

/* ---- system calls ---- */

/* What parsers, the C library's memory and threads' locks need. Calls with conditions follow below; all
 * others that are in neither list fail with ENOSYS, as on an old kernel, since a newer C library has another
 * way then. */
static const int allowed[] = {
    /* memory */
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(membarrier),
    /* files that are open */
    SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
    SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(fstat), SCMP_SYS(fstat64), SCMP_SYS(fadvise64),
    SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(memfd_create), SCMP_SYS(fstatfs), SCMP_SYS(poll), SCMP_SYS(ppoll),
    /* the socket on which the document comes; there is no other, and none can be made */
    SCMP_SYS(recvmsg),
    /* facts about files */
    SCMP_SYS(stat), SCMP_SYS(stat64), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(fstatat64),
    SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(statfs), SCMP_SYS(getcwd),
    /* the process itself */
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrusage), SCMP_SYS(times),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq), SCMP_SYS(set_tid_address), SCMP_SYS(getrandom),
    /* time and locks */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(futex), SCMP_SYS(futex_time64),
    SCMP_SYS(clock_gettime64)};

/* What libraries try now and then and can do without: no files for writing, no changes to names. */
static const int refused[] = {SCMP_SYS(creat),    SCMP_SYS(unlink),   SCMP_SYS(unlinkat), SCMP_SYS(rename),
                              SCMP_SYS(renameat), SCMP_SYS(mkdir),    SCMP_SYS(mkdirat),  SCMP_SYS(rmdir),
                              SCMP_SYS(link),     SCMP_SYS(linkat),   SCMP_SYS(symlink),  SCMP_SYS(symlinkat),
                              SCMP_SYS(chmod),    SCMP_SYS(fchmod),   SCMP_SYS(chown),    SCMP_SYS(fchown),
                              SCMP_SYS(truncate), SCMP_SYS(ftruncate)};

/* What no parser has a reason to do: the process is stopped, since it is no longer doing what it is here for.
 */
static const int deadly[] = {
    /* network */
    SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmmsg),
    /* other programs and processes */
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(clone), SCMP_SYS(kill),
    SCMP_SYS(tkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal), SCMP_SYS(setns), SCMP_SYS(unshare),
    /* the system */
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(chroot), SCMP_SYS(pivot_root), SCMP_SYS(bpf),
    SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(perf_event_open),
    SCMP_SYS(io_uring_setup), SCMP_SYS(userfaultfd), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load), SCMP_SYS(reboot)};

static int add_list(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int status = seccomp_rule_add(filter, action, calls[i], 0);
        if (status) return status;
    }
    return 0;
}

typedef struct condition {
    int call;
    uint32_t action;
    struct scmp_arg_cmp arguments[2]; /* all of them must hold; the second may be absent */
} condition;

/* Calls that depend on their arguments: no new code, no new memory that is shared (limits do not count it),
 * no limit raised, no signal to others, and of fcntl's commands not those that have signals sent (F_SETOWN).
 */
static int add_conditions(scmp_filter_ctx rules)
{
    const uint32_t yes = SCMP_ACT_ALLOW, no = SCMP_ACT_ERRNO(EACCES);
    const scmp_datum_t change = PROT_WRITE | PROT_EXEC;
    const condition list[] = {
        {SCMP_SYS(mmap), yes, {SCMP_A2(SCMP_CMP_MASKED_EQ, change, 0)}},
        {SCMP_SYS(mmap),
         yes,
         {SCMP_A2(SCMP_CMP_MASKED_EQ, change, PROT_WRITE), SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_SHARED, 0)}},
        {SCMP_SYS(mmap), no, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)}},
        {SCMP_SYS(mmap2), yes, {SCMP_A2(SCMP_CMP_MASKED_EQ, change, 0)}},
        {SCMP_SYS(mmap2),
         yes,
         {SCMP_A2(SCMP_CMP_MASKED_EQ, change, PROT_WRITE), SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_SHARED, 0)}},
        {SCMP_SYS(mprotect), yes, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)}},
        {SCMP_SYS(mprotect), no, {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)}},
        {SCMP_SYS(prlimit64), yes, {SCMP_A2(SCMP_CMP_EQ, 0)}},
        {SCMP_SYS(tgkill), yes, {SCMP_A0(SCMP_CMP_EQ, OWN_NUMBER)}}, /* abort() */
        {SCMP_SYS(fcntl), yes, {SCMP_A1(SCMP_CMP_EQ, F_DUPFD)}},
        {SCMP_SYS(fcntl), yes, {SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC)}},
        {SCMP_SYS(fcntl), yes, {SCMP_A1(SCMP_CMP_EQ, F_GETFD)}},
        {SCMP_SYS(fcntl), yes, {SCMP_A1(SCMP_CMP_EQ, F_SETFD)}},
        {SCMP_SYS(fcntl), yes, {SCMP_A1(SCMP_CMP_EQ, F_GETFL)}},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        unsigned count = list[i].arguments[1].op ? 2 : 1;
        int status = seccomp_rule_add_array(rules, list[i].action, list[i].call, count, list[i].arguments);
        if (status) return status;
    }
    return 0;
}

/* Files: for reading, and Landlock says which; or none at all. */
static int add_opening(scmp_filter_ctx rules, bool files)
{
    const scmp_datum_t change = O_ACCMODE | O_CREAT | O_TRUNC;
    if (!files) {
        int status = seccomp_rule_add(rules, SCMP_ACT_TRAP, SCMP_SYS(openat), 0);
        return status ? status : seccomp_rule_add(rules, SCMP_ACT_TRAP, SCMP_SYS(open), 0);
    }
    int status = seccomp_rule_add(rules, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, change, O_RDONLY));
    return status ? status
                  : seccomp_rule_add(rules, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                                     SCMP_A1(SCMP_CMP_MASKED_EQ, change, O_RDONLY));
}

#define ADD(action, list) add_list(rules, action, list, sizeof(list) / sizeof *(list))

/* libseccomp's rules as the program that the kernel runs: to make it takes ten times as long as to load it.
 */
static int compile(dsvl_jail *jail, scmp_filter_ctx rules, dsvl_error *err)
{
    int file = memfd_create("filter", MFD_CLOEXEC),
        status = file < 0 ? -errno : seccomp_export_bpf(rules, file);
    off_t bytes = status == 0 ? lseek(file, 0, SEEK_END) : 0;
    if (bytes > 0) {
        jail->count = (size_t)bytes / sizeof *jail->filter;
        jail->filter = dsvl_alloc(jail->count, sizeof *jail->filter);
    }
    if (!jail->filter || pread(file, jail->filter, (size_t)bytes, 0) != bytes)
        dsvl_fail(err, DSVL_E_INTERNAL, "libseccomp gives no filter: %s",
                  strerror(status ? -status : ENOMEM));
    if (file >= 0) close(file);
    return err->code ? -1 : 0;
}

static int make_filter(dsvl_jail *jail, bool files, dsvl_error *err)
{
    uint32_t trap = SECCOMP_RET_TRAP;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap)) {
        return dsvl_fail(err, DSVL_E_USAGE,
                         "this system has no seccomp filters (%s), so documents cannot be read in a jail; "
                         "--no-jail reads them without one",
                         strerror(errno));
    }
    scmp_filter_ctx rules = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!rules) return dsvl_fail_memory(err, 0);
    seccomp_attr_set(rules, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree of calls and not a list */
    int status = ADD(SCMP_ACT_ALLOW, allowed);
    if (status == 0) status = ADD(SCMP_ACT_ERRNO(EACCES), refused);
    if (status == 0) status = ADD(SCMP_ACT_TRAP, deadly);
    if (status == 0) status = add_conditions(rules);
    if (status == 0) status = add_opening(rules, files);
    if (status)
        dsvl_fail(err, DSVL_E_INTERNAL, "libseccomp refuses a rule: %s", strerror(-status));
    else
        status = compile(jail, rules, err);
    seccomp_release(rules);
    return status ? -1 : 0;
}

/* ---- Landlock ---- */

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#define LANDLOCK_VERSION 1u     /* a flag: return the version of the interface */
#define LANDLOCK_PATH_BENEATH 1 /* a kind of rule */
#define LANDLOCK_READ_FILE (1u << 2)
#define LANDLOCK_READ_DIR (1u << 3)

typedef struct landlock_rules {
    uint64_t files, network, scopes; /* what is forbidden but for the rules that are added */
} landlock_rules;

typedef struct __attribute__((packed)) landlock_path {
    uint64_t allowed;
    int32_t folder;
} landlock_path;

static long landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
}

/* All that a version of the interface knows is forbidden: 13 rights of files at first, then moving (2),
 * truncating (3), TCP (4), device calls (5), and signals and abstract sockets to processes outside (6). */
static int make_ruleset(void)
{
    long version = landlock_version();
    if (version < 1) return -1;
    int rights = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
    landlock_rules rules = {((uint64_t)1 << rights) - 1, version >= 4 ? 3 : 0, version >= 6 ? 3 : 0};
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    return (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
}

static void allow_reading(int ruleset, const char *path)
{
    struct stat facts;
    landlock_path rule = {LANDLOCK_READ_FILE, open(path, O_PATH | O_CLOEXEC)};
    if (rule.folder < 0) return; /* what is not there needs no permission */
    if (fstat(rule.folder, &facts) == 0 && S_ISDIR(facts.st_mode)) rule.allowed |= LANDLOCK_READ_DIR;
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH_BENEATH, &rule, 0);
    close(rule.folder);
}

const char *dsvl_jail_missing(void)
{
    if (landlock_version() >= 1) return NULL;
    return "this kernel has no Landlock (Linux 5.13 and later): the jail does not keep a parser that was "
           "taken over "
           "from reading files that you can read";
}

/* ---- the jail ---- */

dsvl_jail *dsvl_jail_new(const char *const *readable, size_t count, dsvl_error *err)
{
    dsvl_jail *jail = dsvl_alloc_zero(1, sizeof *jail);
    if (!jail) {
        dsvl_fail_memory(err, sizeof *jail);
        return NULL;
    }
    jail->ruleset = make_ruleset();
    for (size_t i = 0; i < count && jail->ruleset >= 0; i++) allow_reading(jail->ruleset, readable[i]);
    if (make_filter(jail, count > 0, err) == 0) return jail;
    dsvl_jail_free(jail);
    return NULL;
}

void dsvl_jail_free(dsvl_jail *jail)
{
    if (!jail) return;
    dsvl_dealloc(jail->filter);
    if (jail->ruleset >= 0) close(jail->ruleset);
    dsvl_dealloc(jail);
}

static volatile int *stopped_call;

/* Note the call, then let the signal do what it does without a handler. */
static void on_forbidden_call(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    *stopped_call = info->si_syscall;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* Bytes of memory of its own that the process has now. */
static uint64_t memory_now(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages) != 1) pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int set_limits(uint64_t memory, uint64_t seconds, dsvl_error *err)
{
    uint64_t space;
    if (__builtin_add_overflow(memory_now(), memory, &space)) space = RLIM_INFINITY;
    const struct {
        __rlimit_resource_t what;
        rlim_t limit;
    } limits[] = {{RLIMIT_DATA, space},        {RLIMIT_CPU, seconds}, {RLIMIT_FSIZE, FILE_BYTES},
                  {RLIMIT_NOFILE, OPEN_FILES}, {RLIMIT_CORE, 0},      {RLIMIT_MEMLOCK, 0}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit now, next = {limits[i].limit, limits[i].limit};
        if (getrlimit(limits[i].what, &now) == 0 && next.rlim_max > now.rlim_max)
            next.rlim_cur = next.rlim_max = now.rlim_max;
        if (setrlimit(limits[i].what, &next))
            return dsvl_fail(err, DSVL_E_INTERNAL, "cannot limit the jail: %s", strerror(errno));
    }
    return 0;
}

/* The filter with the process's own number in it. */
static int load_filter(const dsvl_jail *jail, dsvl_error *err)
{
    unsigned found = 0;
    struct sock_filter *copy = dsvl_alloc(jail->count, sizeof *copy);
    if (!copy) return dsvl_fail_memory(err, jail->count * sizeof *copy);
    memcpy(copy, jail->filter, jail->count * sizeof *copy);
    for (size_t i = 0; i < jail->count; i++) {
        if (copy[i].code != (BPF_JMP | BPF_JEQ | BPF_K) || copy[i].k != OWN_NUMBER) continue;
        copy[i].k = (uint32_t)getpid();
        found++;
    }
    const struct sock_fprog program = {(unsigned short)jail->count, copy};
    /* The flag: else kernels before 5.16 switch a feature of the processor off for the process, which makes
     * it slow. */
    long status =
        found ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) : -1;
    if (status)
        dsvl_fail(err, DSVL_E_INTERNAL, "cannot enter the jail's filter: %s",
                  found ? strerror(errno) : "made wrong");
    dsvl_dealloc(copy);
    return status ? -1 : 0;
}

int dsvl_jail_enter(const dsvl_jail *jail, uint64_t memory, uint64_t seconds, volatile int *calls,
                    dsvl_error *err)
{
    struct sigaction action = {.sa_sigaction = on_forbidden_call, .sa_flags = SA_SIGINFO};
    stopped_call = calls;
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit then fails and nothing more */
    if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_DUMPABLE, 0) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return dsvl_fail(err, DSVL_E_INTERNAL, "cannot enter the jail: %s", strerror(errno));
    if (set_limits(memory, seconds, err)) return -1;
    if (jail->ruleset >= 0) {
        if (syscall(SYS_landlock_restrict_self, jail->ruleset, 0))
            return dsvl_fail(err, DSVL_E_INTERNAL, "cannot enter the jail's Landlock: %s", strerror(errno));
        close(jail->ruleset);
    }
    return load_filter(jail, err);
}

char *dsvl_jail_call_name(int number)
{
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    char *copy = name ? dsvl_strdup(name) : NULL;
    free(name);
    return copy;
}
