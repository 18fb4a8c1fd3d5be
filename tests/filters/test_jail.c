/* SPDX-License-Identifier: Apache-2.0 */
/* What a process tries that was taken over by a document, each time in a jail of its own: none of it may go
 * through. And the launcher of such processes: how each of their ends is told. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "filters/jail.h"
#include "filters/launcher.h"
#include "lib/alloc.h"
#include "tests/unit/check.h"

static char folder[] = "/tmp/dsvl-jail-XXXXXX", inside[64], outside[64];

/* ---- attempts: true when it went through ---- */

static bool reads(const char *path)
{
    char c;
    int file = open(path, O_RDONLY);
    return file >= 0 && read(file, &c, 1) == 1;
}
static bool read_outside(void)
{
    return reads(outside);
}
static bool read_inside(void)
{
    return reads(inside);
}
static bool read_password_file(void)
{
    return reads("/etc/passwd");
}
static bool read_itself(void)
{
    return reads("/proc/self/maps");
}
static bool list_outside(void)
{
    return open(folder, O_RDONLY | O_DIRECTORY) >= 0;
}
static bool write_inside(void)
{
    return open(inside, O_WRONLY) >= 0;
}
static bool create(void)
{
    char path[80];
    snprintf(path, sizeof path, "%s.new", inside);
    return open(path, O_RDWR | O_CREAT, 0600) >= 0 || creat(path, 0600) >= 0 ||
           open(folder, O_TMPFILE | O_WRONLY, 0600) >= 0;
}
static bool cut(void)
{
    return truncate(inside, 0) == 0;
}
static bool unlink_inside(void)
{
    return unlink(inside) == 0 || unlinkat(AT_FDCWD, inside, 0) == 0;
}
static bool move(void)
{
    return rename(inside, outside) == 0;
}
static bool make_folder(void)
{
    return mkdir("/tmp/dsvl-jail-folder", 0700) == 0;
}
static bool change_mode(void)
{
    return chmod(inside, 0777) == 0;
}
static bool connect_to_network(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}
static bool make_pair(void)
{
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
}
static bool execute(void)
{
    char *const none[] = {NULL};
    return execve("/bin/true", none, none) == 0;
}
static bool execute_descriptor(void)
{
    char *const none[] = {NULL};
    return syscall(SYS_execveat, 0, "/bin/true", none, none, 0) == 0;
}
static bool fork_itself(void)
{
    return fork() >= 0;
}
static void *idle(void *user)
{
    return user;
}
static bool start_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, idle, NULL) == 0;
}
static bool kill_parent(void)
{
    return kill(getppid(), 0) == 0;
}
static bool kill_parent_thread(void)
{
    return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0;
}
static bool kill_all(void)
{
    return kill(-1, 0) == 0;
}
static bool signal_by_descriptor(void)
{
    return fcntl(STDERR_FILENO, F_SETOWN, getppid()) == 0 || fcntl(STDERR_FILENO, F_SETFL, O_ASYNC) == 0;
}
static bool trace_parent(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0;
}
static bool trace_me(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}
static bool read_parent(void)
{
    char c = 0;
    struct iovec here = {&c, 1}, there = {folder, 1};
    return process_vm_readv(getppid(), &here, 1, &there, 1, 0) == 1;
}
static bool raise_limit(void)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_DATA, &all) == 0;
}
static bool new_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static bool turned_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}
static bool shared_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static bool much_memory(void)
{
    return mmap(NULL, 1 << 28, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static bool much_file(void)
{
    static char megabyte[1 << 20];
    int file = memfd_create("much", 0);
    return file >= 0 && write(file, megabyte, sizeof megabyte) == sizeof megabyte &&
           write(file, megabyte, 1) == 1;
}
static bool new_namespace(void)
{
    return syscall(SYS_unshare, 0x10000000) == 0;
}
static bool mount_something(void)
{
    return mount("none", "/tmp", "tmpfs", 0, NULL) == 0;
}
static bool change_root(void)
{
    return chroot("/") == 0;
}
static bool make_ring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno == EFAULT || errno == EINVAL;
}
static bool load_program(void)
{
    return syscall(SYS_bpf, 0, NULL, 0) != -1 || errno == EFAULT || errno == EINVAL;
}
static bool leave_by_prctl(void)
{
    return prctl(PR_SET_DUMPABLE, 1) == 0;
}
#if defined(__x86_64__)
static bool old_calls(void)
{
    int result; /* getpid of the 32-bit interface, whose numbers mean other calls */
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    return result > 0;
}
#endif

static const struct attempt {
    const char *what;
    bool (*go)(void);
    const char *call; /* the process is stopped at it; NULL: the call fails */
} attempts[] = {
    {"read a file outside", read_outside, NULL},
    {"read /etc/passwd", read_password_file, NULL},
    {"read /proc/self/maps", read_itself, NULL},
    {"list a folder outside", list_outside, NULL},
    {"open for writing", write_inside, NULL},
    {"create", create, NULL},
    {"truncate", cut, NULL},
    {"unlink", unlink_inside, NULL},
    {"rename", move, NULL},
    {"mkdir", make_folder, NULL},
    {"chmod", change_mode, NULL},
    {"socket", connect_to_network, "socket"},
    {"socketpair", make_pair, "socketpair"},
    {"execve", execute, "execve"},
    {"execveat", execute_descriptor, "execveat"},
    {"fork", fork_itself, "clone"},
    {"thread", start_thread, ""}, /* signals are blocked there: the name cannot be told */
    {"kill the parent", kill_parent, "kill"},
    {"kill all", kill_all, "kill"},
    {"tgkill the parent", kill_parent_thread, NULL},
    {"F_SETOWN", signal_by_descriptor, NULL},
    {"ptrace the parent", trace_parent, "ptrace"},
    {"PTRACE_TRACEME", trace_me, "ptrace"},
    {"read the parent's memory", read_parent, "process_vm_readv"},
    {"raise a limit", raise_limit, NULL},
    {"map code", new_code, NULL},
    {"turn data into code", turned_code, NULL},
    {"shared memory", shared_memory, NULL},
    {"much memory", much_memory, NULL},
    {"a large file in memory", much_file, NULL},
    {"unshare", new_namespace, "unshare"},
    {"mount", mount_something, "mount"},
    {"chroot", change_root, "chroot"},
    {"io_uring", make_ring, "io_uring_setup"},
    {"bpf", load_program, "bpf"},
    {"prctl", leave_by_prctl, NULL},
#if defined(__x86_64__)
    {"the 32-bit interface", old_calls, ""},
#endif
};

/* ---- in the jail ---- */

static volatile int *stopped; /* shared */

/* Status of a process that tries; 2: it could not be jailed. */
static int attempt_in(const dsvl_jail *jail, bool (*go)(void))
{
    *stopped = -1;
    pid_t child = fork();
    if (child == 0) {
        dsvl_error err = {0};
        if (dsvl_jail_enter(jail, 1 << 26, 60, stopped, &err)) _exit(2);
        _exit(go() ? 1 : 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static void check_attempt(const dsvl_jail *jail, const struct attempt *a)
{
    int status = attempt_in(jail, a->go);
    bool well = a->call ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
                        : WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!well) printf("%s: status %x\n", a->what, (unsigned)status);
    CHECK(well);
    if (!a->call || !*a->call) return;
    char *name = dsvl_jail_call_name(*stopped);
    if (!name || strcmp(name, a->call) != 0) printf("%s: stopped at %s\n", a->what, name ? name : "nothing");
    CHECK(name && strcmp(name, a->call) == 0);
    dsvl_dealloc(name);
}

static void put_file(char path[64], const char *sub)
{
    if (*sub) {
        snprintf(path, 64, "%s/%s", folder, sub);
        CHECK(mkdir(path, 0700) == 0);
    }
    snprintf(path, 64, "%s%s%s/file", folder, *sub ? "/" : "", sub);
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(file >= 0 && write(file, "x", 1) == 1 && close(file) == 0);
}

static void test_attempts(void)
{
    dsvl_error err = {0};
    char sub[64];
    snprintf(sub, sizeof sub, "%s/allowed", folder);
    const char *const paths[] = {sub, "/no/such/folder"};
    dsvl_jail *jail = dsvl_jail_new(paths, 2, &err), *bare = dsvl_jail_new(NULL, 0, &err);
    CHECK(jail && bare);
    const char *missing = dsvl_jail_missing();
    if (missing) printf("not tested: %s\n", missing);
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        bool needs_landlock = i < 4;
        if (!(missing && needs_landlock)) check_attempt(jail, &attempts[i]);
    }
    CHECK(attempt_in(jail, read_inside) == 1 << 8); /* what is allowed goes through */
    const struct attempt any = {"open in a jail without files", read_inside, "openat"};
    check_attempt(bare, &any);
    dsvl_jail_free(jail);
    dsvl_jail_free(bare);
}

/* ---- the launcher ---- */

enum { ENDS_WELL, CRASHES, ABORTS, EXITS, HANGS, COUNTS, CASES };

static bool settled;

static int prepare(void *user, int profile, dsvl_error *err)
{
    (void)user;
    return profile == 9 ? dsvl_fail(err, DSVL_E_LIMIT, "no such profile") : 0;
}

static void settle(void *user, int profile)
{
    (void)user, (void)profile;
    settled = true;
}

static void run(void *user, const void *request, int document, int output)
{
    int what;
    char byte = '?';
    (void)user;
    memcpy(&what, request, sizeof what);
    if (pread(document, &byte, 1, 0) != 1 || write(output, &byte, 1) != 1 || !settled) _exit(9);
    fprintf(stderr, "first line\nsaid %d\n", what);
    if (what == CRASHES) {
        signal(SIGSEGV, SIG_DFL); /* sanitizers have a handler, and see the broken access before it is made */
        raise(SIGSEGV);
    }
    if (what == ABORTS) abort();
    if (what == EXITS) _exit(3);
    while (what == HANGS) {
    }
    if (what == COUNTS) { /* nothing but these is open */
        int open_files = 0;
        for (int i = 0; i < 1024; i++) open_files += fcntl(i, F_GETFD) >= 0;
        _exit(open_files == 5 ? 0 : 8);
    }
}

static void test_launcher(void)
{
    static const int want[CASES] = {0, SIGSEGV, SIGABRT, 3 << 8, SIGKILL, 0};
    dsvl_error err = {0};
    dsvl_launch_end end;
    const dsvl_launch launch = {prepare, settle, run, NULL, sizeof(int)};
    dsvl_launcher *l = dsvl_launcher_new(&launch, &err);
    CHECK(l);
    int document = open(inside, O_RDONLY), output = -1;
    for (int i = 0; i < 4 * CASES; i++) {
        int what = i % CASES;
        char byte = 0, said[16];
        CHECK(dsvl_launcher_start(l, i / 5 % 3, &what, document, i % 2, &output, &err) == 0);
        CHECK(read(output, &byte, 1) == 1 && byte == 'x');
        if (what != HANGS) CHECK(read(output, &byte, 1) == 0); /* the end: it is gone */
        if (what == HANGS) {
            while (dsvl_launcher_seconds(l) < 0.002) usleep(1000);
        }
        bool ask = what != ENDS_WELL || i > CASES;
        CHECK(dsvl_launcher_end(l, ask ? &end : NULL, &err) == 0);
        snprintf(said, sizeof said, "said %d", what);
        if (ask && end.status != want[what]) printf("case %d: status %x\n", what, (unsigned)end.status);
        if (ask) CHECK(end.status == want[what] && (what == HANGS || strcmp(end.said, said) == 0));
        close(output);
    }
    int what = ENDS_WELL;
    CHECK(dsvl_launcher_start(l, 9, &what, document, false, &output, &err) == -1 && err.code == DSVL_E_LIMIT);
    close(document);
    dsvl_launcher_free(l);
    dsvl_launcher_free(NULL);
}

int main(void)
{
    stopped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(mkdtemp(folder) && stopped != MAP_FAILED);
    put_file(outside, "");
    put_file(inside, "allowed");
    test_attempts();
    test_launcher();
    unlink(inside);
    unlink(outside);
    inside[strlen(inside) - strlen("/file")] = '\0';
    CHECK(rmdir(inside) == 0 && rmdir(folder) == 0);
    return CHECK_DONE();
}
